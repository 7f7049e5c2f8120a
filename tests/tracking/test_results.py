"""Masks at the picture's size, made when they are asked for."""

from __future__ import annotations

import threading

import mlx.core as mx
import numpy as np
import pytest

from sam2_mlx.tracking.results import FrameMasks


def some(count: int, size: tuple[int, int], non_overlap: bool = False) -> FrameMasks:
    rng = np.random.default_rng(0)
    coarse = mx.array(rng.standard_normal((count, 1, 16, 16)).astype(np.float32))
    ones = mx.ones((count,))
    return FrameMasks(3, tuple(range(count)), coarse, ones, ones, size, non_overlap)


@pytest.mark.parametrize("non_overlap", [False, True])
@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize("size", [(16, 16), (37, 50), (9, 11)])
def test_masks_are_where_logits_are_positive(
    count: int, size: tuple[int, int], non_overlap: bool
) -> None:
    shown = some(count, size, non_overlap)
    assert shown.logits.shape == (count, 1, *size)
    assert shown.masks.shape == (count, *size) and shown.masks.dtype == bool
    np.testing.assert_array_equal(shown.masks, np.array(shown.logits[:, 0]) > 0)
    if count:
        assert 0 < shown.masks.mean() < 1
    if non_overlap and count:
        assert shown.masks.sum(axis=0).max() == 1
    assert shown.logits is shown.logits


def test_another_thread_may_ask() -> None:
    shown = some(2, (40, 30))
    mx.eval(shown.coarse)
    found: list[np.ndarray] = []

    def work() -> None:
        found.append(shown.masks)
        found.append(np.array(shown.logits))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert len(found) == 2
    np.testing.assert_array_equal(found[0], found[1][:, 0] > 0)
