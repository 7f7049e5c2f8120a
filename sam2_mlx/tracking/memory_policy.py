"""What a video's memory keeps: everything, or what one direction can still need."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from sam2_mlx.tracking.memory_bank import MemoryBank
from sam2_mlx.tracking.memory_schedule import (
    MemoryPlan,
    MemorySchedule,
    plan_memory,
    pointer_needed,
    spent_prompts,
    tokens_needed,
)


class MemoryPolicy(Protocol):
    """Decides what a frame looks at and what is kept for later ones.

    Attributes:
        schedule: which frames count as recent.
        one_way: whether the video can be followed in one direction only.
        watches: whether `watch` wants to see every frame.
    """

    schedule: MemorySchedule
    one_way: bool
    watches: bool

    def plan(self, bank: MemoryBank, frame: int, reverse: bool) -> MemoryPlan:
        """What a frame looks at."""

    def tidy(self, bank: MemoryBank, frame: int, reverse: bool) -> None:
        """Drop what is no longer needed after a frame."""

    def corrected(self, bank: MemoryBank, frame: int) -> None:
        """A tracked frame was corrected; the correction is in the bank."""

    def watch(self, bank: MemoryBank, frame: int, iou: float, masks: np.ndarray) -> None:
        """See what was found on a frame.

        Args:
            bank: the object's memory.
            frame: index of the frame, already in the bank.
            iou: predicted IoU of the chosen mask.
            masks: bool (1 + M, h, w), the chosen mask first (empty if the object is absent),
                then all masks that were offered.
        """


class FullMemory:
    """Keeps every frame: for corrections anywhere and for both directions.

    Args:
        schedule: which frames count as recent.
    """

    one_way = False
    watches = False

    def __init__(self, schedule: MemorySchedule) -> None:
        self.schedule = schedule

    def plan(self, bank: MemoryBank, frame: int, reverse: bool) -> MemoryPlan:
        """What a frame looks at."""
        return plan_memory(frame, list(bank.prompted), bank.recent, self.schedule, reverse)

    def tidy(self, bank: MemoryBank, frame: int, reverse: bool) -> None:
        """Nothing is dropped."""

    def corrected(self, bank: MemoryBank, frame: int) -> None:
        """It counts like any other tracked frame."""

    def watch(self, bank: MemoryBank, frame: int, iou: float, masks: np.ndarray) -> None:
        """Nothing to see."""


class RollingMemory(FullMemory):
    """Keeps what one direction can still need: as much after an hour as after a second.

    Args:
        schedule: which frames count as recent.
        stream: frames that were passed are never shown again, so their masks are dropped.
    """

    one_way = True

    def __init__(self, schedule: MemorySchedule, stream: bool) -> None:
        super().__init__(schedule)
        self._stream = stream

    def tidy(self, bank: MemoryBank, frame: int, reverse: bool) -> None:
        """Drop what no later frame can ask for."""
        for t in spent_prompts(frame, list(bank.prompted), self.schedule, reverse):
            bank.demote(t)
        bank.trim(
            frame,
            lambda t: self.needs_tokens(t, frame),
            lambda t: pointer_needed(t, frame, self.schedule),
        )
        if self._stream:
            bank.drop_masks([t for t in bank.prompted if t != frame])

    def needs_tokens(self, t: int, frame: int) -> bool:
        """Whether a recent frame's spatial memory can still be asked for after a frame."""
        return tokens_needed(t, frame, self.schedule)
