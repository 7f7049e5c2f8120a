"""Masks at the picture's size, on the device until it is known which of them stay."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import mlx.core as mx
import numpy as np

from sam2_mlx.ops.masks import Box, mask_boxes, sides_box, stability_areas, stability_scores
from sam2_mlx.predictors.enlarger import Enlarger, Window


@dataclass(frozen=True)
class EnlargedMasks:
    """Some masks of one crop; every field has one entry a mask.

    Attributes:
        index: which of the masks that were handed in.
        windows: where in the crop each can be.
        masks: bool, of the window's rows and columns, on the device.
        stability: float32, stability score.
    """

    index: np.ndarray
    windows: list[Window]
    masks: list[mx.array]
    stability: np.ndarray

    def take(self, index: np.ndarray) -> EnlargedMasks:
        """Some of the masks, in the order of `index` (K,)."""
        return EnlargedMasks(
            self.index[index],
            [self.windows[i] for i in index],
            [self.masks[i] for i in index],
            self.stability[index],
        )

    def boxes(self) -> np.ndarray:
        """The box of each mask, int64 (N, 4) in pixels of the crop; zeros for an empty mask.

        Source: sam2/utils/amg.py, batched_mask_to_box.
        """
        sides = [(mask.any(axis=0), mask.any(axis=1)) for mask in self.masks]
        mx.eval(sides)
        boxes = np.zeros((len(sides), 4), np.int64)
        for box, window, (columns, rows) in zip(boxes, self.windows, sides, strict=True):
            own = sides_box(np.array(columns), np.array(rows))
            if own is not None:
                left, top = window.columns[0], window.rows[0]
                box[:] = np.add(own, (left, top, left - 1, top - 1))
        return boxes

    def counts(self, crop: Box, size: tuple[int, int]) -> list[np.ndarray]:
        """Run lengths of each mask over the whole picture, as of `placed_counts`.

        Args:
            crop: where the crop lies in the picture.
            size: (height, width) of the picture.
        """
        return [
            placed_counts(
                np.array(mask), (crop[0] + window.columns[0], crop[1] + window.rows[0]), size
            )
            for mask, window in zip(self.masks, self.windows, strict=True)
        ]


def enlarge_masks(
    enlarger: Enlarger, logits: mx.array, threshold: float, offset: float, at_once: int
) -> Iterator[EnlargedMasks]:
    """Enlarge masks, as many together as fit.

    Args:
        enlarger: takes them to the size of the crop.
        logits: float32 (N, h, w), at least one.
        threshold: logits above it are the object.
        offset: of the stability score.
        at_once: enlarged logits that may be held together.

    Yields:
        All the masks in their order, some at a time.
    """
    reached = mask_boxes(logits > threshold - abs(offset))
    windows = [enlarger.window(box) for box in np.array(reached)]
    start = 0
    while start < len(windows):
        stop, pixels = start + 1, windows[start].pixels
        while stop < len(windows) and pixels + windows[stop].pixels <= at_once:
            pixels += windows[stop].pixels
            stop += 1
        index = np.arange(start, stop)
        patches = [enlarger.enlarge(logits[i], windows[i]) for i in range(start, stop)]
        areas = mx.stack([stability_areas(patch, threshold, offset) for patch in patches])
        masks = [patch > threshold for patch in patches]
        del patches
        mx.eval(areas, masks)
        yield EnlargedMasks(index, windows[start:stop], masks, stability_scores(np.array(areas)))
        start = stop


def placed_counts(mask: np.ndarray, corner: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """Run lengths, over the whole picture, of a mask of a part of it.

    Args:
        mask: bool (h, w).
        corner: (x, y) of its first pixel in the picture.
        size: (height, width) of the picture.

    Returns:
        int64 (R,): zeros, ones, zeros, ... down the columns; they sum to height * width.

    Source: sam2/utils/amg.py, uncrop_masks and mask_to_rle_pytorch.
    """
    (height, width), (x, y) = size, corner
    # Only its own columns can hold a change; the rest of the picture is not even made.
    columns = np.zeros((mask.shape[1], height), bool)
    columns[:, y : y + mask.shape[0]] = mask.T
    padded = np.concatenate([[False], columns.ravel(), [False]])
    changes = np.flatnonzero(padded[1:] != padded[:-1]) + x * height
    total = height * width
    # A mask that ends with the picture's last pixel has no zeros after it.
    return np.diff(np.concatenate([[0], changes[changes < total], [total]]))
