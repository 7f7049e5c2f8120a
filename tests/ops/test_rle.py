"""COCO run lengths: hand cases, strings made by the COCO API, and round trips."""

from __future__ import annotations

import numpy as np
import pytest

from sam2_mlx.ops import rle


def disc_with_gap() -> np.ndarray:
    y, x = np.mgrid[:300, :400]
    mask = (y - 140) ** 2 + (x - 210) ** 2 < 55**2
    mask[:, 200:205] = False
    return mask


def frame_with_hole() -> np.ndarray:
    mask = np.zeros((5, 7), bool)
    mask[1:4, 2:6] = True
    mask[2, 3] = False
    return mask


# Strings that pycocotools 2.0 gives for these masks.
COCO = [
    (frame_with_hole(), ";32NO012004"),
    (np.ones((3, 3), bool), "09"),
    (
        np.add.outer(np.arange(6) * 3, np.arange(9) * 5) % 7 < 3,
        "0120O0000030M0000010O000000010O000000010O000001",
    ),
    (
        disc_with_gap(),
        "bj]1e0c88I6J6K4L4L4L4L4M2N2M4M2N2N2N2N2N2N2N2N2O0O2N2N2O0O2O0O2O0O2O0O2O0O2O000O2O00"
        "0O2O00000k^12SaN000000000000000000000000000001N1000001N10001N10001N101N101N101N101N1"
        "01N2N2N101N2N2N2N2N2N2N2N2N3L3N2N3L4L4L4L4L5J6J7Hf]W1",
    ),
]


@pytest.mark.parametrize(("mask", "text"), COCO)
def test_equals_the_coco_api(mask: np.ndarray, text: str) -> None:
    record = rle.encode(mask)
    assert record == {"size": list(mask.shape), "counts": text}
    assert np.array_equal(rle.decode(record), mask)
    assert np.array_equal(rle.decode({"size": mask.shape, "counts": text.encode()}), mask)
    assert rle.area(record) == mask.sum()


def test_runs_go_down_the_columns_and_start_with_zeros() -> None:
    mask = np.array([[0, 1], [1, 1], [0, 0]], bool)
    assert rle.mask_to_counts(mask).tolist() == [1, 1, 1, 2, 1]
    assert rle.mask_to_counts(~mask).tolist() == [0, 1, 1, 1, 2, 1]
    assert rle.encode(mask, compress=False)["counts"] == [1, 1, 1, 2, 1]


@pytest.mark.parametrize("density", [0.0, 0.02, 0.5, 0.97, 1.0])
def test_round_trips(density: float) -> None:
    random = np.random.default_rng(int(density * 100))
    for _ in range(20):
        mask = random.random(random.integers(1, 70, 2)) < density
        for compress in (True, False):
            record = rle.encode(mask, compress)
            assert np.array_equal(rle.decode(record), mask)
            assert rle.area(record) == mask.sum()


def test_large_counts_survive() -> None:
    counts = np.array([0, 1, 40_000_000, 3, 70_000_000, 1, 5, 90_000_000])
    assert rle.string_to_counts(rle.counts_to_string(counts)).tolist() == counts.tolist()


def test_bounding_box() -> None:
    assert rle.bounding_box(frame_with_hole()) == (2, 1, 4, 3)
    assert rle.bounding_box(np.zeros((4, 4), bool)) == (0, 0, 0, 0)
    assert rle.bounding_box(np.ones((4, 6), bool)) == (0, 0, 6, 4)


def test_wrong_input_is_refused() -> None:
    with pytest.raises(ValueError, match="height, width"):
        rle.mask_to_counts(np.zeros((2, 2, 2)))
    with pytest.raises(ValueError, match="sum to 2 \\* 2 = 4"):
        rle.decode({"size": [2, 2], "counts": [1, 2]})
    with pytest.raises(ValueError, match="unexpected characters"):
        rle.string_to_counts("0\x7f")
    with pytest.raises(ValueError, match="unexpected characters"):
        rle.string_to_counts("0P")
    for counts in ([2**63 - 1, 2**63 - 1, 6], [2**64], [None], "o" * 100_000 + "0", {}, None):
        with pytest.raises(ValueError, match=r"run lengths|too long"):
            rle.decode({"size": [2, 2], "counts": counts})
