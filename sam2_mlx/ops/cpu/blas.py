"""A fast BLAS under MLX's CPU build for Linux.

That build is linked to the reference BLAS (about 4 GFLOP/s). The dynamic linker takes the first
`cblas_sgemm` it finds, so an OpenBLAS loaded into the global namespace before MLX is imported
serves MLX too, about thirty times as fast.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

BLAS_VARIABLE = "SAM2_MLX_BLAS"
# A pthreads build comes first: where a system has both, the plain name is single-threaded.
_SYSTEM_NAMES = ("libopenblasp.so.0", "libopenblas.so.0", "libopenblas.so")
_SPIN_VARIABLE = "OPENBLAS_THREAD_TIMEOUT"
_SPIN = "16"  # 2^16 clock ticks
_INSTALL_HINT = (
    "`pip install -U opencv-python-headless`, or install the system's OpenBLAS "
    "(`apt install libopenblas0-pthread`, `dnf install openblas-threads`)"
)


@dataclass(frozen=True)
class Blas:
    """The matrix library under MLX's CPU build.

    Attributes:
        origin: `system`, `opencv-python`, `SAM2_MLX_BLAS` (a path from the environment),
            `LD_PRELOAD`, or `mlx` (the one MLX was built with).
        path: the library's file or name, where one was loaded.
        problem: why a slow library is in use, and what to do; None when all is well.
    """

    origin: str
    path: str | None = None
    problem: str | None = None


def choose_blas(site: Path | None) -> Blas:
    """Put a fast BLAS under MLX, or say why that was not possible.

    Args:
        site: the folder MLX is installed in.

    Returns:
        What is in use from now on.
    """
    wanted = os.environ.get(BLAS_VARIABLE, "")
    preloaded = os.environ.get("LD_PRELOAD", "")
    if wanted.lower() in ("off", "0"):
        return Blas("mlx")
    if not wanted and "blas" in preloaded:
        return Blas("LD_PRELOAD", preloaded)
    if not wanted and site is not None and not any(site.glob("mlx_c*.libs/libblas*")):
        return Blas("mlx")  # a build of MLX that does not bring the reference BLAS
    if "mlx.core" in sys.modules:
        # Its symbols are bound already; loading another library cannot change that.
        problem = (
            "mlx was imported before sam2_mlx and keeps its slow BLAS; "
            "put `import sam2_mlx` before the first `import mlx.core`."
        )
        return Blas("mlx", problem=problem)
    if wanted:
        return _load_wanted(wanted)
    for name in _SYSTEM_NAMES:
        if load_global(name) is None:
            return Blas("system", _loaded_path(name))
    for path in _opencv_libraries():
        _load_fortran(path.parent)
        if load_global(str(path)) is None:
            return Blas("opencv-python", str(path))
    return Blas("mlx", problem=f"no OpenBLAS found, so this will be slow; {_INSTALL_HINT}.")


def _load_wanted(path: str) -> Blas:
    refusal = load_global(path)
    if refusal is None:
        return Blas(BLAS_VARIABLE, path)
    problem = (
        f"{BLAS_VARIABLE}={path} cannot be used ({refusal}), so MLX keeps its slow BLAS; "
        "give the path of an OpenBLAS, or unset the variable."
    )
    return Blas("mlx", problem=problem)


def load_global(name: str) -> str | None:
    """Load a BLAS, by path or soname, for every library that is loaded later.

    Returns:
        None if it was loaded, else why not.
    """
    try:
        # Looked at privately first: a library with 64-bit sizes must never become global.
        with _quick_to_sleep():
            library = ctypes.CDLL(name)
    except OSError as error:
        return str(error)
    if not hasattr(library, "cblas_sgemm"):
        return "it has no cblas_sgemm"
    if _has_64_bit_sizes(library):
        return "it was built for 64-bit sizes, MLX wants 32-bit ones"
    ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
    _limit_threads(library)
    return None


@contextmanager
def _quick_to_sleep() -> Iterator[None]:
    """Let an OpenBLAS loaded meanwhile put idle threads to sleep at once.

    It reads this when it is loaded. By default its threads spin for some 25 ms after a product,
    at the expense of whatever MLX or a decoder does next; on a busy machine that halves the speed.
    """
    if _SPIN_VARIABLE in os.environ:
        yield
        return
    os.environ[_SPIN_VARIABLE] = _SPIN
    try:
        yield
    finally:
        del os.environ[_SPIN_VARIABLE]


def _has_64_bit_sizes(library: ctypes.CDLL) -> bool:
    if not hasattr(library, "openblas_get_config"):
        return False
    library.openblas_get_config.restype = ctypes.c_char_p
    config: bytes = library.openblas_get_config() or b""
    return b"USE64BITINT" in config


def _limit_threads(library: ctypes.CDLL) -> None:
    """Keep OpenBLAS to the cores this process may use; it does not see a container's quota."""
    if threads_are_given():
        return
    if hasattr(library, "openblas_get_num_threads") and hasattr(
        library, "openblas_set_num_threads"
    ):
        cores = usable_cores()
        if library.openblas_get_num_threads() > cores:
            library.openblas_set_num_threads(cores)


def threads_are_given() -> bool:
    """Whether the environment says how many threads a BLAS uses."""
    return any(os.environ.get(name) for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"))


def usable_cores(quota_file: str = "/sys/fs/cgroup/cpu.max") -> int:
    """Cores this process may use: its affinity, cut by the control group's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cores = cores or 1
    try:
        quota, period = Path(quota_file).read_text().split()[:2]
    except (OSError, ValueError):
        return cores
    if quota.isdigit() and period.isdigit() and int(period) > 0:
        cores = min(cores, max(1, -(-int(quota) // int(period))))
    return cores


def _opencv_libraries() -> list[Path]:
    """The OpenBLAS files shipped beside the cv2 package, found without importing it."""
    try:
        spec = importlib.util.find_spec("cv2")
    except (ImportError, ValueError):
        return []
    if spec is None or spec.origin is None:
        return []
    site = Path(spec.origin).parent.parent
    return sorted(site.glob("opencv_*.libs/libopenblas*.so*"))


def _load_fortran(folder: Path) -> None:
    """Load the Fortran runtime a wheel ships with its BLAS; not every wheel says where it is."""
    for pattern in ("libquadmath*.so*", "libgfortran*.so*"):
        for path in sorted(folder.glob(pattern)):
            with suppress(OSError):
                ctypes.CDLL(str(path))


def _loaded_path(name: str) -> str:
    """Where the linker found a library that was asked for by its soname."""
    stem = name.split(".so")[0]
    try:
        with open("/proc/self/maps") as maps:
            paths = {line.split(None, 5)[5].strip() for line in maps if f"/{stem}" in line}
    except OSError:
        return name
    return min(paths, default=name)
