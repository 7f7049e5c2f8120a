"""Ctrl-C that lets the frame at hand be finished."""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType
from typing import Any

_MESSAGE = b"\nstopping after this frame; once more to drop what was written\n"


class StopSignals:
    """While active, the first Ctrl-C (or SIGTERM) is only noted, the second one interrupts.

    An interrupt in the middle of writing would leave a video without its end, so whoever works
    looks at `received` between two frames instead.

    Attributes:
        received: number of the signal that asked to stop, or 0.
    """

    def __init__(self) -> None:
        self.received = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        # Python delivers signals to the main thread only.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def ask(self) -> None:
        """Stop as after a Ctrl-C, the next one of which then interrupts."""
        self.received = self.received or signal.SIGINT

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received:
            raise KeyboardInterrupt
        self.received = number
        # print() is not safe here: the signal may have come within one.
        if sys.stderr is sys.__stderr__:
            os.write(2, _MESSAGE)
