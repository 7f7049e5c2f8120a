"""The command `sam2-mlx info`: what MLX runs on here, and which models are at hand."""

from __future__ import annotations

import json
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from sam2_mlx import __version__
from sam2_mlx.cli.arguments import OneLineParser
from sam2_mlx.files import cache_dir
from sam2_mlx.ops import runtime

_PACKAGES = ("mlx", "numpy", "safetensors", "pillow", "opencv", "av", "huggingface_hub")
# Below this a CPU is on the reference BLAS; one laptop core does more with a fast one.
_SLOW_GFLOPS = 10.0


def main(argv: list[str]) -> int:
    """Print what `collect` found.

    Args:
        argv: the arguments after `info`.

    Returns:
        The exit code, 0.

    Raises:
        ValueError: if an environment variable has a value that means nothing.
    """
    parser = OneLineParser(
        prog="sam2-mlx info", description="Say what MLX runs on here, and which models are at hand."
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    options = parser.parse_args(argv)
    found = collect()
    print(json.dumps(found, indent=2) if options.json else render(found))
    return 0


def collect() -> dict[str, Any]:
    """Everything that a bug report should say about the machine.

    Returns:
        `runtime.describe()`'s values with `default_dtype`, `version`, `packages`, `python`,
        `platform`, `gflops` (float32 matrix product, measured) and `models` (name -> where it is).
    """
    from sam2_mlx.ops.dtypes import dtype_name, resolve_dtype

    found = runtime.describe()
    found["default_dtype"] = dtype_name(resolve_dtype("auto"))
    found["version"] = __version__
    found["python"] = platform.python_version()
    found["platform"] = _platform()
    found["packages"] = {name: _version_of(name) for name in _PACKAGES}
    found["gflops"] = round(runtime.measure_gflops(), 1)
    found["models"] = _models()
    return found


def render(found: dict[str, Any]) -> str:
    """The values of `collect` as lines to read.

    Args:
        found: what `collect` returned.

    Returns:
        Lines of the form `name  value`, with a line for each problem.
    """
    blas, compiling = found["blas"], found["compile"]
    name = found["device_name"]
    memory = f", {found['memory_bytes'] / 2**30:.0f} GiB" if found["memory_bytes"] else ""
    rows = [
        ("sam2_mlx", f"{found['version']} (Python {found['python']}, {found['platform']})"),
        ("packages", ", ".join(f"{key} {value}" for key, value in found["packages"].items())),
        ("device", found["device"] + (f" ({name}{memory})" if name else "")),
        ("dtype", f"{found['default_dtype']} (what `auto` means here)"),
        ("BLAS", _blas_line(blas)),
        ("speed", f"{found['gflops']:.0f} GFLOP/s (float32 matrix product, 1024 x 1024)"),
        ("compile", "on" if compiling["on"] else f"off ({compiling['problem']})"),
        ("kernels", found["kernels"]),
        *(("model", f"{key}: {place}") for key, place in found["models"].items()),
    ]
    lines = [f"{key:9} {value}" for key, value in rows]
    lines += [f"problem   {problem}" for problem in _problems(found)]
    return "\n".join(lines)


def _blas_line(blas: dict[str, Any]) -> str:
    if blas["origin"] == "mlx":
        return "Accelerate" if sys.platform == "darwin" else "the one MLX was built with"
    source = {"system": "the system's OpenBLAS", "opencv-python": "opencv-python's OpenBLAS"}
    return f"{source.get(blas['origin'], 'set by ' + blas['origin'])} ({blas['path']})"


def _problems(found: dict[str, Any]) -> list[str]:
    problems = [found["blas"]["problem"], found["mlx_conflict"]]
    if not problems[0] and found["device"] == "cpu" and found["gflops"] < _SLOW_GFLOPS:
        problems.append(
            f"{found['gflops']:.0f} GFLOP/s is slow; SAM2_MLX_BLAS=/path/to/libopenblas.so "
            "names a faster library"
        )
    return [problem for problem in problems if problem]


def _platform() -> str:
    if sys.platform == "darwin":
        return f"macOS {platform.mac_ver()[0]} {platform.machine()}"
    return f"{platform.system()} {platform.release()} {platform.machine()}"


def _version_of(package: str) -> str:
    if package == "opencv":  # which of its packages it is from, nobody needs to know
        import cv2

        return str(cv2.__version__)
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def _models() -> dict[str, str]:
    """Models that load without a network: name or Hugging Face id -> folder."""
    from sam2_mlx.checkpoints import hub
    from sam2_mlx.checkpoints.load import BUNDLED_FOLDER
    from sam2_mlx.checkpoints.names import BUNDLED, PUBLISHED

    names = {published.repository: name for name, published in PUBLISHED.items()}
    folders = (cache_dir() / "models").glob("*--*")
    ids = sorted(folder.name.replace("--", "/", 1) for folder in folders if folder.is_dir())
    found = {names.get(key, key): str(hub.cached(key)) for key in ids if hub.cached(key)}
    return {BUNDLED: f"bundled ({BUNDLED_FOLDER})", **found}
