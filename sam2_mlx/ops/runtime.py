"""What MLX runs on: the process is prepared for it here, and can be described.

On Linux a fast BLAS is put under MLX's CPU build, and `mx.compile` is turned off where it could
not work. On macOS, and for the BLAS where MLX runs on a CUDA GPU, there is nothing to do.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sam2_mlx.ops.cpu.blas import BLAS_VARIABLE, Blas, choose_blas
from sam2_mlx.ops.cpu.compiler import prepare_compiler


@dataclass(frozen=True)
class Runtime:
    """What `prepare` found and did.

    Attributes:
        blas: the matrix library of the CPU.
        compile_problem: why `mx.compile` was turned off; None when it was left on.
    """

    blas: Blas
    compile_problem: str | None = None


_runtime: Runtime | None = None
_reported = False


def prepare() -> Runtime:
    """Set up the process for MLX; call it before `mlx` is imported. Later calls do nothing."""
    global _runtime
    if _runtime is None:
        _runtime = _prepare() if sys.platform == "linux" else Runtime(Blas("mlx"))
    return _runtime


def report_once() -> None:
    """Say on stderr, once in a process, if MLX runs on a slow BLAS and what to install."""
    global _reported
    problem = prepare().blas.problem
    if problem and not _reported:
        print(f"sam2_mlx: {problem}", file=sys.stderr)
    _reported = True


def describe() -> dict[str, Any]:
    """What MLX runs on, as plain values.

    Returns:
        `device`, `device_name`, `memory_bytes`, `blas` (`origin`, `path`, `problem`), `compile`
        (`on`, `problem`), `kernels` and `mlx_conflict`.

    Raises:
        ValueError: if an environment variable has a value that means nothing.
    """
    import mlx.core as mx

    from sam2_mlx.ops.device import device_kind
    from sam2_mlx.ops.metal.switch import kernel_status

    runtime = prepare()
    device = mx.default_device()
    details = mx.device_info(device) if hasattr(mx, "device_info") else {}
    return {
        "device": device_kind(),
        "device_name": str(details.get("device_name", "")),
        "memory_bytes": int(details.get("memory_size", 0) or 0),
        "blas": asdict(runtime.blas),
        "compile": {
            "on": "MLX_DISABLE_COMPILE" not in os.environ,
            "problem": runtime.compile_problem,
        },
        "kernels": kernel_status(),
        "mlx_conflict": _mlx_conflict(),
    }


def measure_gflops(seconds: float = 0.2, size: int = 1024) -> float:
    """Highest speed of a float32 matrix product on MLX's default device.

    Args:
        seconds: how long to measure, after one product to warm up.
        size: side of the two square matrices.

    Returns:
        10^9 floating-point operations per second.
    """
    import time

    import mlx.core as mx

    left = mx.random.normal((size, size))
    right = mx.random.normal((size, size))
    mx.eval(left @ right)
    # The best, because others on the machine can only take from it.
    best, end = float("inf"), time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        mx.eval(left @ right)
        best = min(best, time.perf_counter() - start)
    return 2.0 * size**3 / best / 1e9


def _prepare() -> Runtime:
    site = _mlx_site()
    cuda = _cuda_in_use(site)
    blas = Blas("mlx") if cuda and BLAS_VARIABLE not in os.environ else choose_blas(site)
    return Runtime(blas, prepare_compiler(cuda))


# --- MLX's own build -------------------------------------------------------------------------


def _mlx_site() -> Path | None:
    """The folder MLX is installed in, or None without MLX."""
    try:
        spec = importlib.util.find_spec("mlx")
    except (ImportError, ValueError):
        return None
    # MLX is a namespace package: any folder named mlx on sys.path is a part of it, /tmp/mlx too.
    for location in (spec.submodule_search_locations or []) if spec else []:
        if next(Path(location).glob("core.*"), None):
            return Path(location).parent
    return None


def _cuda_in_use(site: Path | None) -> bool:
    """Whether MLX has its CUDA build here, and the machine a driver for it."""
    if site is None or not any(site.glob("mlx_cuda*.dist-info")) or _mlx_conflict(site):
        return False
    return any(os.path.exists(node) for node in ("/dev/nvidiactl", "/dev/dxg"))


def _mlx_conflict(site: Path | None = None) -> str | None:
    """What is wrong if the CPU and the CUDA build of MLX lie over each other, else None."""
    site = site or _mlx_site()
    if site is None:
        return None
    cuda = sorted(site.glob("mlx_cuda*.dist-info"))
    if not cuda or not any(site.glob("mlx_cpu*.dist-info")):
        return None
    library = site / "mlx" / "lib" / "libmlx.so"
    # Both wheels write this one file; the CUDA build's is several times as large.
    if library.exists() and library.stat().st_size > 60_000_000:
        return None
    name = cuda[0].name.split("-")[0].replace("_", "-")
    return (
        f"mlx-cpu lies over {name}, so the GPU is not used; "
        f"run `pip install --force-reinstall --no-deps {name}`"
    )
