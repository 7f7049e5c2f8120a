"""What a bank keeps of which frame, without a model."""

from __future__ import annotations

import mlx.core as mx

from sam2_mlx.model.memory import FrameMemory, ObjectMask
from sam2_mlx.tracking.memory_bank import FrameRecord, MemoryBank
from sam2_mlx.tracking.memory_schedule import MemoryPlan


def record(value: float, *, mask: bool = False) -> FrameRecord:
    """Tokens (1, 4, 2) and a pointer (1, 3), 44 bytes; a mask of 16 logits brings 72 more."""
    pointer = mx.full((1, 3), value)
    memory = FrameMemory(mx.full((1, 4, 2), value), pointer)
    shown = ObjectMask(mx.zeros((1, 1, 4, 4)), mx.zeros((1, 1)), pointer, mx.zeros((1, 1)))
    return FrameRecord(memory, shown if mask else None)


def test_a_frame_is_prompted_or_tracked_never_both() -> None:
    bank = MemoryBank()
    bank.write(3, record(1), prompted=False)
    bank.write(3, record(2), prompted=True)
    assert list(bank.prompted) == [3] and bank.recent == {}
    assert bank.demote(3) and list(bank.recent) == [3] and bank.prompted == {}
    assert not bank.demote(3)
    kept = bank.get(3)
    assert kept is not None and kept.memory.pointer[0, 0].item() == 2


def test_a_plan_is_read_in_its_order() -> None:
    bank = MemoryBank()
    for frame in (0, 5, 6):
        bank.write(frame, record(frame), prompted=frame == 0)
    plan = MemoryPlan(((0, 6), (6, 0)), ((5, 2), (0, 7)), 15)
    tokens, pointers = bank.read(plan)
    assert [each[0, 0, 0].item() for each in tokens] == [0, 6]
    assert [each[0, 0].item() for each in pointers] == [5, 0]


def test_what_nobody_needs_is_dropped_tokens_first() -> None:
    bank = MemoryBank()
    for frame in range(5):
        bank.write(frame, record(frame, mask=True), prompted=frame == 0)
    before = bank.nbytes
    bank.trim(4, tokens_needed=lambda t: t >= 3, pointer_needed=lambda t: t >= 2)
    assert list(bank.recent) == [2, 3, 4]
    assert [bank.has_tokens(t) for t in range(5)] == [True, False, False, True, True]
    masks = {t: each.mask is not None for t, each in bank.recent.items()}
    assert masks == {2: False, 3: False, 4: True}
    # Frame 1 is gone whole, 2 has its pointer left, 3 has lost its mask; a mask's pointer is the
    # memory's own and counts once.
    whole, mask, tokens = 44 + 72, 72, 32
    assert before == 5 * whole
    assert bank.nbytes == 5 * whole - whole - (mask + tokens) - mask
