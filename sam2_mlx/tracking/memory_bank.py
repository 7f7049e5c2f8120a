"""The memory bank of one object: what is remembered of which frame."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

import mlx.core as mx

from sam2_mlx.model.memory import FrameMemory, ObjectMask
from sam2_mlx.tracking.memory_schedule import MemoryPlan

Bank = TypeVar("Bank", bound="MemoryBank")


@dataclass(frozen=True)
class FrameRecord:
    """One object on one frame.

    Attributes:
        memory: what later frames look at.
        mask: the mask as it was shown; None before that, and once it is no longer needed.
    """

    memory: FrameMemory
    mask: ObjectMask | None = None

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
    """

    def __init__(self) -> None:
        self.prompted: dict[int, FrameRecord] = {}
        self.recent: dict[int, FrameRecord] = {}

    def copy(self: Bank) -> Bank:
        """A bank that goes its own way from here; the records are shared."""
        twin = copy.copy(self)
        twin.__dict__.update({name: copy.copy(value) for name, value in vars(self).items()})
        return twin

    def write(self, frame: int, record: FrameRecord, *, prompted: bool) -> None:
        """Remember a frame; what was remembered of it before is replaced."""
        if prompted:
            self.recent.pop(frame, None)
            self.prompted[frame] = record
        else:
            self.recent[frame] = record

    def get(self, frame: int) -> FrameRecord | None:
        """The record of a frame, or None."""
        return self.prompted.get(frame) or self.recent.get(frame)

    def has_tokens(self, frame: int) -> bool:
        """Whether there is a spatial memory of a frame."""
        record = self.get(frame)
        return record is not None and record.memory.tokens is not None

    def prompted_mask(self, frame: int) -> ObjectMask | None:
        """The mask of a frame with a prompt; None for other frames, and where it was dropped."""
        record = self.prompted.get(frame)
        return record.mask if record else None

    def set_mask(self, frame: int, mask: ObjectMask) -> None:
        """Note the mask of a tracked frame as it was shown."""
        memory = self.recent[frame].memory
        self.recent[frame] = FrameRecord(memory, replace(mask, pointer=memory.pointer))

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
        spatial = [self._memory(frame).tokens for frame, _ in plan.spatial]
        pointers = [self._memory(frame).pointer for frame, _ in plan.pointers]
        tokens = [each for each in spatial if each is not None]
        assert len(tokens) == len(spatial), f"tokens were dropped too early; the plan is {plan}"
        return tokens, pointers

    def _memory(self, frame: int) -> FrameMemory:
        record = self.get(frame)
        assert record is not None, f"frame {frame} was dropped too early"
        return record.memory

    def forget(self, where: Callable[[int], bool]) -> None:
        """Drop tracked frames by number."""
        self.recent = {t: record for t, record in self.recent.items() if not where(t)}

    def trim(
        self,
        frame: int,
        tokens_needed: Callable[[int], bool],
        pointer_needed: Callable[[int], bool],
    ) -> None:
        """Drop what no later frame can ask for from the tracked frames.

        Args:
            frame: the frame just tracked; only its mask is kept.
            tokens_needed: whether the spatial memory of a frame is still needed.
            pointer_needed: whether the pointer of a frame is still needed.
        """
        needed = {}
        for t, record in self.recent.items():
            memory = record.memory
            if not tokens_needed(t):
                if not pointer_needed(t):
                    continue
                memory = replace(memory, tokens=None)
            needed[t] = FrameRecord(memory, record.mask if t == frame else None)
        self.recent = needed

    def drop_masks(self, frames: Iterable[int]) -> None:
        """Drop the masks of prompted frames that will not be shown again."""
        for t in frames:
            self.prompted[t] = replace(self.prompted[t], mask=None)

    @property
    def nbytes(self) -> int:
        """Bytes held; an array that is used twice counts once."""
        records = (*self.prompted.values(), *self.recent.values())
        arrays = {id(array): array for record in records for array in record.arrays()}
        return sum(array.nbytes for array in arrays.values())
