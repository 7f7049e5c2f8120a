"""This package under the name of the reference, for programs that cannot be edited."""

from __future__ import annotations

import runpy
import sys
from importlib import import_module
from pathlib import Path

_MODULES = (
    "build_sam",
    "sam2_image_predictor",
    "sam2_video_predictor",
    "automatic_mask_generator",
    "modeling",
    "modeling.sam2_base",
    "utils",
    "utils.amg",
    "utils.misc",
)


def main() -> int:
    """Run a program as it is: `python -m sam2_mlx.run_as_sam2 program.py ARGUMENTS`."""
    if len(sys.argv) < 2:
        print("usage: python -m sam2_mlx.run_as_sam2 program.py [ARGUMENTS]", file=sys.stderr)
        return 2
    install_as_sam2()
    del sys.argv[0]
    sys.path.insert(0, str(Path(sys.argv[0]).resolve().parent))
    runpy.run_path(sys.argv[0], run_name="__main__")
    return 0


def install_as_sam2() -> None:
    """Let `import sam2` mean this package from now on, in this process.

    Raises:
        RuntimeError: if another `sam2` was imported already.
    """
    import sam2_mlx

    if sys.modules.get("sam2", sam2_mlx) is not sam2_mlx:
        raise RuntimeError("sam2 was imported already; call install_as_sam2() before that")
    sys.modules["sam2"] = sam2_mlx
    for name in _MODULES:
        sys.modules[f"sam2.{name}"] = import_module(f"sam2_mlx.{name}")
