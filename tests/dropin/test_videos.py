"""Programs that follow objects through a clip."""

from __future__ import annotations

import copy
import os
import pickle
from typing import Any

import cv2
import numpy as np
import pytest
from sam2_mlx.build_sam import build_sam2_video_predictor, build_sam2_video_predictor_hf
from sam2_mlx.sam2_image_predictor import SAM2ImagePredictor
from sam2_mlx.sam2_video_predictor import SAM2VideoPredictor, SAM2VideoPredictorVOS

from tests.dropin.conftest import CHECKPOINT, CONFIG, FISH, LENGTH

OTHER = (520, 196)
BOX = [60, 80, 150, 160]


@pytest.fixture
def predictor() -> SAM2VideoPredictor:
    return build_sam2_video_predictor(CONFIG, CHECKPOINT, device="cpu")


def _segments(predictor: SAM2VideoPredictor, state: Any, **options: Any) -> dict[int, Any]:
    """What nearly every program makes of a video: masks by frame and object."""
    segments = {}
    for out_frame_idx, out_obj_ids, out_mask_logits in predictor.propagate_in_video(
        state, **options
    ):
        segments[out_frame_idx] = {
            out_obj_id: (out_mask_logits[i] > 0.0).cpu().numpy()
            for i, out_obj_id in enumerate(out_obj_ids)
        }
    return segments


def test_metas_video_notebook(predictor, folder) -> None:
    names = [name for name in os.listdir(folder) if os.path.splitext(name)[-1] in (".jpg", ".jpeg")]
    names.sort(key=lambda name: int(os.path.splitext(name)[0]))
    state = predictor.init_state(video_path=folder)
    points, labels = np.array([FISH], dtype=np.float32), np.array([1], np.int32)
    _, out_obj_ids, out_mask_logits = predictor.add_new_points_or_box(
        inference_state=state, frame_idx=0, obj_id=1, points=points, labels=labels
    )
    shown = (out_mask_logits[0] > 0.0).cpu().numpy()
    assert out_obj_ids == [1] and shown.shape == (1, 360, 640) and shown.dtype == bool
    more = np.array([FISH, (112, 120)], dtype=np.float32)
    predictor.add_new_points_or_box(
        inference_state=state, frame_idx=0, obj_id=1, points=more, labels=np.array([1, 1], np.int32)
    )
    segments = _segments(predictor, state)
    assert list(segments) == list(range(len(names))) == list(range(LENGTH))
    coloured = segments[3][1].reshape(360, 640, 1) * np.ones((1, 1, 4)) * 0.6
    assert coloured.max() == 0.6

    # A correction on a later frame, and once more from the start.
    predictor.add_new_points_or_box(
        inference_state=state,
        frame_idx=3,
        obj_id=1,
        points=np.array([[20, 20]], dtype=np.float32),
        labels=np.array([0], np.int32),
    )
    assert list(_segments(predictor, state)) == list(range(LENGTH))

    predictor.reset_state(state)
    _, ids, logits = predictor.add_new_points_or_box(
        inference_state=state, frame_idx=0, obj_id=4, box=np.array(BOX, dtype=np.float32)
    )
    assert ids == [4] and (logits[0] > 0).sum() > 0
    predictor.reset_state(state)
    prompts = {2: FISH, 3: OTHER}
    for number, place in prompts.items():
        _, ids, logits = predictor.add_new_points_or_box(
            inference_state=state,
            frame_idx=0,
            obj_id=number,
            points=np.array([place], dtype=np.float32),
            labels=np.array([1], np.int32),
        )
    assert ids == [2, 3] and logits.shape == (2, 1, 360, 640)
    segments = _segments(predictor, state)
    assert set(segments[LENGTH - 1]) == {2, 3}
    left, updated = predictor.remove_object(state, 2)
    assert left == [3] and [(frame, masks.shape) for frame, masks in updated] == [
        (0, (1, 1, 360, 640))
    ]


@pytest.mark.parametrize("kind", ["point", "box", "mask"])
def test_tracking_what_a_detector_found(predictor, folder, frames, kind) -> None:
    """Grounded-SAM-2: masks of an image predictor of the same weights are prompts of the video."""
    state = predictor.init_state(video_path=folder)
    images = SAM2ImagePredictor(predictor)
    images.set_image(frames[0])
    boxes = np.array([BOX, [480, 160, 560, 230]])
    masks, scores, _ = images.predict(
        point_coords=None, point_labels=None, box=boxes, multimask_output=False
    )
    if masks.ndim == 3:
        masks, scores = masks[None], scores[None]
    elif masks.ndim == 4:
        masks = masks.squeeze(1)
    for number, (box, mask) in enumerate(zip(boxes, masks, strict=True), start=1):
        if kind == "point":
            ys, xs = np.nonzero(mask)
            chosen = np.random.default_rng(0).choice(len(xs), 5, replace=False)
            points = np.stack([xs[chosen], ys[chosen]], axis=1)
            labels = np.ones((len(points)), dtype=np.int32)
            _, ids, logits = predictor.add_new_points_or_box(
                inference_state=state, frame_idx=0, obj_id=number, points=points, labels=labels
            )
        elif kind == "box":
            _, ids, logits = predictor.add_new_points_or_box(
                inference_state=state, frame_idx=0, obj_id=number, box=box
            )
        else:
            labels = np.ones((1), dtype=np.int32)
            _, ids, logits = predictor.add_new_mask(
                inference_state=state, frame_idx=0, obj_id=number, mask=mask
            )
    for segments in _segments(predictor, state).values():
        ids = list(segments)
        stacked = np.concatenate(list(segments.values()), axis=0)
        assert ids == [1, 2] and stacked.shape == (2, 360, 640) and stacked.dtype == bool


def test_a_program_for_editing(predictor, folder) -> None:
    """Sammie-Roto-2: moves the predictor, follows both ways, saves 8-bit masks."""
    predictor = predictor.to("cpu")
    assert predictor.device.type == "cpu" and predictor.image_size == 256
    with_clip = predictor.init_state(
        video_path=folder, async_loading_frames=True, offload_video_to_cpu=True
    )
    predictor.add_new_points_or_box(
        inference_state=with_clip,
        frame_idx=2,
        obj_id=0,
        points=np.array([FISH], dtype=np.float32),
        labels=np.array([1], np.int32),
        clear_old_points=True,
    )
    seen = set()
    for reverse in (False, True):
        for frame, ids, logits in predictor.propagate_in_video(with_clip, reverse=reverse):
            seen.add(frame)
            for index, _ in enumerate(ids):
                mask = (logits[index] > 0.0).cpu().numpy().squeeze()
                grey = (mask * 255).astype(np.uint8)
                assert grey.shape == (360, 640) and set(np.unique(grey)) <= {0, 255}
                assert cv2.findContours(grey, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    assert seen == set(range(LENGTH))


def test_small_programs(folder) -> None:
    """simple-sam2 and tracewave: `vos_optimized`, results moved and cast at once."""
    for optimised in (False, True):
        predictor = build_sam2_video_predictor(
            CONFIG, CHECKPOINT, device="cpu", vos_optimized=optimised
        )
        assert isinstance(predictor, SAM2VideoPredictorVOS)
        state = predictor.init_state(folder)
        _, _, logits = predictor.add_new_points(state, 0, 1, points=[FISH], labels=[1])
        for _, _, logits in predictor.propagate_in_video(state, max_frame_num_to_track=1):
            binary = (logits > 0).to("cpu", dtype=np.uint8).squeeze(1)
            assert binary.dtype == np.uint8 and binary.shape == (1, 360, 640)


def test_a_labelling_server_for_videos(predictor, folder) -> None:
    """Label Studio: one call a prompt, a stretch of the clip, boxes around the masks."""
    state = predictor.init_state(video_path=folder)
    predictor.reset_state(state)
    ids = {"a": 0, "b": 1}
    for name, place in (("a", FISH), ("b", OTHER)):
        predictor.add_new_points_or_box(
            inference_state=state,
            frame_idx=0,
            obj_id=ids[name],
            points=np.array([place], dtype=np.float32),
            labels=np.array([1], dtype=np.int32),
        )
    boxes = []
    for frame, out_obj_ids, logits in predictor.propagate_in_video(
        inference_state=state, start_frame_idx=0, max_frame_num_to_track=3
    ):
        for index, _ in enumerate(out_obj_ids):
            mask = (logits[index] > 0.0).cpu().numpy()
            ys, xs = np.where(mask[0])
            if len(xs):
                boxes.append((frame, xs.min() / 640 * 100, ys.min() / 360 * 100))
    assert {frame for frame, *_ in boxes} == {0, 1, 2, 3}


def test_an_interactive_labelling_server(predictor, folder) -> None:
    """Label Studio, interactive: looks into the state, shares the weights with pictures."""
    state = predictor.init_state(folder)
    assert state.get("num_frames") == LENGTH and state.get("no such key", 7) == 7
    assert "images" in state and "maskmem_features" not in state
    images = state["images"]
    assert len(images) == LENGTH and images[1].shape == (3, 256, 256)
    assert images[0].device == state["device"] == predictor.device
    size = state["video_height"], state["video_width"]
    assert size == (360, 640)

    pictures = SAM2ImagePredictor(predictor)
    pictures.set_image(np.zeros((360, 640, 3), np.uint8))
    assert pictures._is_image_set and pictures._orig_hw == [size]
    predictor.add_new_points_or_box(state, 0, 7, points=[FISH], labels=[1])
    assert state["obj_ids"] == [7]
    assert state["obj_id_to_idx"] == {7: 0} and state["obj_idx_to_id"] == {0: 7}
    given = state["point_inputs_per_obj"][0][0]
    assert given["point_coords"].shape == (1, 1, 2) and given["point_labels"].tolist() == [[1]]
    np.testing.assert_allclose(given["point_coords"][0, 0], np.array(FISH) / (640, 360) * 256)
    assert state["frames_tracked_per_obj"] == {0: {}}
    _segments(predictor, state)
    assert state["frames_tracked_per_obj"][0][2] == {"reverse": False}
    with pytest.raises(KeyError, match="'output_dict_per_obj' is not kept.*num_frames"):
        state["output_dict_per_obj"]


def test_masks_into_detections(folder) -> None:
    """Supervision's tutorial, from a hub's id."""
    predictor = build_sam2_video_predictor_hf("facebook/sam2.1-hiera-tiny", device="cpu")
    state = predictor.init_state(folder)
    predictor.add_new_points(
        inference_state=state,
        frame_idx=0,
        obj_id=1,
        points=np.array([FISH], dtype=np.float32),
        labels=np.ones(1),
    )
    for _, object_ids, mask_logits in predictor.propagate_in_video(state):
        masks = (mask_logits > 0.0).cpu().numpy()
        count, channels, height, width = masks.shape
        masks = masks.reshape(count * channels, height, width)
        assert masks.dtype == bool and np.array(object_ids).tolist() == [1]


def test_options_that_are_set_later(predictor, folder) -> None:
    state = predictor.init_state(folder)
    for number, place in ((1, FISH), (2, (110, 120))):
        predictor.add_new_points_or_box(state, 0, number, points=[place], labels=[1])

    def shared() -> int:
        *_, (_, _, logits) = predictor.propagate_in_video(state)
        return int((logits > 0).all(dim=0).sum())

    assert shared() > 0
    predictor.non_overlap_masks = True
    assert shared() == 0
    predictor.non_overlap_masks = False
    assert shared() > 0 and predictor.non_overlap_masks is False
    predictor.clear_non_cond_mem_around_input = True
    predictor.add_new_points_or_box(state, 2, 1, points=[(10, 10)], labels=[0])
    assert shared() >= 0
    with pytest.raises(ValueError, match="at least 1"):
        predictor.memory_temporal_stride_for_eval = 0
    with pytest.raises(AttributeError, match="num_maskmem"):
        predictor.num_maskmem = 2


@pytest.mark.parametrize(
    ("overrides", "options"),
    [
        ([], {}),
        (["++model.non_overlap_masks=true"], {"non_overlap_masks": True}),
        (["++model.fill_hole_area=0", "++model.max_cond_frames_in_attn=4"], {"fill_hole_area": 0}),
        (["++model._target_=sam2.sam2_video_predictor.SAM2VideoPredictorVOS"], {}),
    ],
)
def test_overrides_of_the_configuration(overrides, options) -> None:
    predictor = build_sam2_video_predictor(CONFIG, CHECKPOINT, hydra_overrides_extra=overrides)
    for name, value in options.items():
        assert getattr(predictor, name) == value
    with pytest.raises(ValueError, match="cannot override '\\+\\+model.num_maskmem=1'"):
        build_sam2_video_predictor(
            CONFIG, CHECKPOINT, hydra_overrides_extra=["++model.num_maskmem=1"]
        )


def test_what_programs_ask_of_a_module(predictor) -> None:
    assert predictor.eval() is predictor and predictor.cuda() is predictor
    assert next(predictor.parameters()).device.type == "cpu"
    assert sum(weight.numel() for weight in predictor.parameters()) > 4_000_000
    assert predictor.model.to("cpu").eval().device == "cpu"
    assert predictor.half().model.dtype.size == 2
    assert predictor.to(np.float32).model.dtype.size == 4


def test_scores_and_streams_beyond_the_reference(predictor, folder, frames) -> None:
    state = predictor.init_state(folder)
    predictor.add_new_points_or_box(state, 0, 1, points=[FISH], labels=[1])
    for _, ids, logits, scores in predictor.propagate_in_video(state, with_scores=True):
        assert len(ids) == len(logits) == len(scores.iou) == len(scores.presence) == 1
        assert 0 <= scores.iou[0] <= 1
    session = predictor.stream()
    session.step(frames[0])
    session.prompt(1, points=[FISH], labels=[1])
    assert session.step(frames[1]).masks.any()


def test_copies_of_a_state(predictor, folder) -> None:
    state = predictor.init_state(folder)
    predictor.add_new_points_or_box(state, 0, 1, points=[FISH], labels=[1])
    twins = copy.deepcopy(state), pickle.loads(pickle.dumps(state))
    wanted = _segments(predictor, state)
    for twin in twins:
        found = _segments(predictor, twin)
        assert all((found[t][1] == wanted[t][1]).all() for t in wanted)
        assert twin["num_frames"] == LENGTH


def test_results_may_be_written_to(predictor, folder, frames) -> None:
    """A frame of the size of the network's masks: the memory is not what is handed out."""
    small = [cv2.resize(frame, (64, 64)) for frame in frames]
    state = predictor.init_state(small)

    def click() -> Any:
        return predictor.add_new_points_or_box(state, 0, 1, points=[[10, 21]], labels=[1])[2]

    first = click()
    wanted = first.clone()
    first[:] = -7
    np.testing.assert_array_equal(predictor.clear_all_prompts_in_frame(state, 0, 1)[2], -1024)
    np.testing.assert_array_equal(click(), wanted)
