"""The memory policies by name."""

from __future__ import annotations

from typing import Literal, get_args

from sam2_mlx.tracking.distractor_memory import DistractorAwareMemory
from sam2_mlx.tracking.memory_policy import FullMemory, MemoryPolicy, RollingMemory
from sam2_mlx.tracking.memory_schedule import MemorySchedule

MemoryKind = Literal["rolling", "full", "distractor-aware"]
"""Names of the policies."""


def make_policy(memory: str, schedule: MemorySchedule, stream: bool) -> MemoryPolicy:
    """The policy of a name.

    Args:
        memory: one of `MemoryKind`.
        schedule: which frames count as recent.
        stream: whether frames that were passed are never shown again.

    Raises:
        ValueError: if there is no such policy.
    """
    if memory == "full":
        return FullMemory(schedule)
    if memory == "rolling":
        return RollingMemory(schedule, stream)
    if memory == "distractor-aware":
        return DistractorAwareMemory(schedule, stream)
    names = ", ".join(repr(name) for name in get_args(MemoryKind))
    raise ValueError(f"memory is one of {names}; got {memory!r}")
