"""The memory against look-alikes: what it keeps, when, and for how long."""

from __future__ import annotations

import mlx.core as mx
import numpy as np
import pytest

from sam2_mlx.model.memory import FrameMemory, ObjectMask
from sam2_mlx.tracking.distractor_memory import DistractorAwareMemory, box_share
from sam2_mlx.tracking.memory_bank import FrameRecord
from sam2_mlx.tracking.memory_policy import ObjectMemory
from sam2_mlx.tracking.memory_schedule import MemorySchedule
from sam2_mlx.tracking.session import TrackingSession
from tests.tiny import ToyClip

SIZE = 40


@pytest.fixture
def memory() -> DistractorAwareMemory:
    memory = DistractorAwareMemory(MemorySchedule(), stream=True)
    memory.write(0, _record(), prompted=True)
    return memory


def square(x: int, y: int, side: int = 10) -> np.ndarray:
    mask = np.zeros((SIZE, SIZE), bool)
    mask[y : y + side, x : x + side] = True
    return mask


HERE, ELSEWHERE, NOWHERE = square(5, 5), square(28, 28), np.zeros((SIZE, SIZE), bool)


def _record() -> FrameRecord:
    return FrameRecord(FrameMemory(mx.zeros((1, 16, 4)), mx.zeros((1, 8))))


def _see(
    memory: DistractorAwareMemory,
    frame: int,
    mask: np.ndarray = HERE,
    other: np.ndarray = HERE,
    iou: float = 0.9,
) -> None:
    logits = [mx.array(np.where(each, 4.0, -4.0))[None, None] for each in (mask, other)]
    score = mx.array([[iou]])
    memory.write(frame, _record(), prompted=False)
    memory.tidy(frame, False)
    answer = ObjectMask(logits[0], score, mx.zeros((1, 8)), score)
    memory.watch(frame, answer, mx.concatenate(logits, axis=1))


def test_appearances_come_every_five_frames(memory: DistractorAwareMemory) -> None:
    for frame in range(1, 30):
        _see(memory, frame)
    assert memory.appearances == [16, 21, 26]
    assert memory.anchors == []
    plan = memory.plan(30, False)
    # The prompted frame, two appearances, and the last frame, which is the newest one.
    assert plan.spatial == ((0, 6), (21, 2), (26, 1), (29, 0))
    assert [t for t, _ in plan.pointers] == [0, *range(29, 14, -1)]


def test_empty_masks_are_not_remembered(memory: DistractorAwareMemory) -> None:
    for frame in range(1, 13):
        _see(memory, frame)
    for frame in range(13, 60):
        _see(memory, frame, mask=NOWHERE)
    # However long it is gone, it can be found by how it last looked.
    assert memory.plan(60, False).spatial == ((0, 6), (1, 2), (6, 1), (11, 0))


def test_an_alternative_elsewhere_makes_an_anchor(memory: DistractorAwareMemory) -> None:
    for frame in range(1, 9):
        _see(memory, frame, other=ELSEWHERE if frame >= 5 else HERE)
    assert memory.anchors == [5]
    assert memory.plan(9, False).spatial == ((0, 6), (5, 6), (1, 2), (6, 1), (8, 0))
    for frame in range(9, 40):
        _see(memory, frame, other=ELSEWHERE)
    # Five frames apart, and only so many.
    assert memory.anchors == [25, 30, 35]


@pytest.mark.parametrize(
    "seen",
    [
        {"iou": 0.7},
        {"mask": square(5, 5, 14)},  # its area has jumped
        {"other": square(7, 5)},  # nearly the same place
        {"other": NOWHERE},
        {"mask": NOWHERE},
    ],
    ids=["unsure", "unsteady", "same", "no other", "absent"],
)
def test_other_frames_make_no_anchor(memory: DistractorAwareMemory, seen: dict) -> None:
    for frame in range(1, 8):
        _see(memory, frame)
    _see(memory, 8, **{"other": ELSEWHERE, **seen})
    assert memory.anchors == []
    _see(memory, 9, other=ELSEWHERE)
    assert memory.anchors == [9]


def test_box_share() -> None:
    assert box_share(HERE, np.stack([HERE])) == 1
    assert box_share(HERE, np.zeros((0, SIZE, SIZE), bool)) == 1
    assert box_share(HERE, np.stack([square(15, 5)])) == pytest.approx(0.5)
    # Only the largest region of an alternative counts, so specks do not.
    specks = HERE.copy()
    specks[39, 39] = True
    assert box_share(HERE, np.stack([specks])) == 1
    assert box_share(HERE, np.stack([HERE, ELSEWHERE])) == pytest.approx(100 / 33**2)


def test_memory_is_bounded_in_a_session(model) -> None:
    session = TrackingSession(model, memory="distractor-aware")
    clip, sizes = ToyClip(60), []
    session.step(clip.read(0))
    session.prompt(1, points=[[20, 30]], labels=[1])
    session.prompt(2, box=[40, 10, 80, 50])
    for index in range(1, 60):
        masks = session.step(clip.read(index))
        sizes.append(session.nbytes)
    assert masks.logits.shape == (2, 1, 64, 96)
    bank = session.state().objects[1].bank
    assert len(bank.appearances) == 3 and len(bank.areas) <= 10
    rolling = TrackingSession(model)
    rolling.step(clip.read(0))
    rolling.prompt(1, points=[[20, 30]], labels=[1])
    for index in range(1, 60):
        rolling.step(clip.read(index))
    # Two prompted, six others and two last frames at most, against one and seven.
    assert max(sizes) <= 2 * rolling.nbytes * 10 / 8
    assert max(sizes[20:40]) >= max(sizes[40:])


def test_a_correction_is_kept(model) -> None:
    session = TrackingSession(model, memory="distractor-aware")
    clip = ToyClip(12)
    session.step(clip.read(0))
    session.prompt(1, points=[[20, 30]], labels=[1])
    for index in range(1, 4):
        session.step(clip.read(index))
    session.prompt(1, mask=np.ones((64, 96)))
    for index in range(4, 8):
        session.step(clip.read(index))
    assert 3 in session.state().objects[1].bank.appearances


def test_a_frame_that_is_seen_anew_is_chosen_anew(memory: DistractorAwareMemory) -> None:
    for frame in range(1, 13):
        _see(memory, frame, other=ELSEWHERE)
    assert (memory.appearances, memory.anchors) == ([1, 6, 11], [5, 10])
    # Followed once more, the object is out of sight there; and then somebody prompts on it.
    _see(memory, 11, mask=NOWHERE)
    memory.write(6, _record(), prompted=True)
    memory.write(10, _record(), prompted=True)
    assert (memory.appearances, memory.anchors) == ([1], [5])
    assert memory.plan(12, False).spatial == ((0, 6), (6, 6), (10, 6), (5, 6), (1, 0))


def test_what_is_forgotten_is_not_looked_at(memory: DistractorAwareMemory) -> None:
    for frame in range(1, 13):
        _see(memory, frame, other=ELSEWHERE)
    memory.forget_around(12)
    assert memory.plan(13, False).spatial == ((0, 6), (1, 1), (12, 0))
    memory.read(memory.plan(13, False))


def test_chosen_frames_are_kept_and_others_dropped(memory: DistractorAwareMemory) -> None:
    for frame in range(1, 41):
        _see(memory, frame, other=ELSEWHERE)
    kept = {t for t in memory.recent if memory.has_tokens(t)}
    assert kept == {*memory.appearances, *memory.anchors, 39, 40}
    assert min(memory.recent) == min(memory.appearances + memory.anchors + [40 - 15])


def test_plain_memories_never_ask_for_the_alternatives(model, monkeypatch) -> None:
    def watch(*_: object) -> None:
        raise AssertionError("waits for masks that nobody looks at")

    monkeypatch.setattr(ObjectMemory, "watch", watch)
    session, clip = TrackingSession(model), ToyClip(4)
    session.step(clip.read(0))
    session.prompt(1, points=[[20, 30]], labels=[1])
    session.step(clip.read(1))
