"""Prompts: one checker for both predictors, and what it makes of what it is given."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from sam2_mlx.predictors.image_predictor import SAM2ImagePredictor
from sam2_mlx.predictors.video_predictor import SAM2VideoPredictor
from sam2_mlx.prompts import MAX_POINTS, Prompt
from sam2_mlx.transforms import Framing
from tests.tiny import CONFIG, ToyClip, tiny_model

SIZE = (64, 96)


@pytest.fixture(scope="module", params=["picture", "video"])
def ask(request: pytest.FixtureRequest) -> Any:
    """Prompts one of the predictors with points, labels and a box."""
    model = tiny_model()
    if request.param == "picture":
        picture = SAM2ImagePredictor(model)
        picture.set_image(ToyClip().read(0))

        def answer(points: Any = None, labels: Any = None, box: Any = None, **options: Any) -> Any:
            return picture.predict(points, labels, box, return_logits=True, **options)[0]

        return answer
    video = SAM2VideoPredictor(model)

    def show(points: Any = None, labels: Any = None, box: Any = None, **options: Any) -> Any:
        state = video.init_state(ToyClip())
        given = {"points": points, "labels": labels, "box": box, **options}
        return np.asarray(video.add_new_points_or_box(state, 0, 1, **given)[2])

    return show


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ({}, "nothing to segment"),
        ({"points": [], "labels": []}, "nothing to segment"),
        ({"points": np.zeros((0, 2)), "labels": np.zeros(0)}, "nothing to segment"),
        ({"points": [[1, 2]]}, "points without labels"),
        ({"labels": [1]}, "labels without points"),
        ({"points": [[1, 2, 3]], "labels": [1]}, r"got points \(1, 3\) and labels \(1,\)"),
        ({"points": [1, 2], "labels": [1, 1]}, r"got points \(2,\)"),
        ({"points": [[1, 2]], "labels": [1, 1]}, r"labels \(2,\)"),
        ({"points": [[1, np.nan]], "labels": [1]}, "finite"),
        ({"points": [[np.inf, 1]], "labels": [1]}, "finite"),
        ({"points": [[1, 2], [3, 4]], "labels": [1, 255]}, r"got \[1, 255\]"),
        ({"points": [[1, 2]], "labels": [5]}, r"got \[5\]"),
        ({"points": [[1, 2]], "labels": [0.9]}, r"got \[0.9\]"),
        ({"points": [[96.5, 20]], "labels": [1]}, r"x from 0 to 96 .* got \(96.5, 20\)"),
        ({"points": [[5, 5], [20, -1]], "labels": [1, 0]}, r"got \(20, -1\)"),
        ({"box": [1, 2, 3]}, r"got shape \(3,\)"),
        ({"box": 5.0}, r"got shape \(\)"),
        ({"points": 5.0, "labels": 1}, r"got points \(\) and labels \(\)"),
        ({"box": "1,2,3,4"}, "box must be an array of numbers: .*'1,2,3,4'"),
        ({"box": [10**400, 1, 2, 3]}, "box must be an array of numbers"),
        ({"box": [1e300, 1, 2, 3]}, "finite"),
        ({"points": {"x": 1}, "labels": [1]}, "points must be an array of numbers"),
        ({"box": []}, r"got shape \(0,\)"),
        ({"box": [1, 2, 3, np.inf]}, "finite"),
        ({"box": [50, 40, 10, 5]}, r"\(50, 40, 10, 5\) has no area"),
        ({"box": [10, 40, 50, 5]}, r"\(10, 40, 50, 5\) has no area"),
        ({"box": [10, 5, 10, 40]}, "has no area"),
        ({"points": [[50, 40], [10, 5]], "labels": [2, 3]}, "has no area"),
        ({"points": [[50, 40], [10, 5]], "labels": [3, 2]}, r"corners of a box, .* \[\[3, 2\]\]"),
        ({"points": [[20, 30]], "labels": [2]}, r"corners of a box, .* got \[\[2\]\]"),
        ({"points": np.array([[1j, 2]]), "labels": [1]}, "numbers: they are complex"),
        ({"points": [[1, 2], [3]], "labels": [1, 1]}, "points must be an array of numbers"),
        ({"points": [[1, 2], [3, 4]], "labels": [{}, None]}, r"got \[None, {}\]"),
        ({"points": np.array(1.0), "labels": []}, r"got points \(\) and labels"),
        ({"box": 5}, r"got shape \(\)"),
        ({"points": [[1, 2], [3, 4]], "labels": [[1], [1, 1]]}, "labels must be an array"),
        ({"box": [96, 0, 120, 30]}, r"must overlap .* got \(96, 0, 120, 30\)"),
        ({"box": [-20, -20, 0, 30]}, "must overlap"),
        ({"points": [[48, 32]], "labels": [1], "normalize_coords": False}, "x from 0 to 1"),
        ({"points": np.ones((20_000, 2)), "labels": np.ones(20_000)}, "at most 1024 .* got 20000"),
    ],
)
def test_impossible_prompts_are_refused(ask: Any, prompt: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ask(**prompt)


@pytest.mark.parametrize(
    ("prompt", "same"),
    [
        ({"points": [[[20, 30]]], "labels": [[1]]}, {"points": [[20, 30]], "labels": [1]}),
        ({"points": [[[20, 30]]], "labels": [1]}, {"points": [[20, 30]], "labels": [1]}),
        ({"points": [(20, 30)], "labels": [True]}, {"points": [[20, 30]], "labels": [1.0]}),
        (
            {"points": mx.array([[20, 30]], mx.bfloat16), "labels": mx.array([1])},
            {"points": [[20, 30]], "labels": [1]},
        ),
        ({"points": [], "labels": [], "box": [5, 6, 70, 60]}, {"box": [5, 6, 70, 60]}),
        ({"box": [[5, 6], [70, 60]]}, {"box": np.array([[5, 6, 70, 60]])}),
        ({"points": [[5, 6], [70, 60]], "labels": [2, 3]}, {"box": [5, 6, 70, 60]}),
    ],
)
def test_other_spellings_mean_the_same(ask: Any, prompt: Any, same: Any) -> None:
    np.testing.assert_array_equal(ask(**prompt), ask(**same))


def test_what_reaches_to_the_border_is_taken(ask: Any) -> None:
    ask(points=[[0, 0], [96, 64]], labels=[1, 0])
    # A detector's box may stand out a little, and padding is nowhere.
    ask(box=[-0.5, 3, 97.2, 64.4])
    ask(points=[[20, 30], [-9, -9]], labels=[1, -1])
    ask(points=np.full((MAX_POINTS, 2), 5), labels=np.ones(MAX_POINTS))


def test_points_of_one_frame_are_limited_together() -> None:
    full = Prompt.from_points(np.zeros((MAX_POINTS, 2)), np.ones(MAX_POINTS), size=SIZE)
    with pytest.raises(ValueError, match="at most 1024"):
        full.extended(Prompt.from_points([[1, 1]], [1], size=SIZE))


def test_a_video_takes_one_object_at_a_time() -> None:
    predictor = SAM2VideoPredictor(tiny_model())
    state = predictor.init_state(ToyClip())
    with pytest.raises(ValueError, match="got 2"):
        predictor.add_new_points_or_box(state, 0, 1, box=[[0, 0, 9, 9], [5, 5, 40, 40]])


@pytest.mark.parametrize(
    ("mask", "on"),
    [
        ([[0, 3], [255, 0]], [[False, True], [True, False]]),
        ([[-4.0, 0.3], [8.0, 0.0]], [[False, True], [True, False]]),
        ([[0.02, 0.9], [0.5, 0.51]], [[False, True], [False, True]]),
        ([[0.0, 255.0], [1.0, 0.0]], [[False, True], [True, False]]),
        (np.array([[True, False]]), [[True, False]]),
        (np.array([[0, 200]], np.uint8), [[False, True]]),
    ],
)
def test_masks_of_any_numbers(mask: Any, on: Any) -> None:
    assert Prompt.from_mask(mask).mask.tolist() == on


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros((1, 4, 4)), r"got \(1, 4, 4\)"),
        (np.zeros((0, 4)), r"got \(0, 4\)"),
        (np.broadcast_to(np.zeros((1, 1), bool), (90_000, 90_000)), "mask has 90000x90000 pixels"),
        ([[np.nan, 1.0]], "NaN"),
        ([["a"]], "must hold numbers"),
        (np.ones((2, 2), complex), "complex"),
        ([[1], [1, 0]], "mask must be an array of numbers"),
        (np.ones((2, 2), complex), "numbers: they are complex"),
    ],
)
def test_impossible_masks_are_refused(mask: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Prompt.from_mask(mask)


@pytest.mark.parametrize(
    ("logits", "message"),
    [
        ("many", "mask_input must be an array of numbers"),
        ([[1], [1, 2]], "mask_input must be an array of numbers"),
        (np.ones((1, 16, 16), complex), "they are complex"),
        (np.ones((0, 1, 16, 16)), r"got \(0, 1, 16, 16\)"),
        (np.full((1, 16, 16), np.nan), "finite"),
    ],
)
def test_impossible_logits_are_refused(logits: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Prompt().improving(logits, 16)


def test_logits_of_a_video_are_a_mask_prompt() -> None:
    predictor = SAM2VideoPredictor(tiny_model())
    state = predictor.init_state(ToyClip())
    _, _, logits = predictor.add_new_points_or_box(state, 0, 1, points=[[20, 30]], labels=[1])
    wanted = np.asarray(logits)[0, 0] > 0
    assert 0 < wanted.mean() < 1
    _, _, again = predictor.add_new_mask(state, 0, 1, np.asarray(logits)[0, 0])
    _, _, exact = predictor.add_new_mask(state, 0, 1, wanted)
    np.testing.assert_array_equal(np.asarray(again), np.asarray(exact))


@pytest.mark.parametrize("keep_aspect", [False, True])
def test_places_round_as_in_the_reference(keep_aspect: bool) -> None:
    from dataclasses import replace

    height, width = size = 1080, 1917
    random = np.random.default_rng(0)
    pixels = (random.uniform(0, 1, (500, 2)) * (width, height)).astype(np.float32)
    framing = Framing.of(size, replace(CONFIG, image_size=1024, keep_aspect=keep_aspect))
    places = framing.coords(Prompt.from_points(pixels, np.ones(500), size=size).points)[0]
    if keep_aspect:
        expected = (pixels.astype(np.float64) * (1024 / width, 577 / height)).astype(np.float32)
    else:
        expected = pixels / np.array([width, height], np.float32) * np.float32(1024)
    np.testing.assert_array_equal(places, expected)
