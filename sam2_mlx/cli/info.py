"""The command `sam2-mlx info`: what MLX runs on here, and which models are at hand."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from sam2_mlx import __version__
from sam2_mlx.cli.arguments import CommandParser
from sam2_mlx.files import cache_dir
from sam2_mlx.ops import runtime

_PACKAGES = ("mlx", "numpy", "safetensors", "pillow", "opencv", "av", "huggingface_hub")
# Below this a CPU is on the reference BLAS; one laptop core does more with a fast one.
_SLOW_GFLOPS = 10.0


def main(argv: list[str]) -> int:
    """Run the command; the exit code is 0."""
    parser = CommandParser("info", "Say what MLX runs on here, and which models are at hand.")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    options = parser.parse_args(argv)
    facts = collect()
    print(json.dumps(facts, indent=2) if options.json else render(facts))
    return 0


def collect() -> dict[str, Any]:
    """Everything that a bug report should say about the machine.

    Returns:
        `runtime.describe()`'s values with `float32` (exact or short, see `ops.precision`),
        `default_dtype`, `version`, `packages`, `python`, `platform`, `gflops` (float32 matrix
        product, measured), `models` (name -> where it is) and `profiles` (lines).
    """
    from sam2_mlx.ops.dtypes import dtype_name, resolve_dtype
    from sam2_mlx.ops.precision import products_are_short

    facts = runtime.describe()
    facts["float32"] = "short" if products_are_short() else "exact"
    facts["default_dtype"] = dtype_name(resolve_dtype("auto"))
    facts["version"] = __version__
    facts["python"] = platform.python_version()
    facts["platform"] = system_name()
    facts["packages"] = {name: _version_of(name) for name in _PACKAGES}
    facts["gflops"] = round(runtime.measure_gflops(), 1)
    facts["models"] = _models()
    facts["profiles"] = _profiles(facts["models"])
    return facts


def render(facts: dict[str, Any]) -> str:
    """The values of `collect` as lines `name  value` to read, with a line for each problem."""
    blas, compiling = facts["blas"], facts["compile"]
    name = facts["device_name"]
    memory = f", {facts['memory_bytes'] / 2**30:.0f} GiB" if facts["memory_bytes"] else ""
    rows = [
        ("sam2_mlx", f"{facts['version']} (Python {facts['python']}, {facts['platform']})"),
        ("packages", ", ".join(f"{key} {value}" for key, value in facts["packages"].items())),
        ("device", facts["device"] + (f" ({name}{memory})" if name else "")),
        ("dtype", f"{facts['default_dtype']} (what `auto` means here)"),
        ("float32", _float32_line(facts["float32"])),
        ("BLAS", _blas_line(blas)),
        ("speed", f"{facts['gflops']:.0f} GFLOP/s (float32 matrix product, 1024 x 1024)"),
        ("compile", "on" if compiling["on"] else f"off ({compiling['problem']})"),
        ("kernels", facts["kernels"]),
        *(("model", f"{key}: {place}") for key, place in facts["models"].items()),
        *(("profile", line) for line in facts["profiles"]),
    ]
    lines = [f"{key:9} {value}" for key, value in rows]
    lines += [f"problem   {problem}" for problem in _problems(facts)]
    return "\n".join(lines)


def _float32_line(products: str) -> str:
    if products == "exact":
        return "exact"
    return "products keep about ten bits of mantissa; MLX_ENABLE_TF32=0 keeps all"


def _blas_line(blas: dict[str, Any]) -> str:
    if blas["origin"] == "mlx":
        return "Accelerate" if sys.platform == "darwin" else "the one MLX was built with"
    source = {"system": "the system's OpenBLAS", "opencv-python": "opencv-python's OpenBLAS"}
    return f"{source.get(blas['origin'], 'set by ' + blas['origin'])} ({blas['path']})"


def _problems(facts: dict[str, Any]) -> list[str]:
    problems = [facts["blas"]["problem"], facts["mlx_conflict"]]
    if not problems[0] and facts["device"] == "cpu" and facts["gflops"] < _SLOW_GFLOPS:
        problems.append(
            f"{facts['gflops']:.0f} GFLOP/s is slow; SAM2_MLX_BLAS=/path/to/libopenblas.so "
            "names a faster library"
        )
    return [problem for problem in problems if problem]


def system_name(with_build: bool = True) -> str:
    """The system, its version or build, and the processor's kind."""
    if sys.platform == "darwin":
        return f"macOS {platform.mac_ver()[0]} {platform.machine()}"
    build = f" {platform.release()}" if with_build else ""
    return f"{platform.system()}{build} {platform.machine()}"


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
    facts = {names.get(key, key): str(hub.cached(key)) for key in ids if hub.cached(key)}
    return {BUNDLED: f"bundled ({BUNDLED_FOLDER})", **facts}


def _profiles(names: Iterable[str]) -> list[str]:
    """A line for each profile that `sam2-mlx tune` made for models on this machine."""
    from sam2_mlx.checkpoints.load import profile_place
    from sam2_mlx.checkpoints.profiles import describe_profiles
    from sam2_mlx.ops.profile import profiles_wanted

    if not profiles_wanted():
        return []
    lines = [(name, line) for name in names for line in describe_profiles(profile_place(name))]
    return [f"{name}, {line}" for name, line in lines]
