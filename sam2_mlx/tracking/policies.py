"""The memory policies by name. Light: the commands list them before anything is loaded."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from sam2_mlx.tracking.memory_policy import ObjectMemory

MemoryKind = Literal["rolling", "full", "distractor-aware", "valid"]
"""Names of the policies."""

POLICIES: dict[MemoryKind, str] = {
    "rolling": "memory_policy.RollingMemory",
    "full": "memory_policy.FullMemory",
    "distractor-aware": "distractor_memory.DistractorAwareMemory",
    "valid": "valid_memory.ValidMemory",
}
"""The file and the class of each policy, in this folder."""

BOUNDED = tuple(name for name in POLICIES if name != "full")
"""Those that do not grow with the video."""


def policy_named(memory: MemoryKind) -> type[ObjectMemory]:
    """The policy of a name: the memory of one object.

    Raises:
        ValueError: if there is no such policy.
    """
    if memory not in POLICIES:
        raise ValueError(f"memory is one of {', '.join(map(repr, POLICIES))}; got {memory!r}")
    module, name = POLICIES[memory].split(".")
    policy: type[ObjectMemory] = getattr(import_module(f"sam2_mlx.tracking.{module}"), name)
    return policy
