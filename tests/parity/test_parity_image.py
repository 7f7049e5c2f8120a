"""The image predictor against the reference's, and both ways of making pictures square."""

from __future__ import annotations

import mlx.core as mx
import numpy as np
import pytest

from sam2_mlx import SAM2ImagePredictor, load
from sam2_mlx.transforms import normalise, resize_frame, resize_image
from tests.parity import ours
from tests.parity.image_cases import answer_cases
from tests.parity.scenes import draw_picture
from tests.parity.stage_inputs import sampled

TOLERANCE = 1e-4
EMBEDDING_TOLERANCE = 7.15e-6


QUICK = ("one_click", "box")
"""Cases for large inputs."""


@pytest.mark.parametrize(
    ("model", "image_size", "cases"),
    [("tiny", 256, ()), ("2.0-tiny", 256, ()), ("nano", 256, ()), ("tiny", 1024, QUICK)],
)
def test_image_predictor_matches_the_reference(model, image_size, cases, golden, measured) -> None:
    expected = golden(f"image_{model}_{image_size}")
    if model == "nano":
        built = load("nano", dtype="float32")
    else:
        built = ours.seeded_model(ours.seeded_config(model, image_size))
    found = answer_cases(SAM2ImagePredictor(built), np.asarray, cases)
    assert len(found) >= 7
    errors, absolute = {}, {}
    for name, values in found.items():
        absolute[name] = float(np.abs(sampled(name, values) - expected[name]).max())
        errors[name] = absolute[name] / float(expected[f"_scale.{name}"])
    worst = max(errors, key=lambda name: errors[name])
    measured(
        f"image predictor {model} at {image_size}",
        f"worst {errors[worst]:.1e} of the largest magnitude ({worst}); embedding "
        f"{absolute['embedding']:.1e} absolute, {errors['embedding']:.1e} relative",
    )
    assert errors[worst] <= TOLERANCE, f"{worst} is off by {errors[worst]:.1e}"
    assert errors["embedding"] <= EMBEDDING_TOLERANCE


def test_pictures_are_resized_as_in_the_reference(golden, measured) -> None:
    expected = golden("resizing")
    worst = {"image": 0.0, "frame": 0.0}
    for name, values in expected.items():
        kind, size, side = name.split("_")
        height, width = map(int, size.split("x"))
        resize = resize_image if kind == "image" else resize_frame
        square = resize(draw_picture(height, width, seed=7), int(side))
        found = np.array(normalise(square[None], mx.float32))[0]
        worst[kind] = max(worst[kind], float(np.abs(sampled(name, found) - values).max()))
    measured("resizing", f"images {worst['image']:.1e}, frames {worst['frame']:.1e} absolute")
    assert worst["image"] < 2e-5
    assert worst["frame"] < 2e-6
