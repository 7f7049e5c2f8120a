"""Ctrl-C that lets the frame at hand be finished."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from sam2_mlx.cli.process import Handling, interrupt

_MESSAGE = b"\nstopping after this frame; once more to drop what was written\n"


class StopSignals(Handling):
    """While active, the first signal that ends a command is only noted, the second interrupts.

    An interrupt in the middle of writing would leave a video without its end, so whoever works
    looks at `received` between two frames instead.

    Attributes:
        received: number of the signal that asked to stop, or 0.
    """

    def __init__(self) -> None:
        super().__init__(self._note)
        self.received = 0

    def ask(self) -> None:
        """Stop as after a Ctrl-C, the next one of which then interrupts."""
        self.received = self.received or signal.SIGINT

    def _note(self, number: int) -> None:
        if self.received:
            interrupt(number)
        self.received = number
        # print() is not safe here: the signal may have come within one.
        with suppress(OSError):
            os.write(2, _MESSAGE)
