"""A memory of the frames on which the object was seen: time stands still while it is not.

Source: the filter of SAM 3's tracker (Carion et al., "SAM 3: Segment Anything with Concepts",
2025); sam3/model/sam3_tracker_base.py, frame_filter.
"""

from __future__ import annotations

from typing import Any

import mlx.core as mx

from sam2_mlx.model.memory import ObjectMask
from sam2_mlx.tracking.memory_bank import FrameRecord
from sam2_mlx.tracking.memory_policy import RollingMemory
from sam2_mlx.tracking.memory_schedule import (
    MemoryPlan,
    MemorySchedule,
    closest_prompted,
    plan_memory,
)
from sam2_mlx.tracking.session_layout import each, frame_number, table

MIN_SCORE = 0.01
"""Of presence, -1 to 1, times predicted IoU: at most this, and a frame does not count."""

_NOTES = table({"invalid": each(frame_number)})


class ValidMemory(RollingMemory):
    """Rolling memory in which only frames count on which the object was seen, and the last one.

    How far back a frame lies is how many frames that count lie between, so what was seen before
    the object was hidden is remembered for as long as that lasts. While all count, it is the
    rolling memory.

    Args:
        schedule: as in `ObjectMemory`.
        stream: as in `ObjectMemory`.

    Attributes:
        invalid: tracked frames that do not count unless they are the last.
    """

    watches = True

    def __init__(self, schedule: MemorySchedule, stream: bool) -> None:
        super().__init__(schedule, stream)
        self.invalid: set[int] = set()

    def plan(self, frame: int, reverse: bool) -> MemoryPlan:
        """What a frame looks at."""
        chosen = closest_prompted(frame, list(self.prompted), self.schedule.max_prompted)
        prompts = plan_memory(frame, chosen, (), self.schedule, reverse)
        spatial = [
            (t, slot)
            for slot, t in enumerate(self._spatial(frame, reverse))
            if t not in chosen and self.has_tokens(t)
        ]
        pointers = [
            (t, distance)
            for distance, t in enumerate(self._pointers(frame, reverse), 1)
            if t not in chosen and self.get(t)
        ]
        return MemoryPlan(
            (*prompts.spatial, *reversed(spatial)),
            (*prompts.pointers, *pointers),
            self.schedule.pointer_span,
        )

    def _spatial(self, frame: int, reverse: bool) -> list[int]:
        """Frames whose spatial memories are recent."""
        return self._before(frame, reverse, self.schedule.stride)[: self.schedule.memories - 1]

    def _pointers(self, frame: int, reverse: bool) -> list[int]:
        """Frames whose pointers are recent."""
        return self._before(frame, reverse, 1)[: self.schedule.pointers - 1]

    def _before(self, frame: int, reverse: bool, stride: int) -> list[int]:
        """Frames that count before one, nearest first; the last may be unknown."""
        sign = -1 if reverse else 1
        last = frame - sign
        others = [
            t
            for t in (*self.prompted, *self.recent)
            if sign * (last - t) > 0 and t not in self.invalid and t % stride == 0
        ]
        return [last, *sorted(others, reverse=not reverse)]

    def drop_unneeded(self, frame: int) -> None:
        """Drop what neither this frame, should it be corrected, nor a later one looks at."""
        spatial, pointers = (
            {frame, *before(frame, False), *before(frame, True)}
            for before in (self._spatial, self._pointers)
        )
        self.trim(frame, spatial.__contains__, pointers.__contains__)
        self.invalid &= self.recent.keys()

    def write(self, frame: int, record: FrameRecord, *, prompted: bool) -> None:
        """Remember a frame; until it is watched, it counts."""
        self.invalid.discard(frame)
        super().write(frame, record, prompted=prompted)

    def watch(self, frame: int, mask: ObjectMask, offered: mx.array) -> None:
        """Note whether the frame counts; see `ObjectMemory.watch`."""
        # A presence of 0 to 1 as -1 to 1: 2 * sigmoid(x) - 1 is tanh(x / 2).
        score = mx.tanh(mask.presence.astype(mx.float32) / 2) * mask.iou
        if (score <= MIN_SCORE).item():
            self.invalid.add(frame)

    def save_notes(self) -> dict[str, Any]:
        """The frames that do not count."""
        return {"invalid": sorted(self.invalid)}

    def load_notes(self, notes: dict[str, Any]) -> None:
        """Take over what `save_notes` gave; see `ObjectMemory.load_notes`."""
        _NOTES(notes, "policy")
        self.invalid = set(notes["invalid"])
