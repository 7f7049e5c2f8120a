from __future__ import annotations

import pytest

from sam2_mlx.tracking.memory_schedule import (
    MemorySchedule,
    closest_prompted,
    plan_memory,
    pointer_lookback,
    spatial_lookback,
)


def test_slots_of_a_long_clip() -> None:
    plan = plan_memory(20, [0], range(1, 20), MemorySchedule())
    # The prompted frame has the last slot; the frame just before has slot 0, six back slot 5.
    assert plan.spatial == ((0, 6), (14, 5), (15, 4), (16, 3), (17, 2), (18, 1), (19, 0))
    assert plan.pointers[0] == (0, 20)
    assert plan.pointers[1:] == tuple((20 - d, d) for d in range(1, 16))
    assert plan.pointer_span == 15


def test_second_frame_sees_only_the_prompted_one() -> None:
    plan = plan_memory(1, [0], [], MemorySchedule())
    assert plan.spatial == ((0, 6),)
    assert plan.pointers == ((0, 1),)


def test_backwards() -> None:
    plan = plan_memory(5, [8], [6, 7], MemorySchedule(clip_length=20), reverse=True)
    assert plan.spatial == ((8, 6), (7, 1), (6, 0))
    assert plan.pointers == ((8, 3), (6, 1), (7, 2))


def test_prompts_from_the_future_lend_no_pointer() -> None:
    plan = plan_memory(3, [0, 9], [1, 2], MemorySchedule())
    assert (9, 6) in plan.spatial
    assert [t for t, _ in plan.pointers] == [0, 2, 1]


def test_stride_leaves_the_last_frame_alone() -> None:
    plan = plan_memory(21, [0], range(1, 21), MemorySchedule(stride=4))
    assert plan.spatial == ((0, 6), (4, 4), (8, 3), (12, 2), (16, 1), (20, 0))
    assert spatial_lookback(MemorySchedule(stride=4)) == 21


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("stride", [1, 2, 3, 5])
def test_lookback_covers_every_plan(stride: int, reverse: bool) -> None:
    schedule = MemorySchedule(stride=stride)
    for frame in range(100, 130):
        frames = [t for t in range(230) if (t > frame) == reverse and t != frame]
        plan = plan_memory(frame, [], frames, schedule, reverse)
        assert max(abs(frame - t) for t, _ in plan.spatial) <= spatial_lookback(schedule)
        assert max(d for _, d in plan.pointers) == pointer_lookback(schedule)


def test_closest_prompted_frames() -> None:
    assert closest_prompted(10, [0, 5, 12, 30], -1) == [0, 5, 12, 30]
    assert closest_prompted(10, [0, 5, 12, 30], 2) == [5, 12]
    assert closest_prompted(10, [0, 5, 12, 30], 3) == [5, 12, 0]
    assert closest_prompted(40, [0, 5, 12, 30], 2) == [30, 12]


def test_an_unchosen_prompt_counts_as_recent() -> None:
    plan = plan_memory(10, [7, 8, 9], [], MemorySchedule(max_prompted=2))
    assert plan.spatial == ((9, 6), (8, 6), (7, 2))
    assert plan.pointers == ((9, 1), (8, 2), (7, 3))


def test_short_clips_count_fewer_pointers() -> None:
    assert MemorySchedule(clip_length=10).pointer_span == 9
    assert MemorySchedule(clip_length=16).pointer_span == 15
    assert MemorySchedule(clip_length=1).pointer_span == 1
    plan = plan_memory(5, [0], range(1, 5), MemorySchedule(max_pointers=4, clip_length=6))
    assert [d for _, d in plan.pointers] == [5, 1, 2, 3]


@pytest.mark.parametrize("options", [{"stride": 0}, {"max_prompted": 1}, {"max_prompted": 0}])
def test_bad_options(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least"):
        MemorySchedule(**options)
