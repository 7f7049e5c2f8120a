from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from sam2_mlx.predictors.video_predictor import SAM2VideoPredictor
from tests.tiny import ToyClip, tiny_model


@pytest.fixture(scope="module")
def predictor() -> SAM2VideoPredictor:
    return SAM2VideoPredictor(tiny_model())


def test_a_whole_interaction(predictor: SAM2VideoPredictor) -> None:
    state = predictor.init_state(ToyClip(10), offload_video_to_cpu=True)
    frame, ids, logits = predictor.add_new_points_or_box(state, 0, 1, points=[[20, 30]], labels=[1])
    assert (frame, ids) == (0, [1])
    assert np.asarray(logits).shape == (1, 1, 64, 96)
    predictor.add_new_points(state, frame_idx=0, obj_id=5, box=[40, 10, 80, 50])
    seen = list(predictor.propagate_in_video(state))
    assert [frame for frame, _, _ in seen] == list(range(10))
    assert seen[4][1] == [1, 5]
    # A third object joins later without a reset, and the pass is repeated from there.
    _, ids, logits = predictor.add_new_mask(state, 6, 8, np.ones((64, 96), bool))
    assert ids == [1, 5, 8] and logits.shape[0] == 3
    later = list(predictor.propagate_in_video(state, start_frame_idx=6))
    assert [frame for frame, _, _ in later] == [6, 7, 8, 9]
    assert later[0][1] == [1, 5, 8]
    assert (np.asarray(later[0][2][2]) > 0).all()
    left, updated = predictor.remove_object(state, 5)
    assert left == [1, 8] and [frame for frame, _ in updated] == [0]
    assert updated[0][1].shape[0] == 2
    assert predictor.remove_object(state, 77) == ([1, 8], [])
    with pytest.raises(RuntimeError, match="no object 77"):
        predictor.remove_object(state, 77, strict=True)
    predictor.reset_state(state)
    with pytest.raises(RuntimeError, match="nothing to follow"):
        list(predictor.propagate_in_video(state))


def test_pictures_at_hand_are_a_clip(predictor: SAM2VideoPredictor, tmp_path) -> None:
    clip = ToyClip(3)
    arrays = [clip.read(index) for index in range(3)]
    files = [tmp_path / f"{index}.png" for index in range(3)]
    for array, file in zip(arrays, files, strict=True):
        Image.fromarray(array).save(file)
    wanted = None
    for video in (clip, arrays, np.stack(arrays), tuple(map(Image.fromarray, arrays)), files):
        state = predictor.init_state(video)
        predictor.add_new_points_or_box(state, 0, 1, points=[[20, 30]], labels=[1])
        *_, (frame, _, logits) = predictor.propagate_in_video(state)
        assert frame == 2
        wanted = np.asarray(logits) if wanted is None else wanted
        np.testing.assert_array_equal(np.asarray(logits), wanted)


@pytest.mark.parametrize(
    ("video", "message"),
    [
        ([], "at least one frame"),
        (7, "a clip is .* got <class 'int'>"),
        (np.zeros((4, 5, 3), np.uint8), r"shape \(4, 5, 3\)"),
        ([np.zeros((4, 5, 3))], "uint8"),
    ],
)
def test_what_has_no_frames(predictor: SAM2VideoPredictor, video: object, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        predictor.init_state(video)


def test_listed_frames_have_one_size(predictor: SAM2VideoPredictor) -> None:
    state = predictor.init_state([np.zeros((8, 9, 3), np.uint8), np.zeros((9, 8, 3), np.uint8)])
    with pytest.raises(ValueError, match="frame 1 has 8x9 pixels, the first 9x8"):
        predictor.add_new_points_or_box(state, 1, 1, points=[[2, 3]], labels=[1])


def test_ranges_as_in_the_reference(predictor: SAM2VideoPredictor) -> None:
    state = predictor.init_state(ToyClip(10))
    predictor.add_new_points_or_box(state, 4, 1, points=[[20, 30]], labels=[1])

    def frames(**kwargs: object) -> list[int]:
        return [frame for frame, _, _ in predictor.propagate_in_video(state, **kwargs)]

    assert frames() == [4, 5, 6, 7, 8, 9]
    assert frames(max_frame_num_to_track=2) == [4, 5, 6]
    assert frames(reverse=True) == [4, 3, 2, 1, 0]
    assert frames(start_frame_idx=7, max_frame_num_to_track=3, reverse=True) == [7, 6, 5, 4]
    assert frames(start_frame_idx=0, reverse=True) == []


@pytest.mark.parametrize("number", [1.5, "1", None, np.float32(1), [1]])
def test_frames_and_ids_are_whole_numbers(predictor: SAM2VideoPredictor, number: object) -> None:
    state = predictor.init_state(ToyClip())
    point = {"points": [[20, 30]], "labels": [1]}
    with pytest.raises(TypeError, match="frame must be a whole number; got "):
        predictor.add_new_points_or_box(state, number, 1, **point)
    with pytest.raises(TypeError, match="object_id must be a whole number; got "):
        predictor.add_new_points_or_box(state, 0, number, **point)
    with pytest.raises(TypeError, match="frame must be a whole number; got "):
        predictor.clear_all_prompts_in_frame(state, number, 1)
    assert predictor.add_new_points_or_box(state, np.int64(0), np.uint8(3), **point)[1] == [3]
    if number is not None:
        with pytest.raises(TypeError, match="must be a whole number"):
            list(predictor.propagate_in_video(state, max_frame_num_to_track=number))


def test_frames_that_are_not_there(predictor: SAM2VideoPredictor) -> None:
    state = predictor.init_state(ToyClip())
    predictor.add_new_points_or_box(state, 0, 1, points=[[20, 30]], labels=[1])
    with pytest.raises(ValueError, match="frames 0 to 7; got 99"):
        predictor.clear_all_prompts_in_frame(state, 99, 1)
    with pytest.raises(ValueError, match="number of frames to follow; got -1"):
        list(predictor.propagate_in_video(state, max_frame_num_to_track=-1))


def test_what_is_no_state(predictor: SAM2VideoPredictor) -> None:
    for use in (
        lambda: predictor.reset_state(None),
        lambda: predictor.remove_object({}, 1),
        lambda: list(predictor.propagate_in_video("clip.mp4")),
        lambda: predictor.add_new_points_or_box(5, 0, 1, points=[[1, 2]], labels=[1]),
    ):
        with pytest.raises(TypeError, match=r"init_state\(...\) gives; got "):
            use()


def test_points_are_replaced_or_kept(predictor: SAM2VideoPredictor) -> None:
    clip = ToyClip(4)

    def clicked(*calls: tuple[list, bool]) -> np.ndarray:
        state = predictor.init_state(clip)
        for points, clear in calls:
            _, _, logits = predictor.add_new_points_or_box(
                state, 0, 1, points=points, labels=[1] * len(points), clear_old_points=clear
            )
        return np.asarray(logits)

    a, b = [20, 30], [70, 20]
    assert not np.allclose(clicked(([a], True), ([b], True)), clicked(([a], True), ([b], False)))
    np.testing.assert_allclose(
        clicked(([a], True), ([b], False)), clicked(([a], True), ([a, b], True)), atol=1e-5
    )
    state = predictor.init_state(clip)
    with pytest.raises(ValueError, match="clear_old_points=True"):
        predictor.add_new_points_or_box(state, 0, 1, box=[0, 0, 9, 9], clear_old_points=False)


def test_fractions(predictor: SAM2VideoPredictor) -> None:
    clip = ToyClip(2)
    pixels = predictor.add_new_points_or_box(
        predictor.init_state(clip), 0, 1, points=[[48, 32]], labels=[1]
    )
    fractions = predictor.add_new_points_or_box(
        predictor.init_state(clip), 0, 1, points=[[0.5, 0.5]], labels=[1], normalize_coords=False
    )
    np.testing.assert_array_equal(np.asarray(pixels[2]), np.asarray(fractions[2]))


def test_prompts_can_be_cleared(predictor: SAM2VideoPredictor) -> None:
    state = predictor.init_state(ToyClip(6))
    predictor.add_new_points_or_box(state, 0, 1, points=[[20, 30]], labels=[1])
    frame, ids, logits = predictor.clear_all_prompts_in_frame(state, 0, 1)
    assert (frame, ids) == (0, [1])
    assert (np.asarray(logits) == -1024).all()
    assert predictor.clear_all_prompts_in_frame(state, 0, 1, need_output=False) is None
    with pytest.raises(RuntimeError, match="object 1 has no prompt"):
        predictor.propagate_in_video_preflight(state)


def test_options_reach_the_tracking() -> None:
    model = tiny_model()
    with pytest.raises(ValueError, match="at least 1"):
        SAM2VideoPredictor(model, memory_temporal_stride_for_eval=0)
    with pytest.raises(ValueError, match="at least 2"):
        SAM2VideoPredictor(model, max_cond_frames_in_attn=1)
    with pytest.raises(TypeError, match="colour"):
        SAM2VideoPredictor(model, colour=1)  # type: ignore[call-arg]


def _second_pass(corrected: int, **options: object) -> np.ndarray:
    predictor = SAM2VideoPredictor(tiny_model(), **options)  # type: ignore[arg-type]
    state = predictor.init_state(ToyClip(8))
    predictor.add_new_points_or_box(state, 0, 1, points=[[20, 30]], labels=[1])
    list(predictor.propagate_in_video(state))
    predictor.add_new_mask(state, corrected, 1, np.ones((64, 96), bool))
    passed = predictor.propagate_in_video(state, start_frame_idx=corrected + 1)
    return np.stack([np.asarray(logits) for _, _, logits in passed])


def test_corrections_count_as_prompts_on_request() -> None:
    plain = _second_pass(4)
    as_prompt = _second_pass(4, add_all_frames_to_correct_as_cond=True)
    assert np.abs(plain - as_prompt).max() > 1e-3


def test_memory_around_a_correction_can_be_cleared() -> None:
    plain = _second_pass(4)
    cleared = _second_pass(4, clear_non_cond_mem_around_input=True)
    assert np.abs(plain - cleared).max() > 1e-3


def test_frame_folders_are_sorted_by_number(tmp_path, predictor: SAM2VideoPredictor) -> None:
    clip = ToyClip(11)
    for index in range(11):
        Image.fromarray(clip.read(index)).save(tmp_path / f"{index}.png")
    state = predictor.init_state(str(tmp_path))
    assert state.num_frames == 11
    predictor.add_new_points_or_box(state, 2, 1, points=[[25, 30]], labels=[1])
    want = predictor.init_state(clip)
    predictor.add_new_points_or_box(want, 2, 1, points=[[25, 30]], labels=[1])
    np.testing.assert_array_equal(
        np.asarray(state.masks_on(2).logits), np.asarray(want.masks_on(2).logits)
    )
