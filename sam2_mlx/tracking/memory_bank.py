"""The memory bank of one object: what is remembered of which frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import mlx.core as mx

from sam2_mlx.model.memory import FrameMemory, ObjectMask
from sam2_mlx.tracking.memory_schedule import MemoryPlan


@dataclass(frozen=True)
class FrameRecord:
    """One object on one frame.

    Attributes:
        memory: what later frames look at.
        mask: the mask as it was shown, or None once it is no longer needed.
    """

    memory: FrameMemory
    mask: ObjectMask | None

    def arrays(self) -> Iterator[mx.array]:
        """All arrays; the mask's pointer is the memory's."""
        yield self.memory.pointer
        if self.memory.tokens is not None:
            yield self.memory.tokens
        if self.mask is not None:
            yield from self.mask.arrays()


class MemoryBank:
    """Records by frame.

    Attributes:
        prompted: records of frames with a prompt; kept until cleared or spent.
        recent: records of tracked frames; a frame is in one of these two.
        appearances: further tracked frames that show the object as it lately looked.
        anchors: further tracked frames that tell the object from look-alikes.
        areas: area of the mask on the last frames, where the policy wants to know.
    """

    def __init__(self) -> None:
        self.prompted: dict[int, FrameRecord] = {}
        self.recent: dict[int, FrameRecord] = {}
        self.appearances: dict[int, FrameRecord] = {}
        self.anchors: dict[int, FrameRecord] = {}
        self.areas: dict[int, int] = {}

    def shelves(self) -> tuple[dict[int, FrameRecord], ...]:
        """All records; a frame may be on several shelves and is then one set of arrays."""
        return self.prompted, self.recent, self.appearances, self.anchors

    def write(self, frame: int, record: FrameRecord, *, prompted: bool) -> None:
        """Remember a frame; what was remembered of it before is replaced."""
        self.appearances.pop(frame, None)
        self.anchors.pop(frame, None)
        if prompted:
            self.recent.pop(frame, None)
            self.prompted[frame] = record
        else:
            self.recent[frame] = record

    def get(self, frame: int) -> FrameRecord | None:
        """The record of a prompted or recent frame, or None."""
        return self.prompted.get(frame) or self.recent.get(frame)

    def set_mask(self, frame: int, mask: ObjectMask) -> None:
        """Note the mask of a recent frame as it was shown."""
        if frame in self.recent:
            self.recent[frame] = replace(self.recent[frame], mask=mask)

    def demote(self, frame: int) -> bool:
        """Count a prompted frame as a tracked one; returns whether it was prompted."""
        record = self.prompted.pop(frame, None)
        if record is not None:
            self.recent[frame] = record
        return record is not None

    def read(self, plan: MemoryPlan) -> tuple[list[mx.array], list[mx.array]]:
        """Fetch what a plan asks for.

        Returns:
            Spatial tokens (1, N, D) and pointers (1, C), in the plan's order.
        """
        spatial = [self._tokens(frame) for frame, _ in plan.spatial]
        pointers = [self._pointer(frame) for frame, _ in plan.pointers]
        return spatial, pointers

    def _tokens(self, frame: int) -> mx.array:
        for shelf in self.shelves():
            tokens = shelf[frame].memory.tokens if frame in shelf else None
            if tokens is not None:
                return tokens
        raise AssertionError(f"the memory of frame {frame} was dropped too early")

    def _pointer(self, frame: int) -> mx.array:
        record = self.get(frame)
        assert record is not None, f"frame {frame} was dropped too early"
        return record.memory.pointer

    def forget(self, where: Callable[[int], bool]) -> None:
        """Drop tracked frames by number."""
        for shelf in (self.recent, self.appearances, self.anchors):
            for frame in [t for t in shelf if where(t)]:
                del shelf[frame]

    def trim(
        self,
        frame: int,
        tokens_needed: Callable[[int], bool],
        pointer_needed: Callable[[int], bool],
    ) -> None:
        """Drop what no later frame can ask for from the recent frames.

        Args:
            frame: the frame just tracked; only its mask is kept.
            tokens_needed: whether the spatial memory of a frame is still needed.
            pointer_needed: whether the pointer of a frame is still needed.
        """
        kept = {}
        for t, record in self.recent.items():
            memory = record.memory
            if not tokens_needed(t):
                if not pointer_needed(t):
                    continue
                memory = FrameMemory(None, memory.pointer)
            kept[t] = FrameRecord(memory, record.mask if t == frame else None)
        self.recent = kept

    def drop_masks(self, frames: Iterable[int]) -> None:
        """Drop the masks of prompted frames that will not be shown again."""
        for t in frames:
            self.prompted[t] = replace(self.prompted[t], mask=None)

    @property
    def nbytes(self) -> int:
        """Bytes held; an array that is used twice counts once."""
        arrays = {
            id(array): array
            for shelf in self.shelves()
            for record in shelf.values()
            for array in record.arrays()
        }
        return sum(array.nbytes for array in arrays.values())
