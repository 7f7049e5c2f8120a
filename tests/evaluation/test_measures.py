"""J, F and their statistics on masks whose scores can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from sam2_mlx.evaluation.clicks import correction_click
from sam2_mlx.evaluation.measures import (
    boundary,
    boundary_similarity,
    region_similarity,
    statistics,
)


def square(x: int, y: int, side: int, size: int = 100) -> np.ndarray:
    mask = np.zeros((size, size), bool)
    mask[y : y + side, x : x + side] = True
    return mask


EMPTY = square(0, 0, 0)


def test_region_similarity() -> None:
    assert region_similarity(square(10, 10, 10), square(10, 10, 10)) == 1
    assert region_similarity(square(10, 10, 10), square(15, 10, 10)) == pytest.approx(1 / 3)
    assert region_similarity(square(10, 10, 10), square(50, 10, 10)) == 0
    assert region_similarity(EMPTY, EMPTY) == 1
    assert region_similarity(EMPTY, square(1, 1, 3)) == 0


def test_the_boundary_lies_up_and_left() -> None:
    edge = boundary(square(4, 4, 3, size=10))
    # Outside above and to the left, inside below and to the right.
    expected = square(3, 3, 4, size=10) & ~square(4, 4, 2, size=10)
    assert np.array_equal(edge, expected)


def test_the_border_of_the_picture_is_no_boundary() -> None:
    half = np.zeros((6, 8), bool)
    half[:, 4:] = True
    edge = boundary(half)
    assert np.array_equal(np.flatnonzero(edge.any(axis=0)), [3])
    assert edge[:, 3].all()
    assert not boundary(np.ones((6, 8), bool)).any()


def test_boundary_similarity() -> None:
    # On 100 x 100 the tolerance is ceil(0.008 * 141.4) = 2 pixels.
    truth = square(20, 20, 30)
    assert boundary_similarity(truth, truth) == 1
    assert boundary_similarity(truth, square(22, 20, 30)) == 1
    # Moved by 3, the upright sides are lost and the level ones are still matched.
    assert 0.5 < boundary_similarity(truth, square(23, 20, 30)) < 0.65
    assert boundary_similarity(truth, square(23, 23, 30), tolerance=0.03) == 1
    assert boundary_similarity(truth, EMPTY) == 0
    assert boundary_similarity(EMPTY, truth) == 0
    assert boundary_similarity(EMPTY, EMPTY) == 1
    assert boundary_similarity(square(5, 5, 4), square(80, 80, 4)) == 0


def test_half_of_a_boundary() -> None:
    truth = np.zeros((100, 100), bool)
    truth[:, 50:] = True
    mask = truth.copy()
    mask[50:] = False
    # 100 pixels are wanted, 50 of them found; 50 more are found along the cut, 2 near enough.
    precision = (51 + 2) / 100
    recall = (51 + 1) / 100
    expected = 2 * precision * recall / (precision + recall)
    assert boundary_similarity(truth, mask) == pytest.approx(expected, abs=0.02)


def test_statistics() -> None:
    found = statistics([1.0, 1.0, 0.9, 0.5, 0.5, 0.1, 0.0, 0.0])
    assert found.mean == pytest.approx(0.5)
    assert found.recall == pytest.approx(3 / 8)
    # Marks at 1, 3, 5, 6, 8 of 8: the quarters share their ends.
    assert found.decay == pytest.approx((1 + 1 + 0.9) / 3 - (0.1 + 0 + 0) / 3)
    single = statistics([0.7])
    assert (single.mean, single.recall, single.decay) == (0.7, 1, 0)
    # Longer than 256 frames: the last quarter is still the last one.
    assert statistics([1.0] * 300 + [0.0] * 300).decay == pytest.approx(1)


def test_the_first_click_is_the_middle() -> None:
    click = correction_click(square(20, 30, 11), EMPTY)
    assert click == ((25, 35), 1)


def test_the_next_click_is_where_the_error_is_deepest() -> None:
    truth = square(20, 20, 40)
    assert correction_click(truth, truth) is None
    missing = truth & ~square(20, 20, 15)
    found = correction_click(truth, missing)
    assert found == ((27, 27), 1)
    both = missing | square(70, 70, 25)
    found = correction_click(truth, both)
    assert found is not None and found[1] == 0 and found[0] == (82, 82)


def test_an_object_at_the_border_is_clicked_inside() -> None:
    (x, y), label = correction_click(square(0, 0, 9), EMPTY) or ((-1, -1), -1)
    assert (x, y, label) == (4, 4, 1)
