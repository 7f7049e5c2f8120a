"""What an object's memory keeps: everything, or what one direction can still need."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import mlx.core as mx

from sam2_mlx.model.memory import ObjectMask
from sam2_mlx.tracking.memory_bank import MemoryBank
from sam2_mlx.tracking.memory_schedule import (
    MemoryPlan,
    MemorySchedule,
    plan_memory,
    pointer_needed,
    spent_prompts,
    tokens_needed,
)


class ObjectMemory(MemoryBank):
    """The memory of one object: a bank, and what decides which of its frames are looked at.

    As it stands it forgets nothing. A policy that keeps less, or looks at other frames, overrides
    what differs; what it notes for itself is its own, and is saved and loaded by it.

    Args:
        schedule: which frames count as recent.
        stream: frames that were passed are never shown again.

    Attributes:
        schedule: the same.
        one_way: whether the video can be followed in one direction only.
        watches: whether `watch` wants to see every frame.
    """

    one_way = False
    watches = False

    def __init__(self, schedule: MemorySchedule, stream: bool) -> None:
        super().__init__()
        self.schedule = schedule
        self._stream = stream

    def plan(self, frame: int, reverse: bool) -> MemoryPlan:
        """What a frame looks at."""
        return plan_memory(frame, list(self.prompted), self.recent, self.schedule, reverse)

    def tidy(self, frame: int, reverse: bool) -> None:
        """Drop what is no longer needed after a frame."""

    def corrected(self, frame: int) -> None:
        """A tracked frame was corrected; the correction is in the bank."""

    def watch(self, frame: int, mask: ObjectMask, offered: mx.array) -> None:
        """See what was tracked on a frame, which is in the bank.

        Args:
            frame: index of the frame.
            mask: the chosen mask, batch 1.
            offered: logits (1, M, S/4, S/4) of all masks that were offered.
        """

    def forget_around(self, frame: int) -> None:
        """Forget the tracked frames around one, as far as memories can be apart."""
        reach = self.schedule.memories * self.schedule.stride
        self.forget(lambda t: t != frame and abs(t - frame) <= reach)

    def save_notes(self) -> dict[str, Any]:
        """What the policy knows beside the bank, as JSON has it."""
        return {}

    def load_notes(self, notes: dict[str, Any]) -> None:
        """Take over what `save_notes` gave; the bank is filled already.

        Raises:
            KeyError, TypeError, ValueError: if it is something else.
        """


class FullMemory(ObjectMemory):
    """Keeps every frame: for corrections anywhere and for both directions."""


class RollingMemory(ObjectMemory):
    """Keeps what one direction can still need: as much after an hour as after a second."""

    one_way = True

    def plan(self, frame: int, reverse: bool) -> MemoryPlan:
        """What a frame looks at; in a stretch that is followed once more, what is left of it."""
        plan = super().plan(frame, reverse)
        return replace(plan, spatial=tuple(p for p in plan.spatial if self.has_tokens(p[0])))

    def tidy(self, frame: int, reverse: bool) -> None:
        """Drop what no later frame can ask for."""
        for t in spent_prompts(frame, list(self.prompted), self.schedule, reverse):
            self.demote(t)
        self.drop_unneeded(frame)
        if self._stream:
            self.drop_masks([t for t in self.prompted if t != frame])

    def drop_unneeded(self, frame: int) -> None:
        """Drop what no frame after this one can ask for from the tracked frames."""
        self.trim(
            frame,
            lambda t: self.needs_tokens(t, frame),
            lambda t: pointer_needed(t, frame, self.schedule),
        )

    def needs_tokens(self, t: int, frame: int) -> bool:
        """Whether a tracked frame's spatial memory can still be asked for after a frame."""
        return tokens_needed(t, frame, self.schedule)
