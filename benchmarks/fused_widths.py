"""Whether the table of fused head widths agrees with the kernels in a wheel of mlx-metal.

    pip download --no-deps --only-binary=:all: --platform macosx_15_0_arm64 mlx-metal
    python -m benchmarks.fused_widths mlx_metal-*.whl

Prints the widths of each wheel, and ends with 1 where the table promises one that has no kernel
there, or lacks one of at most the widest it has.
"""

from __future__ import annotations

import argparse
import re
import sys
import zipfile
from pathlib import Path

from sam2_mlx.ops.attention import FUSED_WIDTHS, fused_widths

_KERNEL = re.compile(rb"steel_attention_(float32|float16|bfloat16)_\w*?_bd(\d+)(?:_bv\2)?_wm")
_LIBRARY = "mlx/lib/mlx.metallib"
_DTYPES = 3


def widths_in(wheel: Path) -> list[int]:
    """The head widths with a fused kernel for every dtype in a wheel of mlx-metal.

    Raises:
        ValueError: not such a wheel.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            library = archive.read(_LIBRARY)
    except (zipfile.BadZipFile, KeyError) as error:
        raise ValueError(f"{wheel} is no wheel of mlx-metal: it has no {_LIBRARY}") from error
    names = {match.groups() for match in _KERNEL.finditer(library)}
    dtypes = [int(width) for _, width in names]
    return sorted(width for width in set(dtypes) if dtypes.count(width) == _DTYPES)


def disagreements(version: str, widths: list[int]) -> list[str]:
    """What is wrong with the table for a version of MLX whose library has these widths."""
    table, reach = fused_widths(version), max(FUSED_WIDTHS)
    missing = [width for width in table if width not in widths]
    unknown = [width for width in widths if width not in table and width <= reach]
    return [
        *(f"{width} is in the table and not in the library" for width in missing),
        *(f"{width} is in the library and not in the table" for width in unknown),
    ]


def main(arguments: list[str] | None = None) -> int:
    """Compare each wheel with the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheels", nargs="+", type=Path, metavar="WHEEL")
    problems = 0
    for wheel in parser.parse_args(arguments).wheels:
        try:
            widths = widths_in(wheel)
        except (OSError, ValueError) as problem:
            print(f"error: {problem}", file=sys.stderr)
            return 2
        version = wheel.name.split("-")[1]
        wrong = disagreements(version, widths)
        problems += len(wrong)
        print(f"{version}: {', '.join(map(str, widths))}", *wrong, sep="\n  ")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
