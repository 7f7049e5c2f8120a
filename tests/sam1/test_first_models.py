"""What a first Segment Anything does otherwise: framing, prompts, no memory; and its arithmetic."""

from __future__ import annotations

import mlx.core as mx
import numpy as np
import pytest
from PIL import Image

from sam2_mlx.config import MODELS
from sam2_mlx.ops.relative_attention import distance_table, grid_attention
from sam2_mlx.ops.resize import resize_maps
from sam2_mlx.predictors.image_predictor import SAM2ImagePredictor
from sam2_mlx.predictors.mask_generator import SAM2AutomaticMaskGenerator
from sam2_mlx.tracking.session import TrackingSession
from sam2_mlx.transforms import Framing
from tests.sam1.first_cases import draw_first
from tests.sam1.first_models import build, read_golden


@pytest.fixture(scope="module")
def small():
    """A small seeded model."""
    return build(read_golden("small")[1])


@pytest.mark.parametrize(
    ("size", "inner"),
    [
        ((110, 150), (751, 1024)),
        ((1500, 1000), (1024, 683)),
        ((64, 64), (1024, 1024)),
        ((1, 5000), (1, 1024)),
    ],
)
def test_the_long_side_fills_the_input(size, inner) -> None:
    framing = Framing.of(size, MODELS["sam1-vit-b"])
    assert framing.inner == inner
    corner = framing.coords(np.array([[1.0, 1.0]]))
    assert np.allclose(corner, [[inner[1], inner[0]]])


def test_other_models_stretch() -> None:
    framing = Framing.of((110, 150), MODELS["tiny"])
    assert framing.inner == (1024, 1024)
    assert framing.coords(np.array([0.5, 0.1])).tolist() == pytest.approx([512.0, 102.4])


def test_pixels_are_normalised_and_padded_with_zeros() -> None:
    config = MODELS["sam1-vit-b"].with_image_size(64)
    picture = draw_first()[:64, :100]
    framing = Framing.of(picture.shape[:2], config)
    pixels = np.array(framing.pixels(picture, mx.float32))
    assert pixels.shape == (1, 64, 64, 3)
    assert framing.inner == (41, 64)
    assert (pixels[0, 41:] == 0).all()
    resized = np.asarray(Image.fromarray(picture).resize((64, 41), Image.Resampling.BILINEAR))
    expected = (resized - np.array([123.675, 116.28, 103.53])) / np.array([58.395, 57.12, 57.375])
    assert np.abs(pixels[0, :41] - expected).max() < 1e-6


def test_masks_come_back_without_the_padding() -> None:
    config = MODELS["sam1-vit-b"].with_image_size(64)
    framing = Framing.of((50, 30), config)
    low = mx.random.normal((16, 16), key=mx.random.key(3))
    rows, columns = framing.mask_matrices(16)
    whole = resize_maps(low, (64, 64))[: framing.inner[0], : framing.inner[1]]
    expected = resize_maps(whole, (50, 30))
    assert mx.abs(rows @ low @ columns.T - expected).max().item() < 1e-6


@pytest.mark.parametrize("grid", [(5, 7), (4, 4)])
@pytest.mark.parametrize("dtype", [mx.float32, mx.float16])
def test_attention_with_distances(grid, dtype) -> None:
    height, width = grid
    random = np.random.default_rng(0)
    q, k, v = random.standard_normal((3, 2, 3, height * width, 8))
    tables = [random.standard_normal((2 * side - 1, 8)) for side in grid]
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(8)
    for a in range(height * width):
        for b in range(height * width):
            down, across = a // width - b // width, a % width - b % width
            bias = tables[0][down + height - 1] + tables[1][across + width - 1]
            scores[:, :, a, b] += q[:, :, a] @ bias
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    expected = weights / weights.sum(axis=-1, keepdims=True) @ v
    rows, columns = (
        distance_table(mx.array(table.astype(np.float32)), side).astype(dtype)
        for table, side in zip(tables, grid, strict=True)
    )
    inputs = (mx.array(part.astype(np.float32)).astype(dtype) for part in (q, k, v))
    found = grid_attention(*inputs, rows, columns)
    assert found.dtype == dtype
    tolerance = 1e-5 if dtype == mx.float32 else 3e-2
    assert np.abs(np.array(found.astype(mx.float32)) - expected).max() < tolerance


def test_half_precision_attends_in_parts(monkeypatch) -> None:
    from sam2_mlx.ops import relative_attention

    q, k, v = (mx.random.normal((1, 2, 24, 8), key=mx.random.key(i)) for i in range(3))
    tables = mx.random.normal((6, 6, 8), key=mx.random.key(4))[:4, :4], mx.ones((6, 6, 8))
    half = [part.astype(mx.float16) for part in (q, k, v, *tables)]
    whole = grid_attention(*half)
    monkeypatch.setattr(relative_attention, "_BIAS_AT_ONCE", 600)
    assert mx.abs(grid_attention(*half) - whole).max().item() < 2e-3


def test_distances_for_another_grid_are_resized() -> None:
    table = mx.arange(7, dtype=mx.float32)[:, None]
    assert np.array(distance_table(table, 4))[..., 0].tolist() == [
        [3, 2, 1, 0],
        [4, 3, 2, 1],
        [5, 4, 3, 2],
        [6, 5, 4, 3],
    ]
    wider = np.array(distance_table(table, 7))[..., 0]
    assert wider.shape == (7, 7)
    assert wider[3, 3] == pytest.approx(3.0)
    assert (np.diff(wider[:, 0]) > 0).all()


def test_a_box_closes_its_own_prompt(small) -> None:
    coords, labels = mx.zeros((1, 2, 2)), mx.array([[2, 3]])
    assert small.prompt_encoder.points(coords, labels, padded=False).shape[1] == 2
    assert small.prompt_encoder.points(coords, labels).shape[1] == 3


def test_logits_are_handed_out_as_they_are(small) -> None:
    assert small.mask_decoder.limited(mx.array([100.0])).item() == 100.0


def test_everything_is_found_with_a_first_model(small) -> None:
    generator = SAM2AutomaticMaskGenerator(
        small,
        points_per_side=3,
        pred_iou_thresh=0,
        stability_score_thresh=0.2,
        stability_score_offset=0.1,
        output_mode="coco_rle",
    )
    found = generator.generate(draw_first())
    assert found
    predictor = SAM2ImagePredictor(small)
    predictor.set_image(draw_first())
    record = found[0]
    logits, iou, _ = predictor.predict(record["point_coords"], [1], return_logits=True)
    areas = [int((mask > 0).sum()) for mask in logits]
    assert any(abs(record["area"] - area) <= 2 for area in areas)
    assert record["predicted_iou"] == pytest.approx(float(max(iou)), abs=1e-4) or len(found) > 1


def test_several_pictures_of_other_shapes(small) -> None:
    predictor = SAM2ImagePredictor(small)
    pictures = [draw_first(), np.ascontiguousarray(draw_first().transpose(1, 0, 2))]
    predictor.set_image_batch(pictures)
    points, labels = [[[70.0, 40.0]], [[40.0, 70.0]]], [[1], [1]]
    masks, _, _ = predictor.predict_batch(points, labels)
    assert [mask.shape for mask in masks] == [(3, 110, 150), (3, 150, 110)]
    predictor.set_image(pictures[1])
    alone, _, _ = predictor.predict(points[1], labels[1])
    assert (alone == masks[1]).mean() > 0.999


def test_it_cannot_track_and_says_what_can(small) -> None:
    with pytest.raises(ValueError, match="has no memory and only does single images; load a SAM 2"):
        TrackingSession(small)
