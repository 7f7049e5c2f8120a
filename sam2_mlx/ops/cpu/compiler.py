"""`mx.compile` on a CPU: a compiler, and a folder of our own for the programs that it makes.

MLX writes C++ into a folder `mlx` where temporary files are, runs `g++` and loads the result into
the process. Anybody can make that folder first, and then decides what the others run; what was cut
short in it stays for ever; and often it is emptied at every start. So MLX is given a folder that
nobody else can write and that lasts. What it compiles for an NVIDIA GPU lies in the same place.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import stat
import struct
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from sam2_mlx.files import platform_cache
from sam2_mlx.ops.cpu.rehearsal import rehearse_in

_NEEDED_BYTES = 64 * 2**20
# A program that is older than this is written by nobody any more.
_SETTLED_SECONDS = 60


def prepare_compiler(cuda: bool = False) -> str | None:
    """Give MLX a private folder for compiled programs, or turn `mx.compile` off.

    Args:
        cuda: MLX runs on an NVIDIA GPU, for which it needs no g++, and always compiles something;
            without a private folder it does so in each process anew.

    Returns:
        The reason if it was turned off, else None.
    """
    if cuda:
        if _use_private_folder(rehearsed=False):
            os.environ.setdefault("MLX_PTX_CACHE_DIR", "")
        return None
    if "MLX_DISABLE_COMPILE" in os.environ:
        return "MLX_DISABLE_COMPILE is set"
    problem = "no g++ in PATH" if shutil.which("g++") is None else _use_private_folder()
    if problem:
        os.environ["MLX_DISABLE_COMPILE"] = "1"
        if "mlx.core" in sys.modules:
            sys.modules["mlx.core"].disable_compile()
    return problem


def _use_private_folder(rehearsed: bool = True) -> str | None:
    """Let MLX take a private folder for the one of temporary files; returns what hinders."""
    problems = []
    # Not in SAM2_MLX_CACHE: models may be shared with others, programs may not.
    for choose in (_lasting, _temporary):
        try:
            folder = choose()
            problem = _make_private(folder)
        except (OSError, RuntimeError) as error:
            problem = str(error)
        if problem is None:
            _remove_damaged(folder)
            if rehearsed:
                rehearse_in(folder)
            # In C only: Python's own temporary files stay where they are.
            ctypes.CDLL(None).setenv(b"TMPDIR", os.fsencode(folder), 1)
            return None
        problems.append(problem)
    return "; ".join(problems)


def _lasting() -> Path:
    return platform_cache() / "compiled"


def _temporary() -> Path:
    return Path(tempfile.gettempdir()) / f"sam2_mlx-{os.geteuid()}"


def _make_private(folder: Path) -> str | None:
    """Make a folder that only this user can write; returns what is wrong with it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    own = os.geteuid()
    here = os.lstat(folder)
    if not stat.S_ISDIR(here.st_mode) or here.st_uid != own:
        return f"{folder} is not a folder of this user"
    for parent in folder.resolve().parents:
        above = os.stat(parent)
        replaceable = above.st_mode & stat.S_IWOTH and not above.st_mode & stat.S_ISVTX
        if above.st_uid not in (0, own) or replaceable:
            return f"{parent} belongs to or can be written by others"
    os.chmod(folder, 0o700)
    system = os.statvfs(folder)
    if system.f_flag & getattr(os, "ST_NOEXEC", 0):
        return f"{folder} is mounted noexec"
    if system.f_bavail * system.f_frsize < _NEEDED_BYTES:
        return f"the disk of {folder} is full"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"{folder} is not writable"
    return None


def _remove_damaged(folder: Path) -> None:
    """Remove programs that a full disk or a killed process cut short: to load one is the end."""
    settled = time.time() - _SETTLED_SECONDS
    # Beside them what g++ has for itself, if it was killed.
    for path in (*folder.glob("mlx/*/cpu/*.so"), *folder.glob("cc*")):
        with suppress(OSError):
            damaged = path.suffix != ".so" or not _is_whole(path)
            if damaged and path.stat().st_mtime < settled:
                path.unlink()
    # MLX writes the source last.
    for path in folder.glob("mlx/*/ptx/**/*.ptx"):
        with suppress(OSError):
            if not path.with_suffix(".cu").exists() and path.stat().st_mtime < settled:
                path.unlink()


def _is_whole(path: Path) -> bool:
    """Whether an ELF file reaches to the end of its last table, which stands behind all else."""
    with path.open("rb") as file:
        head = file.read(64)
        size = os.fstat(file.fileno()).st_size
    if len(head) < 64 or head[:4] != b"\x7fELF" or head[4] != 2:
        return False
    (table,) = struct.unpack_from("<Q", head, 40)
    entry, count = struct.unpack_from("<HH", head, 58)
    return bool(table + entry * count <= size)
