"""The first time on a machine: functions run as they are until their programs are there.

MLX makes a program of each compiled function with `g++`, a dozen one after the other: 15 s on two
cores, in which nothing would move. So another process goes through all of them once, and until it
is done this one runs the functions as they are, which gives the same results a little slower.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

_COMMAND = "from sam2_mlx.cli.rehearse import rehearse; rehearse()"
_LOOK_SECONDS = 0.5
# A process that takes longer has ended without a word.
_GIVEN_UP_SECONDS = 600

_lock = threading.Lock()
_folder: Path | None = None
_process: subprocess.Popen[bytes] | None = None
_next_look = 0.0


def rehearse_in(folder: Path) -> None:
    """Run functions as they are until the programs in a folder are complete."""
    global _folder
    # A program that has Python inside would start itself.
    if sys.executable and not getattr(sys, "frozen", False):
        _folder = folder


def compile_at_once() -> None:
    """Compile in this process, where it is needed: to measure, or for the rehearsal itself."""
    global _folder
    _folder = None


def programs_are_there() -> bool:
    """Whether compiled functions can be run without waiting for a compiler."""
    return _folder is None or _look()


def _look() -> bool:
    """Look for the mark now and then, and see to it that somebody works on it."""
    global _process, _next_look
    with _lock:
        folder, now = _folder, time.monotonic()
        if folder is None or now < _next_look:
            return folder is None
        _next_look = now + _LOOK_SECONDS
        # Where it failed, whatever is wrong shall be seen.
        if mark(folder).exists() or (_process is not None and _process.poll()):
            compile_at_once()
        elif _process is None:
            _process = _start()
        return _folder is None


def mark(folder: Path) -> Path:
    """The file that tells that the programs of these versions are complete."""
    from importlib.metadata import version

    from sam2_mlx import __version__

    return folder / f"complete for sam2_mlx {__version__}, mlx {version('mlx')}"


def _start() -> subprocess.Popen[bytes]:
    package = str(Path(__file__).resolve().parents[3])
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.Popen(
        [sys.executable, "-c", _COMMAND],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # It goes on when this process is interrupted or has ended.
        start_new_session=True,
    )


class Rehearsal:
    """The work of that other process: one at a time, and marked when it is complete.

    Used with `with`; `needed` is false where there is nothing to do.
    """

    def __init__(self) -> None:
        self._folder = _folder
        compile_at_once()
        self.needed = self._folder is not None and self._claim(self._folder)

    def _claim(self, folder: Path) -> bool:
        busy = folder / "busy"
        with suppress(OSError):
            if time.time() - busy.stat().st_mtime > _GIVEN_UP_SECONDS:
                busy.unlink()
        try:
            busy.touch(exist_ok=False)
        except FileExistsError:
            return False
        return True

    def __enter__(self) -> bool:
        return self.needed

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self.needed and self._folder is not None:
            if kind is None:
                mark(self._folder).touch()
            (self._folder / "busy").unlink(missing_ok=True)
