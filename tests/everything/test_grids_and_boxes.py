"""Points, crops, boxes, stability, regions and run lengths, against the reference's functions."""

from __future__ import annotations

from fractions import Fraction

import mlx.core as mx
import numpy as np
import pytest

from sam2_mlx.ops import rle
from sam2_mlx.ops.crops import (
    crop_boxes,
    layer_grids,
    non_max_suppression,
    point_grid,
    touches_crop,
)
from sam2_mlx.ops.masks import (
    mask_boxes,
    remove_small_regions,
    stability_areas,
    stability_scores,
)
from sam2_mlx.ops.resize import resize_maps, resize_matrix
from sam2_mlx.predictors.enlarged_masks import enlarge_masks, placed_counts
from sam2_mlx.predictors.enlarger import Enlarger


@pytest.fixture
def shapes(helpers) -> np.ndarray:
    """Empty, full, single-pixel, border and random masks, bool (N, 13, 17)."""
    packed = np.array(helpers["masks"], np.uint8)
    return np.unpackbits(packed, axis=2, count=17).astype(bool)


def test_boxes_of_masks(helpers, shapes) -> None:
    assert np.array(mask_boxes(mx.array(shapes))).tolist() == helpers["boxes"]


def test_run_lengths_of_masks(helpers, shapes) -> None:
    for mask, expected in zip(shapes, helpers["rles"], strict=True):
        assert rle.encode(mask, compress=False) == expected


def test_run_lengths_are_those_of_pycocotools(helpers, shapes) -> None:
    columns = ("coco", "coco_areas", "coco_boxes")
    for mask, packed, area, box in zip(shapes, *(helpers[key] for key in columns), strict=True):
        assert rle.encode(mask) == packed
        assert rle.area(packed) == area
        assert list(rle.bounding_box(mask)) == box
        assert np.array_equal(rle.decode(packed), mask)


@pytest.mark.parametrize(("x", "y"), [(0, 0), (4, 7), (13, 12)])
def test_run_lengths_of_a_part_are_those_of_the_whole(shapes, x, y) -> None:
    for mask in shapes:
        whole = np.zeros((25, 30), bool)
        whole[y : y + 13, x : x + 17] = mask
        counts = placed_counts(mask, (x, y), (25, 30))
        assert np.array_equal(counts, rle.mask_to_counts(whole))


def test_stability_scores(helpers) -> None:
    logits = np.array(helpers["logits"], np.float32)
    for threshold, offset, expected in helpers["stability"]:
        areas = np.array(stability_areas(mx.array(logits[:4]), threshold, offset))
        assert stability_scores(areas).tolist() == expected


def test_stability_of_an_empty_mask_is_zero(helpers) -> None:
    areas = stability_areas(mx.array(helpers["logits"][4]), 0.0, 1.0)
    assert float(stability_scores(np.array(areas))) == 0.0


def test_point_grids(helpers) -> None:
    for side, expected in helpers["grids"].items():
        assert np.allclose(point_grid(int(side)), expected, rtol=0, atol=1e-15)
    for side, layers, factor, sizes in helpers["layer_sizes"]:
        assert [len(grid) for grid in layer_grids(side, layers, factor)] == sizes


def test_a_layer_without_points_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least 1 point a side; got 0"):
        layer_grids(4, 3, 2)


def test_crop_boxes(helpers) -> None:
    for height, width, layers, ratio, boxes, of_layer in helpers["crops"]:
        found, found_layers = crop_boxes((height, width), layers, ratio)
        assert [list(box) for box in found] == boxes
        assert found_layers == of_layer


def test_crops_of_a_picture_that_is_too_small() -> None:
    with pytest.raises(ValueError, match="1x3 pixels is too small for 1 layers"):
        crop_boxes((3, 1), 1, 0.3)


def test_boxes_that_reach_the_edge_of_a_crop(helpers) -> None:
    found = touches_crop(np.array(helpers["edge_boxes"]), (20, 30, 160, 190), (190, 180))
    assert found.tolist() == helpers["near_edge"]
    assert 0 < sum(helpers["near_edge"]) < len(helpers["near_edge"])


def test_small_regions(helpers, shapes) -> None:
    expected = iter(helpers["small"])
    for mask in shapes:
        for area in (1, 2, 6):
            for mode in ("holes", "islands"):
                given_area, given_mode, packed, changed = next(expected)
                assert (given_area, given_mode) == (area, mode)
                found, found_changed = remove_small_regions(mask, area, mode)
                wanted = np.unpackbits(np.array(packed, np.uint8), axis=1, count=17)
                assert np.array_equal(found, wanted.astype(bool)), (area, mode)
                assert found_changed == changed


def test_small_regions_need_a_known_mode(shapes) -> None:
    with pytest.raises(ValueError, match="holes or islands; got 'specks'"):
        remove_small_regions(shapes[0], 2, "specks")


def _iou(first: np.ndarray, second: np.ndarray) -> Fraction:
    x0, y0 = np.maximum(first[:2], second[:2])
    x1, y1 = np.minimum(first[2:], second[2:])
    shared = max(0, int(x1) - int(x0)) * max(0, int(y1) - int(y0))
    areas = [(int(b[2]) - int(b[0])) * (int(b[3]) - int(b[1])) for b in (first, second)]
    union = sum(areas) - shared
    return Fraction(shared, union) if union else Fraction(0)


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.7])
def test_duplicates_are_dropped(threshold) -> None:
    random = np.random.default_rng(3)
    corners = random.integers(0, 12, (60, 2))
    boxes = np.concatenate([corners, corners + random.integers(0, 9, (60, 2))], axis=1)
    scores = random.integers(0, 8, 60) / 8  # with many that are equal
    kept: list[int] = []
    for index in sorted(range(60), key=lambda i: -scores[i]):
        if all(_iou(boxes[index], boxes[other]) <= threshold for other in kept):
            kept.append(index)
    assert non_max_suppression(boxes, scores, threshold).tolist() == kept
    assert 5 < len(kept) < 60


def test_of_no_boxes_none_stay() -> None:
    assert non_max_suppression(np.zeros((0, 4)), np.zeros(0), 0.7).tolist() == []


@pytest.mark.parametrize("size", [(50, 70), (7, 9), (16, 16), (1, 1)])
def test_masks_are_enlarged_only_where_they_are(size) -> None:
    random = np.random.default_rng(4)
    logits = np.full((5, 16, 16), -6, np.float32)
    logits[0, 3:7, 9:12] = 4
    logits[1, 0, 0] = 9
    logits[2, 15, 2:] = 2
    logits[3] = random.standard_normal((16, 16)) * 3
    enlarger = Enlarger(*(resize_matrix(16, side, "bilinear") for side in size))
    parts = list(enlarge_masks(enlarger, mx.array(logits), 0.0, 1.0, at_once=size[0] * 20))
    whole = np.array(resize_maps(mx.array(logits), size))
    areas = np.array(stability_areas(mx.array(whole), 0.0, 1.0))
    found = np.concatenate([part.index for part in parts])
    assert found.tolist() == [0, 1, 2, 3, 4]
    assert np.array_equal(np.concatenate([p.stability for p in parts]), stability_scores(areas))
    counts = [c for part in parts for c in part.counts((0, 0, size[1], size[0]), size)]
    for run_lengths, mask in zip(counts, whole > 0, strict=True):
        assert np.array_equal(run_lengths, rle.mask_to_counts(mask))
    boxes = np.concatenate([part.boxes() for part in parts])
    assert np.array_equal(boxes, np.array(mask_boxes(mx.array(whole > 0))))
