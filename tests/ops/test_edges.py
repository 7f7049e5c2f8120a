"""Edges that follow the picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sam2_mlx.ops.edges import refined_masks

SIZE, CELLS = 160, 16


def disc(x: float, y: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[:SIZE, :SIZE] + 0.5
    return (columns - x) ** 2 + (rows - y) ** 2 < radius**2


def logits_of(mask: np.ndarray) -> np.ndarray:
    """As a network gives them: the share of each cell, smooth."""
    shares = cv2.resize(mask.astype(np.float32), (CELLS, CELLS), interpolation=cv2.INTER_AREA)
    return (cv2.GaussianBlur(shares, (3, 3), 0) * 16 - 8)[None]


def picture(mask: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 6, (SIZE, SIZE, 3))
    colours = np.where(mask[..., None], (200, 90, 40), (40, 90, 160))
    return np.clip(colours + noise, 0, 255).astype(np.uint8)


def plain(logits: np.ndarray) -> np.ndarray:
    return np.stack([cv2.resize(one, (SIZE, SIZE)) > 0 for one in logits])


def test_edges_go_where_the_colours_change() -> None:
    truth = disc(71, 83, 41)
    logits = logits_of(truth)
    enlarged, refined = plain(logits)[0], refined_masks(logits, picture(truth))[0]
    assert (refined != truth).mean() < 0.002 < (enlarged != truth).mean() / 3
    # No speck is left over.
    assert cv2.connectedComponents(refined.astype(np.uint8))[0] == 2


def test_without_an_edge_in_the_picture_they_stay_where_they_were() -> None:
    truth = disc(80, 80, 50)
    grey = np.full((SIZE, SIZE, 3), 128, np.uint8)
    logits = logits_of(truth)
    difference = refined_masks(logits, grey)[0] != plain(logits)[0]
    assert difference.mean() < 0.02


@pytest.mark.parametrize("value", [-8.0, 8.0])
def test_what_has_no_edge_is_left_alone(value: float) -> None:
    logits = np.full((1, CELLS, CELLS), value, np.float32)
    assert (refined_masks(logits, picture(disc(80, 80, 40)))[0] == (value > 0)).all()


def test_masks_overlap_only_where_they_may() -> None:
    first, second = disc(60, 80, 40), disc(100, 80, 40)
    logits = np.concatenate([logits_of(first), logits_of(second)])
    image = picture(first)
    both, apart = refined_masks(logits, image), refined_masks(logits, image, overlap=False)
    assert both.all(axis=0).any() and not apart.all(axis=0).any()
    assert (apart.any(axis=0) == both.any(axis=0)).all() and (apart[0] == both[0]).all()


def test_a_frame_without_objects_is_one() -> None:
    logits = np.zeros((0, CELLS, CELLS), np.float32)
    assert refined_masks(logits, picture(disc(80, 80, 40))).shape == (0, SIZE, SIZE)
