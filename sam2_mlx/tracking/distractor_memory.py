"""A memory that tells an object from its look-alikes, without training.

Two kinds of tracked frames are remembered beside the prompted ones. Appearances show the object
as it lately looked; one is added every few frames, and none while the object is out of sight, so
that it can be found again. Anchors are frames on which the decoder offered something else as
well, a look-alike, and still was sure of the object.

Source: Videnovic, Lukezic, Kristan, "A Distractor-Aware Memory for Visual Object Tracking with
SAM2" (CVPR 2025, arXiv 2411.17576), section 3; written from the paper.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median
from typing import Any

import mlx.core as mx
import numpy as np

from sam2_mlx.model.memory import ObjectMask
from sam2_mlx.ops.masks import connected_regions, mask_box
from sam2_mlx.tracking.memory_bank import FrameRecord
from sam2_mlx.tracking.memory_policy import RollingMemory
from sam2_mlx.tracking.memory_schedule import MemoryPlan, MemorySchedule
from sam2_mlx.tracking.session_layout import each, frame_number, row, table, whole


@dataclass(frozen=True)
class DistractorRules:
    """When a frame is remembered.

    Attributes:
        interval: frames between two appearances, and between two anchors.
        min_iou: predicted IoU above which a mask can be an anchor.
        area_tolerance: how far its area may be from the median of the last ones, as a share.
        areas: how many areas the median is taken of.
        max_box_share: box of the mask over the box of the mask and an alternative together; up
            to this share the alternative shows something else.
    """

    interval: int = 5
    min_iou: float = 0.8
    area_tolerance: float = 0.2
    areas: int = 10
    max_box_share: float = 0.7


_NOTES = table(
    {
        "appearances": each(frame_number),
        "anchors": each(frame_number),
        "areas": each(row(frame_number, whole(0, 2**40))),
    }
)


class DistractorAwareMemory(RollingMemory):
    """Rolling memory with appearances and anchors instead of the last frames.

    Half of the recent memories are appearances (the last frame is one of them if the object is
    seen on it), the other half anchors. Appearances have the time slots of recent frames, in
    their order; anchors have no place in time, and the slot of prompted frames.

    Args:
        schedule: how many memories there are; pointers follow it unchanged.
        stream: as in `ObjectMemory`.

    Attributes:
        rules: when a frame is remembered.
        appearances: tracked frames that show the object as it lately looked, oldest first.
        anchors: tracked frames that tell the object from look-alikes, oldest first.
        areas: area of the mask on the last frames.
    """

    watches = True

    def __init__(self, schedule: MemorySchedule, stream: bool) -> None:
        super().__init__(schedule, stream)
        self.rules = DistractorRules()
        self.appearances: list[int] = []
        self.anchors: list[int] = []
        self.areas: dict[int, int] = {}
        self._slots = max((schedule.memories - 1) // 2, 1)

    def plan(self, frame: int, reverse: bool) -> MemoryPlan:
        """What a frame looks at."""
        plain = super().plan(frame, reverse)
        timeless = self.schedule.memories - 1
        prompted = [t for t, slot in plain.spatial if slot == timeless]
        last = frame + 1 if reverse else frame - 1
        visible = [t for t in self.appearances if t not in (frame, last)]
        if last not in self.prompted and self.has_tokens(last) and self.areas.get(last, 1) > 0:
            visible.append(last)
        visible = visible[-self._slots :]
        spatial = [(t, timeless) for t in (*prompted, *self.anchors) if t != frame]
        spatial += [(t, len(visible) - 1 - place) for place, t in enumerate(visible)]
        return MemoryPlan(tuple(spatial), plain.pointers, plain.pointer_span)

    def needs_tokens(self, t: int, frame: int) -> bool:
        """Of what was chosen, of this frame, and of the last should this one be corrected."""
        return abs(frame - t) <= 1 or t in self.appearances or t in self.anchors

    def write(self, frame: int, record: FrameRecord, *, prompted: bool) -> None:
        """Remember a frame; what it was chosen for before does not hold any more."""
        self._unchoose(lambda t: t == frame)
        super().write(frame, record, prompted=prompted)

    def forget(self, where: Callable[[int], bool]) -> None:
        """Drop tracked frames by number, chosen ones too."""
        self._unchoose(where)
        super().forget(where)

    def _unchoose(self, where: Callable[[int], bool]) -> None:
        self.appearances = [t for t in self.appearances if not where(t)]
        self.anchors = [t for t in self.anchors if not where(t)]

    def corrected(self, frame: int) -> None:
        """A frame that somebody corrected shows the object for sure."""
        self.areas.pop(frame, None)
        self.appearances = _with(self.appearances, frame, self._slots)

    def watch(self, frame: int, mask: ObjectMask, offered: mx.array) -> None:
        """Choose the frame if it teaches something; see `ObjectMemory.watch`."""
        rules, chosen = self.rules, np.array(mask.logits)[0, 0] > 0
        area = int(chosen.sum())
        self.areas[frame] = area
        for t in list(self.areas)[: -rules.areas]:
            del self.areas[t]
        if area == 0:
            return
        if _due(frame, self.appearances, rules.interval):
            self.appearances = _with(self.appearances, frame, self._slots)
        usual = median(a for a in self.areas.values() if a)
        if (
            np.array(mask.iou).item() > rules.min_iou
            and abs(area - usual) <= rules.area_tolerance * usual
            and _due(frame, [*self.prompted, *self.anchors], rules.interval)
            and box_share(chosen, np.array(offered)[0] > 0) <= rules.max_box_share
        ):
            self.anchors = _with(self.anchors, frame, self._slots)
        self.drop_unneeded(frame)

    def save_notes(self) -> dict[str, Any]:
        """Chosen frames and areas."""
        return {
            "appearances": self.appearances,
            "anchors": self.anchors,
            "areas": list(self.areas.items()),
        }

    def load_notes(self, notes: dict[str, Any]) -> None:
        """Take over what `save_notes` gave; see `ObjectMemory.load_notes`."""
        _NOTES(notes, "policy")
        self.appearances, self.anchors = list(notes["appearances"]), list(notes["anchors"])
        self.areas = dict(notes["areas"])
        for t in (*self.appearances, *self.anchors):
            if not self.has_tokens(t):
                raise TypeError(f"frame {t} has no tokens")


def box_share(chosen: np.ndarray, alternatives: np.ndarray) -> float:
    """How much of the picture's part that a mask and an alternative span the mask spans alone.

    Args:
        chosen: bool (h, w), not empty.
        alternatives: bool (M, h, w); of each only the largest connected region counts.

    Returns:
        The smallest share over all alternatives, in (0, 1]; 1 if none shows anything else.
    """
    own = _box_area(chosen)
    shares = [1.0]
    for mask in alternatives:
        labels, areas = connected_regions(mask)
        if len(areas) > 1:
            largest = labels == 1 + int(np.argmax(areas[1:]))
            shares.append(own / _box_area(chosen | largest))
    return min(shares)


def _box_area(mask: np.ndarray) -> int:
    x0, y0, x1, y1 = mask_box(mask) or (0, 0, 0, 0)
    return (x1 - x0) * (y1 - y0)


def _due(frame: int, before: Iterable[int], interval: int) -> bool:
    return all(abs(frame - t) >= interval for t in before)


def _with(frames: list[int], frame: int, count: int) -> list[int]:
    """The frames and a new one; the oldest make room."""
    return [*(t for t in frames if t != frame), frame][-count:]
