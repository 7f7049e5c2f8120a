"""The whole generator, against the reference with the bundled weights, and its own rules."""

from __future__ import annotations

import mlx.core as mx
import numpy as np
import pytest
from PIL import Image

from sam2_mlx.checkpoints.load import load
from sam2_mlx.ops import rle
from sam2_mlx.predictors.mask_generator import SAM2AutomaticMaskGenerator
from tests.everything.drawn import SETTINGS, draw_shapes
from tests.overlap import mask_iou

FIELDS = {
    "segmentation",
    "area",
    "bbox",
    "predicted_iou",
    "point_coords",
    "stability_score",
    "crop_box",
}


@pytest.fixture(scope="module")
def nano():
    """The bundled model in float32."""
    return load("nano", dtype="float32")


def _iou(first: dict, second: dict) -> float:
    return mask_iou(rle.decode(first), rle.decode(second))


@pytest.mark.parametrize("name", list(SETTINGS))
def test_the_reference_finds_the_same(nano, expected_records, name) -> None:
    generator = SAM2AutomaticMaskGenerator(nano, output_mode="uncompressed_rle", **SETTINGS[name])
    found = generator.generate(draw_shapes())
    expected = expected_records[name]
    assert len(found) == len(expected) > 5
    for mine, theirs in zip(found, expected, strict=True):
        assert set(mine) == set(theirs) == FIELDS
        assert mine["point_coords"] == theirs["point_coords"]
        assert mine["crop_box"] == theirs["crop_box"]
        assert mine["predicted_iou"] == pytest.approx(theirs["predicted_iou"], abs=1e-4)
        assert mine["stability_score"] == pytest.approx(theirs["stability_score"], abs=5e-3)
        assert np.abs(np.subtract(mine["bbox"], theirs["bbox"])).max() <= 1
        assert mine["segmentation"]["size"] == theirs["segmentation"]["size"] == [120, 168]
        assert _iou(mine["segmentation"], theirs["segmentation"]) > 0.99


def test_output_modes_hold_the_same_masks(nano) -> None:
    found = {
        mode: SAM2AutomaticMaskGenerator(
            nano,
            output_mode=mode,
            points_per_side=4,
            pred_iou_thresh=0.3,
            stability_score_thresh=0.4,
        ).generate(draw_shapes())
        for mode in ("binary_mask", "uncompressed_rle", "coco_rle")
    }
    for mask, plain, packed in zip(*found.values(), strict=True):
        assert mask["segmentation"].dtype == bool
        assert mask["segmentation"].shape == (120, 168)
        assert isinstance(plain["segmentation"]["counts"], list)
        assert isinstance(packed["segmentation"]["counts"], str)
        for other in (plain, packed):
            assert np.array_equal(rle.decode(other["segmentation"]), mask["segmentation"])
        assert mask["area"] == mask["segmentation"].sum() == packed["area"]
        x, y, width, height = mask["bbox"]
        assert rle.bounding_box(mask["segmentation"]) == (x, y, width + 1, height + 1)


def test_points_in_batches_of_any_size_find_the_same(nano) -> None:
    options = {"points_per_side": 3, "pred_iou_thresh": 0.2, "stability_score_thresh": 0.2}
    found = [
        SAM2AutomaticMaskGenerator(
            nano, output_mode="coco_rle", points_per_batch=batch, **options
        ).generate(draw_shapes())
        for batch in (2, 64)
    ]
    assert len(found[0]) == len(found[1]) > 3
    for few, many in zip(*found, strict=True):
        assert _iou(few["segmentation"], many["segmentation"]) > 0.99


def test_given_grids_take_the_place_of_the_regular_one(nano) -> None:
    grid = np.array([[0.2, 0.3], [0.75, 0.7]])
    generator = SAM2AutomaticMaskGenerator(
        nano,
        points_per_side=None,
        point_grids=[grid],
        pred_iou_thresh=0,
        stability_score_thresh=0,
        box_nms_thresh=1.0,
    )
    points = {tuple(record["point_coords"][0]) for record in generator.generate(draw_shapes())}
    expected = {(33.6, 36.0), (126.0, 84.0)}
    assert {tuple(round(value, 3) for value in point) for point in points} == expected


def test_thresholds_that_nothing_passes_give_no_records(nano) -> None:
    generator = SAM2AutomaticMaskGenerator(
        nano, points_per_side=2, pred_iou_thresh=0.99, crop_n_layers=1
    )
    assert generator.generate(draw_shapes()) == []


def test_low_resolution_specks_and_holes_go(nano) -> None:
    options = {"points_per_side": 3, "pred_iou_thresh": 0, "stability_score_thresh": 0}
    rough, clean = (
        SAM2AutomaticMaskGenerator(nano, min_mask_region_area=area, **options).generate(
            draw_shapes()
        )
        for area in (0, 30)
    )
    assert [r["segmentation"].sum() for r in rough] != [r["segmentation"].sum() for r in clean]


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (700, 9)])
def test_odd_sizes_of_pictures(nano, size) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (*size, 3)).astype(np.uint8)
    generator = SAM2AutomaticMaskGenerator(
        nano, points_per_side=2, pred_iou_thresh=0, stability_score_thresh=0
    )
    for record in generator.generate(picture):
        assert record["segmentation"].shape == size


def test_pictures_of_other_kinds_and_files(nano, tmp_path) -> None:
    options = {"points_per_side": 2, "pred_iou_thresh": 0, "stability_score_thresh": 0}
    generator = SAM2AutomaticMaskGenerator(nano, output_mode="coco_rle", **options)
    path = tmp_path / "picture.png"
    Image.fromarray(draw_shapes()).save(path)
    expected = generator.generate(draw_shapes())
    assert generator.generate(path) == expected
    with Image.open(path) as opened:
        assert generator.generate(opened) == expected
    with pytest.raises(ValueError, match=r"shape \(H, W, 3\) .*got \(5, 5, 2\)"):
        generator.generate(np.zeros((5, 5, 2), np.uint8))


def test_half_precision_finds_the_same_objects(nano) -> None:
    options = {**SETTINGS["plain"], "points_per_side": 3}
    half = load("nano", dtype="float16")
    assert half.dtype == mx.float16
    found = [
        SAM2AutomaticMaskGenerator(model, output_mode="coco_rle", **options).generate(draw_shapes())
        for model in (nano, half)
    ]
    matched = [max(_iou(a["segmentation"], b["segmentation"]) for b in found[1]) for a in found[0]]
    assert np.mean(np.array(matched) > 0.95) > 0.8


@pytest.mark.parametrize("mode", ["binary_mask", "uncompressed_rle", "coco_rle"])
def test_small_regions_of_finished_masks(mode) -> None:
    holed = np.zeros((20, 30), bool)
    holed[3:15, 4:20] = True
    holed[8, 9] = False  # a hole
    holed[18, 28] = True  # a speck
    whole = np.zeros((20, 30), bool)
    whole[3:15, 4:20] = True
    apart = np.zeros((20, 30), bool)
    apart[2:9, 22:29] = True

    def record(mask: np.ndarray) -> dict:
        packed = {
            "binary_mask": mask,
            "uncompressed_rle": rle.encode(mask, compress=False),
            "coco_rle": rle.encode(mask),
        }[mode]
        x, y, width, height = rle.bounding_box(mask)
        box = [float(value) for value in (x, y, width - 1, height - 1)]
        return {"segmentation": packed, "area": int(mask.sum()), "bbox": box, "predicted_iou": 0.5}

    clean = SAM2AutomaticMaskGenerator.postprocess_small_regions
    only = clean([record(holed)], 4)
    assert len(only) == 1
    given = only[0]["segmentation"]
    found = rle.decode(given) if isinstance(given, dict) else given
    assert np.array_equal(found, whole)
    assert (only[0]["area"], only[0]["bbox"]) == (192, [4.0, 3.0, 15.0, 11.0])
    assert type(given) is type(record(whole)["segmentation"])
    # Cleaned, the first is the second's duplicate; the one that needed nothing stays.
    both = clean([record(holed), record(whole), record(apart)], 4)
    assert [r["area"] for r in both] == [192, 49]
    assert clean([], 4) == []


def test_options_that_contradict_each_other(nano) -> None:
    with pytest.raises(ValueError, match="points_per_side or point_grids"):
        SAM2AutomaticMaskGenerator(nano, point_grids=[np.zeros((1, 2))])
    with pytest.raises(ValueError, match="points_per_side or point_grids"):
        SAM2AutomaticMaskGenerator(nano, points_per_side=None)
    with pytest.raises(ValueError, match="2 in all; got 1"):
        SAM2AutomaticMaskGenerator(
            nano, points_per_side=None, point_grids=[np.zeros((1, 2))], crop_n_layers=1
        )
    with pytest.raises(ValueError, match=r"shape \(N, 2\); got \(3,\)"):
        SAM2AutomaticMaskGenerator(nano, points_per_side=None, point_grids=[np.zeros(3)])
    with pytest.raises(ValueError, match="one of binary_mask, .* got 'png'"):
        SAM2AutomaticMaskGenerator(nano, output_mode="png")
    with pytest.raises(ValueError, match="points_per_batch must be at least 1; got 0"):
        SAM2AutomaticMaskGenerator(nano, points_per_batch=0)


def test_from_pretrained_sorts_its_options() -> None:
    generator = SAM2AutomaticMaskGenerator.from_pretrained(
        "nano", dtype="float32", points_per_side=7, use_m2m=True
    )
    assert generator.model.dtype == mx.float32
    assert len(generator.point_grids[0]) == 49
    assert generator.use_m2m
    with pytest.raises(TypeError, match="points_a_side"):
        SAM2AutomaticMaskGenerator.from_pretrained("nano", points_a_side=7)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"points_per_side": 1.5}, "points_per_side must be a whole number; got 1.5"),
        ({"points_per_side": 10**6}, "points_per_side must be at most 512"),
        ({"pred_iou_thresh": float("nan")}, "pred_iou_thresh must be a number; got nan"),
        ({"box_nms_thresh": "0.7"}, "box_nms_thresh must be a number; got '0.7'"),
        ({"crop_n_layers": 0.5}, "crop_n_layers must be a whole number"),
    ],
)
def test_options_that_are_no_numbers(nano, options: dict, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        SAM2AutomaticMaskGenerator(nano, **options)
