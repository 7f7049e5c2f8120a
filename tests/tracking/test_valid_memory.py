"""The memory of frames on which the object was seen: what counts, what is kept, what is saved."""

from __future__ import annotations

from typing import Any
from unittest import mock

import mlx.core as mx
import numpy as np
import pytest

from sam2_mlx.model.memory import FrameMemory, ObjectMask
from sam2_mlx.tracking import valid_memory
from sam2_mlx.tracking.memory_bank import FrameRecord
from sam2_mlx.tracking.memory_schedule import MemorySchedule
from sam2_mlx.tracking.options import TrackingOptions
from sam2_mlx.tracking.policies import MemoryKind
from sam2_mlx.tracking.saved_session import load_session, save_session
from sam2_mlx.tracking.session import TrackingSession
from sam2_mlx.tracking.valid_memory import ValidMemory
from tests.tiny import ToyClip


def _record() -> FrameRecord:
    return FrameRecord(FrameMemory(mx.zeros((1, 16, 4)), mx.zeros((1, 8))))


def _mask(iou: float = 0.9, presence: float = 5.0) -> ObjectMask:
    return ObjectMask(
        mx.zeros((1, 1, 4, 4)), mx.array([[iou]]), mx.zeros((1, 8)), mx.array([[presence]])
    )


def _follow(memory: ValidMemory, frame: int, reverse: bool = False, **scores: float) -> None:
    memory.write(frame, _record(), prompted=False)
    memory.tidy(frame, reverse)
    memory.watch(frame, _mask(**scores), mx.zeros((1, 3, 4, 4)))


def test_what_was_seen_before_is_remembered_while_it_is_hidden() -> None:
    memory = ValidMemory(MemorySchedule(), stream=True)
    memory.write(0, _record(), prompted=True)
    for frame in range(1, 21):
        _follow(memory, frame)
    for frame in range(21, 90):
        _follow(memory, frame, presence=-3.0)
    # The prompted frame, those that were seen, and the last frame although it is not one of them.
    plan = memory.plan(90, False)
    assert plan.spatial == ((0, 6), (16, 5), (17, 4), (18, 3), (19, 2), (20, 1), (89, 0))
    before = [(20 - place, 2 + place) for place in range(14)]
    assert plan.pointers == ((0, 90), (89, 1), *before)
    _follow(memory, 90)
    _follow(memory, 91, presence=-3.0)
    spatial = memory.plan(92, False).spatial
    assert spatial == ((0, 6), (17, 5), (18, 4), (19, 3), (20, 2), (90, 1), (91, 0))


@pytest.mark.parametrize(
    ("iou", "presence", "counts"),
    [
        (0.9, 5.0, True),
        (0.9, -5.0, False),
        (0.009, 20.0, False),
        (0.011, 20.0, True),
        # 2 * sigmoid(0.02) - 1 is 0.01.
        (0.9, 0.021, False),
        (0.9, 0.023, True),
        (1.0, 0.0, False),
    ],
)
def test_presence_times_iou_decides(iou: float, presence: float, counts: bool) -> None:
    memory = ValidMemory(MemorySchedule(), stream=True)
    _follow(memory, 1, iou=iou, presence=presence)
    _follow(memory, 2)
    assert (1 in dict(memory.plan(3, False).spatial)) == counts


def test_a_corrected_frame_counts() -> None:
    memory = ValidMemory(MemorySchedule(), stream=True)
    _follow(memory, 1, presence=-5.0)
    memory.write(1, _record(), prompted=False)
    memory.corrected(1)
    _follow(memory, 2)
    assert memory.plan(3, False).spatial == ((1, 1), (2, 0))


class _Unbounded(ValidMemory):
    def tidy(self, frame: int, reverse: bool) -> None:
        pass


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("stride", [1, 3])
def test_nothing_is_dropped_that_is_looked_at(stride: int, reverse: bool) -> None:
    random = np.random.default_rng(stride)
    schedule = MemorySchedule(stride=stride)
    bounded, unbounded = ValidMemory(schedule, stream=False), _Unbounded(schedule, stream=False)
    frames = list(range(200, 0, -1) if reverse else range(1, 201))
    sizes = []
    for number, frame in enumerate(frames):
        # Also what a frame looks at that is corrected, so tracked once more.
        for t in (frames[number - 1], frame) if number else (frame,):
            assert bounded.plan(t, reverse) == unbounded.plan(t, reverse)
        prompted, seen = random.random() < 0.03 or not number, random.random() < 0.4
        for memory in (bounded, unbounded):
            memory.write(frame, _record(), prompted=prompted)
            memory.tidy(frame, reverse)
            if not prompted:
                memory.watch(frame, _mask(presence=3.0 if seen else -3.0), mx.zeros((1, 3, 4, 4)))
        tokens = [t for t in bounded.recent if bounded.has_tokens(t)]
        sizes.append((len(tokens), len(bounded.recent)))
        assert bounded.invalid <= bounded.recent.keys()
    # As many as the rolling memory keeps; with a stride, spatial memories are older than pointers.
    tokens, records = np.max(sizes, axis=0)
    assert tokens == 7 and records <= (16 if stride == 1 else 16 + 6)


@pytest.mark.parametrize(
    ("options", "reverse"),
    [
        ({}, False),
        ({"memory_stride": 3}, False),
        ({"memory_stride": 2, "corrections_become_prompts": True}, False),
        ({"max_prompted_frames": 2}, True),
    ],
)
def test_it_is_the_rolling_memory_while_all_frames_count(
    model, options: dict[str, Any], reverse: bool
) -> None:
    def shown(memory: MemoryKind) -> np.ndarray:
        clip = ToyClip(36)
        session = TrackingSession(model, clip, memory=memory, options=TrackingOptions(**options))
        for frame in (35, 32, 28) if reverse else (0, 4, 19):
            session.prompt(1, frame=frame, points=[[15 + frame, 30]], labels=[1])
        start = 35 if reverse else 0
        frames = list(session.propagate(start=start, length=20, reverse=reverse))
        session.prompt(1, points=[[40, 20]], labels=[1])
        frames += session.propagate(start=15 if reverse else 20, reverse=reverse)
        return np.stack([np.array(masks.logits) for masks in frames])

    with mock.patch.object(valid_memory, "MIN_SCORE", -2.0):
        valid = shown("valid")
    np.testing.assert_array_equal(valid, shown("rolling"))


def test_a_saved_session_knows_what_does_not_count(model, tmp_path) -> None:
    clip = ToyClip(30)
    session = TrackingSession(model, memory="valid")
    session.step(clip.read(0))
    session.prompt(1, points=[[20, 30]], labels=[1])
    with mock.patch.object(valid_memory, "MIN_SCORE", 2.0):
        for index in range(1, 12):
            session.step(clip.read(index))
    save_session(session, tmp_path / "s.safetensors")
    other = load_session(tmp_path / "s.safetensors", model)
    banks = [each.state().objects[1].bank for each in (session, other)]
    assert banks[0].invalid == banks[1].invalid == {10, 11}
    other.step(clip.read(12))
    assert banks[1].plan(13, False).spatial == ((0, 6), (12, 0))
