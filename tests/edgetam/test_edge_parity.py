"""EdgeTAM against the torch reference: every stage, and whole videos."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest import mock

import mlx.core as mx
import numpy as np
import pytest
from PIL import Image

from sam2_mlx.model.memory import ObjectMask
from sam2_mlx.model.sam import Sam
from sam2_mlx.predictors.video_predictor import SAM2VideoPredictor
from tests.edgetam.edge_cases import BORROWED, golden, record, thin
from tests.edgetam.edge_models import seeded_edge_model
from tests.edgetam.edge_stages import stages
from tests.overlap import mask_iou
from tests.parity.ours import Frames
from tests.parity.scenes import draw_clip

STAGE_TOLERANCE = 1e-4
SPREAD_FACTOR = 3
"""Of the 99th percentile; what was measured is 0.4 to 1.3."""
UNDECIDED = 1e-5
"""A prompted mask is remembered in black and white, and one pixel of drawn_256 has a logit of 8e-7:
where rounding turns it over, the frames after it move by 40 times the spread (3e-4). So where a
video is off, it is played with such pixels on, and off, and one of these must agree. The smallest
of the mistakes in record.json moves the frames by 6e-3."""

Answers = dict[str, np.ndarray]


@pytest.mark.parametrize("side", [256, 1024])
def test_every_stage_matches_the_reference(side: int) -> None:
    known, arrays = (
        record()["stages"][f"golden_stages{'_256' * (side == 256)}"],
        golden(f"stages_{side}"),
    )
    found = stages(seeded_edge_model(known["seed"], side, folded=False), known["click"])
    assert set(found) == set(arrays)
    for name, expected in arrays.items():
        facts = known["stages"][name]
        assert list(found[name].shape) == facts["whole"], name
        largest = max(abs(facts["low"]), abs(facts["high"]))
        assert np.abs(thin(found[name]) - expected).max() <= STAGE_TOLERANCE * largest, name


@pytest.mark.parametrize("name", ["drawn_256", "drawn_1024"])
def test_a_drawn_video_matches_the_reference(name: str) -> None:
    case = record()["videos"][name]
    clip = Frames(draw_clip(**case["clip"]).frames)
    assert_close(seeded_edge_model(case["seed"], case["image_size"]), clip, name, "drawn")


@pytest.mark.skipif(not BORROWED.is_dir(), reason="needs a clip that is not ours")
@pytest.mark.parametrize("name", ["one_click", "two_objects", "mask_in_the_middle"])
def test_a_video_matches_the_reference(name: str) -> None:
    case = record()["videos"][name]
    files = [BORROWED / "frames" / f"{number:05d}.jpg" for number in case["frames"]]
    clip = Frames(np.stack([np.array(Image.open(file).convert("RGB")) for file in files]))
    assert_close(seeded_edge_model(case["seed"], 1024), clip, name, "../borrowed/video")


def test_the_goldens_show_a_mistake_in_the_perceiver() -> None:
    case = record()["videos"]["drawn_256"]
    clip = Frames(draw_clip(**{**case["clip"], "frames": 3}).frames)
    model = seeded_edge_model.__wrapped__(case["seed"], 256)
    perceiver = model.memory.perceiver
    # Windows column by column.
    turned = perceiver.latents_2d.reshape(16, 16, -1).transpose(1, 0, 2)
    perceiver.latents_2d = turned.reshape(256, -1)
    answers = play(model, clip, case)
    first, step = case["first_kept"], case["keep_every"]
    key, expected = "02_f1", golden("drawn")["drawn_256/02_f1"]
    gaps = np.abs(answers[key][:, first::step, first::step] - expected)
    # Ten times what an undecided pixel does.
    assert np.percentile(gaps, 99) > 4e-3 * case["answers"][key]["largest"]


def test_half_precision_gives_the_same_masks() -> None:
    case = record()["videos"]["drawn_256"]
    clip = Frames(draw_clip(**case["clip"]).frames)
    exact, rounded = (
        play(seeded_edge_model(case["seed"], 256, dtype), clip, case)
        for dtype in (mx.float32, mx.float16)
    )
    masks = [
        np.concatenate([values > 0 for key, values in answers.items() if values.ndim == 3])
        for answers in (exact, rounded)
    ]
    assert mask_iou(*masks) >= 0.99


def play(model: Any, clip: Frames, case: dict[str, Any]) -> Answers:
    """The answers to a case's calls, under the goldens' names."""
    predictor = SAM2VideoPredictor(model, fill_hole_area=0)
    state = predictor.init_state(clip)
    answers: Answers = {}

    def keep(number: int, frame: int, ids: list[int], logits: Any) -> None:
        answers[f"{number:02d}_f{frame}"] = np.asarray(logits)[:, 0]
        answers[f"{number:02d}_f{frame}_ids"] = np.array(ids)

    for number, step in enumerate(case["steps"]):
        step = dict(step)
        call = step.pop("call")
        if call == "propagate":
            for frame, ids, logits in predictor.propagate_in_video(state, **step):
                keep(number, frame, ids, logits)
                presence = state.masks_on(frame).presence
                answers[f"{number:02d}_f{frame}_presence"] = np.array(presence)
        elif call == "ellipse":
            cx, cy, rx, ry = step.pop("ellipse")
            y, x = np.mgrid[0 : clip.height, 0 : clip.width]
            mask = ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1
            keep(number, *predictor.add_new_mask(state, mask=mask, **step))
        else:
            keep(number, *predictor.add_new_points_or_box(state, **step))
    return answers


def assert_close(model: Any, clip: Frames, name: str, file: str) -> None:
    """Play a case and hold the answers against its golden."""
    arrays, case = golden(file), record()["videos"][name]
    expected = {key.split("/")[1]: value for key, value in arrays.items() if key.startswith(name)}
    problems = []
    for shift in (0.0, UNDECIDED, -UNDECIDED):
        with mock.patch.object(Sam, "remember", _shifted(shift)):
            answers = play(model, clip, case)
        assert set(answers) == set(expected)
        try:
            return compare(answers, expected, case)
        except AssertionError as problem:
            problems.append(str(problem))
    pytest.fail("\n".join(problems))


def _shifted(shift: float) -> Callable[..., mx.array]:
    """`Sam.remember`, with so much added to the logits of masks that become binary."""
    remember = Sam.remember

    def shifted(model: Sam, features: Any, masks: ObjectMask, binarise: bool) -> mx.array:
        moved = replace(masks, logits=masks.logits + shift) if binarise else masks
        return remember(model, features, moved, binarise)

    return shifted


def compare(answers: Answers, expected: Answers, case: dict[str, Any]) -> None:
    """Hold answers against those of the reference."""
    first, step = case["first_kept"], case["keep_every"]
    allowed = SPREAD_FACTOR * max(facts["spread"][1] for facts in case["answers"].values())
    for key, value in expected.items():
        if key in case["answers"]:
            gaps = np.abs(answers[key][:, first::step, first::step] - value)
            error = np.percentile(gaps, 99) / case["answers"][key]["largest"]
            assert error <= allowed, f"{key} is off by {error:.1e}; {allowed:.1e} is allowed"
            share = (answers[key] > 0).mean(axis=(1, 2))
            np.testing.assert_allclose(share, case["answers"][key]["on"], atol=2e-3)
        elif key.endswith("_ids"):
            np.testing.assert_array_equal(answers[key], value)
        else:
            np.testing.assert_allclose(answers[key], value, atol=allowed * np.abs(value).max())
