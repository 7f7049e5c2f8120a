"""The memory policies by name."""

from __future__ import annotations

from typing import Literal

from sam2_mlx.tracking.distractor_memory import DistractorAwareMemory
from sam2_mlx.tracking.memory_policy import FullMemory, ObjectMemory, RollingMemory

MemoryKind = Literal["rolling", "full", "distractor-aware"]
"""Names of the policies."""

POLICIES: dict[MemoryKind, type[ObjectMemory]] = {
    "rolling": RollingMemory,
    "full": FullMemory,
    "distractor-aware": DistractorAwareMemory,
}
"""The memory of an object under each policy."""


def policy_named(memory: MemoryKind) -> type[ObjectMemory]:
    """The policy of a name.

    Raises:
        ValueError: if there is no such policy.
    """
    if memory not in POLICIES:
        raise ValueError(f"memory is one of {', '.join(map(repr, POLICIES))}; got {memory!r}")
    return POLICIES[memory]
