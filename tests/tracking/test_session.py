from __future__ import annotations

import numpy as np
import pytest

from sam2_mlx.ops.masks import fill_holes
from sam2_mlx.tracking.options import TrackingOptions
from sam2_mlx.tracking.results import FrameMasks
from sam2_mlx.tracking.session import TrackingSession
from tests.tiny import ToyClip, tiny_model

CLICK = {"points": [[20, 30]], "labels": [1]}
BOX = {"box": [40, 10, 80, 50]}


def _logits(masks: list[FrameMasks]) -> np.ndarray:
    return np.stack([np.array(frame.logits) for frame in masks])


def _stream(model, clip: ToyClip, **kwargs) -> tuple[TrackingSession, list[FrameMasks]]:
    session = TrackingSession(model, **kwargs)
    session.step(clip.read(0))
    session.prompt(1, **CLICK)
    session.prompt(2, **BOX)
    return session, [session.step(clip.read(i)) for i in range(1, clip.num_frames)]


def test_a_stream_equals_a_file(model) -> None:
    clip = ToyClip(20)
    session = TrackingSession(model, clip, memory="full")
    session.prompt(1, frame=0, **CLICK)
    session.prompt(2, frame=0, **BOX)
    file = list(session.propagate())
    _, stream = _stream(model, clip, num_frames=20)
    np.testing.assert_array_equal(_logits(stream), _logits(file[1:]))
    assert [frame.frame for frame in file] == list(range(20))
    assert file[3].object_ids == (1, 2)
    assert file[3].logits.shape == (2, 1, clip.height, clip.width)
    assert file[3].iou.shape == file[3].presence.shape == (2,)
    fraction = (_logits(file) > 0).mean()
    assert 0.01 < fraction < 0.99


@pytest.mark.parametrize("stride", [1, 3])
def test_rolling_memory_is_bit_equal_and_bounded(model, stride: int) -> None:
    clip = ToyClip(40)
    options = TrackingOptions(memory_stride=stride)
    sizes, results = {}, {}
    for memory in ("rolling", "full"):
        session = TrackingSession(model, clip, memory=memory, options=options)
        session.prompt(1, frame=0, **CLICK)
        results[memory], sizes[memory] = [], []
        for masks in session.propagate():
            results[memory].append(masks)
            sizes[memory].append(session.nbytes)
    np.testing.assert_array_equal(_logits(results["rolling"]), _logits(results["full"]))
    # With a stride the number of memories swings by one within each stride.
    assert max(sizes["rolling"][20:30]) == max(sizes["rolling"][30:])
    assert sizes["full"][-1] > 1.5 * sizes["full"][20]


def test_rolling_backwards_is_bit_equal(model) -> None:
    clip = ToyClip(30)
    results = []
    for memory in ("rolling", "full"):
        session = TrackingSession(model, clip, memory=memory)
        session.prompt(1, frame=25, **CLICK)
        results.append(_logits(list(session.propagate(reverse=True))))
    np.testing.assert_array_equal(*results)
    assert len(results[0]) == 26


def test_rolling_memory_does_not_turn_round(model) -> None:
    session = TrackingSession(model, ToyClip(), memory="rolling")
    session.prompt(1, frame=4, **CLICK)
    list(session.propagate())
    with pytest.raises(RuntimeError, match="one direction"):
        list(session.propagate(start=4, reverse=True))


def test_objects_together_equal_objects_alone(model) -> None:
    clip = ToyClip(12)
    together = TrackingSession(model, clip)
    for object_id, prompt in ((1, CLICK), (2, BOX), (3, {"points": [[70, 20]], "labels": [1]})):
        together.prompt(object_id, frame=0, **prompt)
    batch = _logits(list(together.propagate()))
    for index, prompt in enumerate((CLICK, BOX, {"points": [[70, 20]], "labels": [1]})):
        alone = TrackingSession(model, clip)
        alone.prompt(7, frame=0, **prompt)
        single = _logits(list(alone.propagate()))
        scale = np.abs(single).max()
        np.testing.assert_allclose(batch[:, index : index + 1], single, atol=1e-4 * scale)


def test_objects_come_and_go(model) -> None:
    clip = ToyClip(12)
    session, _ = _stream(model, clip)
    untouched = TrackingSession(model)
    untouched.step(clip.read(0))
    untouched.prompt(2, **BOX)
    alone = [untouched.step(clip.read(i)) for i in range(1, 12)]
    session.prompt(9, points=[[50, 30]], labels=[1])
    assert session.remove(1)
    assert not session.remove(1)
    later = session.step(clip.read(5))
    assert later.object_ids == (2, 9)
    np.testing.assert_allclose(
        np.array(later.logits[:1]), np.array(untouched.step(clip.read(5)).logits), atol=1e-3
    )
    assert len(alone) == 11


@pytest.mark.parametrize("stride", [1, 2])
def test_prompts_forget_the_frames_around(model, stride: int) -> None:
    options = TrackingOptions(clear_memory_around_prompts=True, memory_stride=stride)
    session = TrackingSession(model, ToyClip(40), memory="full", options=options)
    session.prompt(1, frame=0, **CLICK)
    list(session.propagate())
    session.prompt(1, frame=20, **BOX)
    recent = session.state().objects[1].bank.recent
    # Seven memories lie so many frames apart; the correction itself stays.
    assert sorted(recent) == [t for t in range(1, 40) if t == 20 or abs(t - 20) > 7 * stride]


@pytest.mark.parametrize("memory", ["rolling", "distractor-aware", "valid"])
def test_the_middle_can_be_followed_again(model, memory: str) -> None:
    session = TrackingSession(model, ToyClip(30), memory=memory)
    session.prompt(1, frame=2, **CLICK)
    list(session.propagate())
    # Of the frames before only pointers are left: what there is must do.
    session.prompt(1, frame=20, **BOX)
    again = list(session.propagate(start=18))
    assert [masks.frame for masks in again] == list(range(18, 30))
    plan = session.state().objects[1].bank.plan(30, reverse=False)
    assert [t for t, _ in plan.spatial][:2] == [2, 20] and len(plan.spatial) > 3


def test_holes_are_filled_in_what_is_shown_only(model) -> None:
    clip, shown = ToyClip(6), []
    for area in (0, 10_000):
        session = TrackingSession(model, clip, options=TrackingOptions(fill_hole_area=area))
        session.prompt(1, frame=0, mask=np.ones((64, 96)))
        shown.append(np.stack([np.array(masks.coarse) for masks in session.propagate()]))
    plain, filled = shown
    assert not np.array_equal(plain, filled)
    # The memory is made of masks as they were predicted, so later frames are the same.
    assert fill_holes(plain, 10_000, 0.1)
    np.testing.assert_array_equal(plain, filled)


def test_options_hold_for_objects_that_are_followed(model) -> None:
    session, _ = _stream(model, ToyClip(12), memory="full")
    session.options = TrackingOptions(memory_stride=5)
    plan = session.state().objects[2].bank.plan(12, reverse=False)
    assert plan.spatial == ((0, 6), (5, 2), (10, 1), (11, 0))


def test_masks_can_be_shown_again(model) -> None:
    session, masks = _stream(model, ToyClip(4))
    np.testing.assert_array_equal(np.array(session.masks_on(3).coarse), np.array(masks[-1].coarse))
    assert np.abs(np.diff(np.array(masks[-1].coarse), axis=0)).max() > 1e-3


def test_a_correction_changes_what_follows(model) -> None:
    clip = ToyClip(8)
    plain, _ = _stream(model, clip)
    corrected, _ = _stream(model, clip)
    shown = corrected.prompt(1, mask=np.ones((clip.height, clip.width)))
    assert (np.array(shown.logits[0]) > 0).all()
    a, b = plain.step(clip.read(3)), corrected.step(clip.read(3))
    assert np.abs(np.array(a.logits[0] - b.logits[0])).max() > 1e-3


def test_a_correction_looks_back_as_far_as_its_frame_did(model) -> None:
    corrected = {}
    for memory in ("rolling", "full"):
        session, _ = _stream(model, ToyClip(24), memory=memory)
        corrected[memory] = np.array(session.prompt(1, points=[[60, 30]], labels=[0]).logits)
    np.testing.assert_array_equal(corrected["rolling"], corrected["full"])


def test_second_click_before_tracking(model) -> None:
    session = TrackingSession(model, ToyClip())
    first = session.prompt(1, frame=0, **CLICK)
    second = session.prompt(1, frame=0, points=[[20, 30], [60, 30]], labels=[1, 0])
    assert np.abs(np.array(first.logits - second.logits)).max() > 1e-4
    assert len(list(session.propagate())) == 8


def test_a_correction_of_the_prompted_frame_is_kept(model) -> None:
    session = TrackingSession(model, ToyClip(), memory="full")
    session.prompt(1, frame=0, **CLICK)
    before = _logits(list(session.propagate()))
    session.prompt(1, frame=0, mask=np.ones((64, 96)))
    after = _logits(list(session.propagate()))
    assert (after[0] > 0).all()
    assert np.abs(after[3] - before[3]).max() > 1e-3


def test_one_frame_clip(model) -> None:
    session = TrackingSession(model, ToyClip(1))
    session.prompt(1, frame=0, **CLICK)
    (masks,) = session.propagate()
    assert np.isfinite(np.array(masks.logits)).all()


def test_frames_are_read_when_needed(model) -> None:
    clip = ToyClip(8)
    session = TrackingSession(model, clip)
    assert clip.reads == []
    session.prompt(1, frame=2, **CLICK)
    assert clip.reads == [2]
    for _ in session.propagate(length=3):
        pass
    assert clip.reads == [2, 3, 4, 5]


def test_nothing_is_tracked_before_a_prompt(model) -> None:
    session = TrackingSession(model)
    masks = session.step(ToyClip().read(0))
    assert masks.object_ids == ()
    assert masks.logits.shape == (0, 1, 64, 96)


def test_bad_frames_leave_the_stream_usable(model) -> None:
    clip = ToyClip()
    session, _ = _stream(model, clip)
    frame = session.frame
    for bad in (None, np.zeros((4, 4)), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises((TypeError, ValueError), match="picture"):
            session.step(bad)
    assert session.frame == frame
    assert session.step(clip.read(0)).frame == frame + 1


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ({}, "nothing to segment"),
        ({"points": [[1, 2]]}, "belong together"),
        ({"points": [[1, 2, 3]], "labels": [1]}, "shape"),
        ({"points": [[1, 2]], "labels": [1, 0]}, "one label a point"),
        ({"points": [[1, float("nan")]], "labels": [1]}, "finite"),
        ({"points": [[1, 2]], "labels": [7]}, "labels are"),
        ({"box": [1, 2, 3]}, "4 numbers"),
        ({"mask": np.ones(5)}, "height, width"),
        ({"mask": np.ones((4, 4)), "box": [0, 0, 1, 1]}, "either a mask"),
        ({"frame": 99, **CLICK}, "frames 0 to 7"),
    ],
)
def test_bad_prompts_add_no_object(model, prompt: dict, message: str) -> None:
    session = TrackingSession(model, ToyClip())
    with pytest.raises(ValueError, match=message):
        session.prompt(1, **prompt)
    assert session.object_ids == ()


def test_wrong_order_of_calls(model) -> None:
    with pytest.raises(RuntimeError, match="show a frame"):
        TrackingSession(model).prompt(1, **CLICK)
    with pytest.raises(RuntimeError, match="nothing to follow"):
        list(TrackingSession(model, ToyClip()).propagate())
    with pytest.raises(RuntimeError, match="step"):
        list(TrackingSession(model).propagate())
    with pytest.raises(RuntimeError, match="propagate"):
        TrackingSession(model, ToyClip()).step(ToyClip().read(0))
    with pytest.raises(ValueError, match="rolling"):
        TrackingSession(model, memory="none")  # type: ignore[arg-type]


def test_a_model_without_memory_is_refused() -> None:
    with pytest.raises(ValueError, match="no memory"):
        TrackingSession(tiny_model(memory=None))


def test_cleared_prompts(model) -> None:
    session = TrackingSession(model, ToyClip(), memory="full")
    session.prompt(1, frame=0, **CLICK)
    list(session.propagate())
    session.clear(1, 0)
    with pytest.raises(RuntimeError, match="object 1 has no prompt"):
        list(session.propagate())
    session.prompt(1, frame=3, **CLICK)
    assert [frame.frame for frame in session.propagate()] == [3, 4, 5, 6, 7]


def test_objects_do_not_overlap_on_request(model) -> None:
    options = TrackingOptions(non_overlap_masks=True, fill_hole_area=0)
    session = TrackingSession(model, ToyClip(), options=options)
    session.prompt(1, frame=0, mask=np.ones((64, 96)))
    masks = session.prompt(2, frame=0, **BOX)
    assert ((np.array(masks.logits) > 0).sum(axis=0) <= 1).all()


def test_absent_objects_are_absent(model) -> None:
    session = TrackingSession(model, ToyClip())
    masks = session.prompt(1, frame=0, mask=np.zeros((64, 96)))
    assert (np.array(masks.logits) < 0).all()
    assert masks.presence.item() < 0
