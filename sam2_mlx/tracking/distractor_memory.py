"""A memory that tells an object from its look-alikes, without training.

Two kinds of tracked frames are remembered beside the prompted ones. Appearances show the object
as it lately looked; one is added every few frames, and none while the object is out of sight, so
that it can be found again. Anchors are frames on which the decoder offered something else as
well, a look-alike, and still was sure of the object.

Source: Videnovic, Lukezic, Kristan, "A Distractor-Aware Memory for Visual Object Tracking with
SAM2" (CVPR 2025, arXiv 2411.17576), section 3; written from the paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from sam2_mlx.tracking.memory_bank import FrameRecord, MemoryBank
from sam2_mlx.tracking.memory_policy import RollingMemory
from sam2_mlx.tracking.memory_schedule import MemoryPlan, MemorySchedule


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


class DistractorAwareMemory(RollingMemory):
    """Rolling memory with appearances and anchors instead of the last frames.

    Half of the recent memories are appearances (the last frame is one of them if the object is
    seen on it), the other half anchors. Appearances have the time slots of recent frames, in
    their order; anchors have no place in time, and the slot of prompted frames.

    Args:
        schedule: how many memories there are; pointers follow it unchanged.
        stream: as in `RollingMemory`.
        rules: when a frame is remembered.
    """

    watches = True

    def __init__(
        self, schedule: MemorySchedule, stream: bool, rules: DistractorRules | None = None
    ) -> None:
        super().__init__(schedule, stream)
        self.rules = rules or DistractorRules()
        self.slots = max((schedule.memories - 1) // 2, 1)

    def plan(self, bank: MemoryBank, frame: int, reverse: bool) -> MemoryPlan:
        """What a frame looks at."""
        plain = super().plan(bank, frame, reverse)
        timeless = self.schedule.memories - 1
        prompted = [t for t, slot in plain.spatial if slot == timeless]
        last = frame + 1 if reverse else frame - 1
        seen = [t for t in bank.appearances if t not in (frame, last)]
        if last in bank.recent and bank.areas.get(last, 1) > 0:
            seen.append(last)
        seen = seen[-self.slots :]
        spatial = [(t, timeless) for t in (*prompted, *bank.anchors) if t != frame]
        spatial += [(t, len(seen) - 1 - place) for place, t in enumerate(seen)]
        return MemoryPlan(tuple(spatial), plain.pointers, plain.pointer_span)

    def needs_tokens(self, t: int, frame: int) -> bool:
        """Only of this frame, and of the one before should this one be corrected."""
        return abs(frame - t) <= 1

    def corrected(self, bank: MemoryBank, frame: int) -> None:
        """A frame that somebody corrected shows the object for sure."""
        bank.areas.pop(frame, None)
        _add(bank.appearances, frame, bank.recent[frame], self.slots)

    def watch(self, bank: MemoryBank, frame: int, iou: float, masks: np.ndarray) -> None:
        """Remember the frame if it teaches something; see `MemoryPolicy.watch`."""
        rules, area, record = self.rules, int(masks[0].sum()), bank.recent[frame]
        bank.areas[frame] = area
        for t in list(bank.areas)[: -rules.areas]:
            del bank.areas[t]
        if area == 0:
            return
        if _due(frame, list(bank.appearances), rules.interval):
            _add(bank.appearances, frame, record, self.slots)
        usual = median(a for a in bank.areas.values() if a)
        if (
            iou > rules.min_iou
            and abs(area - usual) <= rules.area_tolerance * usual
            and _due(frame, [*bank.prompted, *bank.anchors], rules.interval)
            and box_share(masks[0], masks[1:]) <= rules.max_box_share
        ):
            _add(bank.anchors, frame, record, self.slots)


def box_share(chosen: np.ndarray, alternatives: np.ndarray) -> float:
    """How much of the picture's part that a mask and an alternative span the mask spans alone.

    Args:
        chosen: bool (h, w), not empty.
        alternatives: bool (M, h, w); of each only the largest connected region counts.

    Returns:
        The smallest share over all alternatives, in (0, 1]; 1 if none shows anything else.
    """
    own = _area(_box(chosen))
    shares = [1.0]
    for mask in alternatives:
        region = _largest_region(mask)
        if region.any():
            shares.append(own / _area(_box(chosen | region)))
    return min(shares)


def _largest_region(mask: np.ndarray) -> np.ndarray:
    import cv2

    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if count < 2:
        return np.zeros_like(mask)
    largest = 1 + int(np.argmax(np.asarray(stats)[1:, cv2.CC_STAT_AREA]))
    return np.asarray(labels) == largest


def _box(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _area(box: tuple[int, int, int, int]) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])


def _due(frame: int, before: Sequence[int], interval: int) -> bool:
    return all(abs(frame - t) >= interval for t in before)


def _add(shelf: dict[int, FrameRecord], frame: int, record: FrameRecord, count: int) -> None:
    """Put a record on a shelf, without its mask; the oldest makes room."""
    shelf.pop(frame, None)
    shelf[frame] = FrameRecord(record.memory, None)
    while len(shelf) > count:
        del shelf[next(iter(shelf))]
