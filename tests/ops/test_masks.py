from __future__ import annotations

import mlx.core as mx
import numpy as np

from sam2_mlx.ops.masks import (
    connected_regions,
    fill_holes,
    mask_box,
    mask_boxes,
    remove_sprinkles,
    without_overlap,
)


def _disc_with_hole(hole: int) -> np.ndarray:
    logits = np.full((1, 1, 16, 16), -5.0, np.float32)
    logits[..., 2:14, 2:14] = 5
    logits[..., 5, 5 : 5 + hole] = -1
    return logits


def test_the_box_of_a_mask() -> None:
    mask = np.zeros((9, 12), bool)
    assert mask_box(mask) is None
    mask[2, 3] = mask[7, 10] = True
    x0, y0, x1, y1 = mask_box(mask)
    assert (x0, y0, x1, y1) == (3, 2, 11, 8)
    # The reference's boxes include their last row and column.
    assert np.array(mask_boxes(mx.array(mask[None]))).tolist() == [[x0, y0, x1 - 1, y1 - 1]]


def test_regions_touch_at_corners() -> None:
    mask = np.array([[1, 0, 0, 1], [0, 1, 0, 1], [0, 0, 0, 1]], bool)
    labels, areas = connected_regions(mask)
    assert labels[0, 0] == labels[1, 1] != labels[0, 3] == labels[2, 3] and labels[0, 1] == 0
    assert sorted(areas[1:].tolist()) == [2, 3] and areas[0] == 7


def test_small_holes_are_filled_and_large_ones_stay() -> None:
    small, large = _disc_with_hole(4), _disc_with_hole(5)
    assert fill_holes(small, 4, 0.1)
    assert (small[..., 5, 5:9] == np.float32(0.1)).all()
    before = large.copy()
    assert not fill_holes(large, 4, 0.1)
    np.testing.assert_array_equal(large, before)


def test_diagonal_neighbours_are_one_region() -> None:
    logits = _disc_with_hole(0)
    logits[..., 5, 5] = logits[..., 6, 6] = -1
    assert not fill_holes(logits, 1, 0.1)
    assert fill_holes(logits, 2, 0.1)


def test_sprinkles_are_removed() -> None:
    logits = _disc_with_hole(0)
    logits[..., 0, 0] = 3
    assert remove_sprinkles(logits, 2, -10.0)
    assert logits[0, 0, 0, 0] == -10
    assert (logits[..., 2:14, 2:14] == 5).all()


def test_a_mask_without_background_has_no_hole() -> None:
    logits = np.ones((1, 1, 4, 4), np.float32)
    assert not fill_holes(logits, 100, 0.1)


def test_without_overlap_keeps_the_highest() -> None:
    logits = mx.array([[[[3.0, -2.0, -20.0]]], [[[1.0, 5.0, -30.0]]]])
    got = without_overlap(logits)
    assert got.tolist() == [[[[3.0, -10.0, -20.0]]], [[[-10.0, 5.0, -30.0]]]]
    assert mx.array_equal(without_overlap(logits[:1]), logits[:1])
