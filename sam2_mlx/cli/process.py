"""The life of a command's process: its streams, and the signals that ask it to end."""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from io import TextIOWrapper
from types import FrameType
from typing import Any, NoReturn, TypeVar

# Ctrl-C, `kill`, and a terminal that was closed.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_Self = TypeVar("_Self", bound="Handling")


class Interrupted(KeyboardInterrupt):
    """A signal came that ends a command.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Handling:
    """While active, a function is called with the number of every signal that ends a command.

    A closed terminal stays ignored where the caller wants it so (`nohup`).
    """

    def __init__(self, handler: Callable[[int], None]) -> None:
        self._handler = handler
        self._before: dict[int, Any] = {}

    def __enter__(self: _Self) -> _Self:
        # Python delivers signals to the main thread only.
        main = threading.current_thread() is threading.main_thread()
        for number in _SIGNALS if main else ():
            earlier = signal.getsignal(number)
            if number != signal.SIGHUP or earlier is not signal.SIG_IGN:
                self._before[number] = earlier
                signal.signal(number, self._call)
        return self

    def __exit__(self, *exc: object) -> None:
        for number, earlier in self._before.items():
            signal.signal(number, earlier)
        self._before.clear()

    def _call(self, number: int, frame: FrameType | None) -> None:
        self._handler(number)


def interrupt(number: int) -> None:
    """Raise `Interrupted`, where a signal came."""
    raise Interrupted(number)


def be_command(command: Callable[[], int]) -> NoReturn:
    """Be the process of a command that handles its own errors; end with its exit code."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # Or the next file that is opened would take its place, and what is printed with it.
            os.open(os.devnull, os.O_RDWR)
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors == "strict":
        # A name that the terminal's encoding lacks is no reason to fail when all is written.
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.stderr = _Unheard(sys.stderr or open(os.devnull, "w"))
    sys.unraisablehook = _unraisable
    # Before the work there is nothing to undo, and after it nothing to lose.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    code: int | str | None
    try:
        code = command()
    except SystemExit as leaving:  # argparse, which has printed its help
        code = leaving.code
    if sys.stdout is not None:
        try:
            sys.stdout.flush()
        except (OSError, ValueError):
            silence_stdout()
    sys.exit(code)


def silence_stdout() -> None:
    """Let what is still to be printed go nowhere: Python flushes once more at exit."""
    if sys.stdout is sys.__stdout__:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


class _Unheard:
    """A stream whose reader may go away: what is said then is lost, and the work goes on."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()


def _ask_again(number: int) -> None:
    time.sleep(0.05)
    signal.raise_signal(number)


def _unraisable(unraisable: Any) -> None:
    """Ask again for the end, where an interrupt came within a callback that cannot raise."""
    if isinstance(unraisable.exc_value, Interrupted):
        # Not at once: within this function it would be lost again. A Timer's start waits for its
        # thread, which on a busy machine is long enough for that.
        _thread.start_new_thread(_ask_again, (unraisable.exc_value.number,))
    else:
        sys.__unraisablehook__(unraisable)
