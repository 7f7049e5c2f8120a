"""Masks: the box around one, its regions, holes and specks, and how sure it is."""

from __future__ import annotations

from collections.abc import Callable

import mlx.core as mx
import numpy as np
from numpy.typing import ArrayLike

Box = tuple[int, int, int, int]


def mask_box(mask: np.ndarray) -> Box | None:
    """The smallest box around a mask.

    Args:
        mask: bool (H, W).

    Returns:
        (x0, y0, x1, y1) in pixels, x1 and y1 excluded, so that `mask[y0:y1, x0:x1]` has all of
        it; None for an empty mask.
    """
    return sides_box(mask.any(axis=0), mask.any(axis=1))


def sides_box(columns: ArrayLike, rows: ArrayLike) -> Box | None:
    """As `mask_box`, of which columns (W,) and rows (H,) have something of the mask."""
    x, y = np.flatnonzero(columns), np.flatnonzero(rows)
    return (int(x[0]), int(y[0]), int(x[-1]) + 1, int(y[-1]) + 1) if len(x) else None


def mask_boxes(masks: mx.array) -> mx.array:
    """The boxes of masks, bool (N, H, W), as int32 (N, 4); the last row and column are included.

    Source: sam2/utils/amg.py, batched_mask_to_box.
    """
    columns, rows = masks.any(axis=1), masks.any(axis=2)
    x0, x1 = _ends(columns)
    y0, y1 = _ends(rows)
    boxes = mx.stack([x0, y0, x1, y1], axis=1)
    return mx.where(columns.any(axis=1, keepdims=True), boxes, 0)


def _ends(filled: mx.array) -> tuple[mx.array, mx.array]:
    """First and last place that is filled, of bool (N, L)."""
    length = filled.shape[1]
    place = mx.arange(length, dtype=mx.int32)
    first = mx.where(filled, place, length).min(axis=1)
    return first, mx.where(filled, place, 0).max(axis=1)


def connected_regions(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The regions of a mask; pixels that touch at a corner belong together.

    Args:
        mask: bool (H, W).

    Returns:
        int32 (H, W): the number of each pixel's region, 0 outside of the mask; and int64 (R,):
        pixels of each region, of which number 0 is all the rest.
    """
    import cv2

    _, labels, stats, _ = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), connectivity=8, ltype=cv2.CV_32S
    )
    return np.asarray(labels), np.asarray(stats)[:, cv2.CC_STAT_AREA].astype(np.int64)


def fill_holes(logits: np.ndarray, max_area: float, value: float, threshold: float = 0.0) -> bool:
    """Fill small background regions of each mask, in place.

    Args:
        logits: float32 (..., H, W), writable.
        max_area: largest region that is filled, in pixels; 8-connected.
        value: logit given to filled pixels.
        threshold: logits above it are foreground.

    Returns:
        Whether anything changed.

    Source: sam2/utils/misc.py, fill_holes_in_mask_scores (a CUDA extension there; any machine
    here).
    """
    return _repaint(logits, lambda mask: mask <= threshold, int(max_area), value)


def remove_sprinkles(
    logits: np.ndarray, max_area: float, value: float, threshold: float = 0.0
) -> bool:
    """Remove small foreground regions of each mask, in place.

    Args:
        logits: float32 (..., H, W), writable.
        max_area: largest region that is removed, in pixels; 8-connected.
        value: logit given to removed pixels.
        threshold: logits above it are foreground.

    Returns:
        Whether anything changed.

    Source: sam2/utils/transforms.py, SAM2Transforms.postprocess_masks.
    """
    return _repaint(logits, lambda mask: mask > threshold, int(max_area), value)


def remove_small_regions(mask: np.ndarray, area: float, mode: str) -> tuple[np.ndarray, bool]:
    """Fill the small holes of a mask, or remove its small islands.

    Args:
        mask: bool (H, W).
        area: regions of fewer pixels are small; regions are 8-connected.
        mode: "holes" or "islands". Of a mask of small islands only, the largest stays.

    Returns:
        The mask, and whether it changed.

    Raises:
        ValueError: on another mode.

    Source: sam2/utils/amg.py, remove_small_regions.
    """
    if mode not in ("holes", "islands"):
        raise ValueError(f"mode is holes or islands; got {mode!r}")
    labels, areas = connected_regions(~mask if mode == "holes" else mask)
    small = areas < area
    small[0] = False
    if not small.any():
        return mask, False
    if mode == "holes":
        return mask | small[labels], True
    large = ~small
    large[0] = False
    if not large.any():
        large[1 + int(np.argmax(areas[1:]))] = True
    return large[labels], True


def _repaint(
    logits: np.ndarray, part: Callable[[np.ndarray], np.ndarray], max_area: int, value: float
) -> bool:
    """Give a value to the small regions of a part of each mask; whether there were any."""
    changed = False
    for mask in logits.reshape(-1, *logits.shape[-2:]):
        labels, areas = connected_regions(part(mask))
        small = areas <= max_area
        small[0] = False
        if small.any():
            mask[small[labels]] = value
            changed = True
    return changed


def without_overlap(logits: mx.array) -> mx.array:
    """Keep each pixel for the object with the highest logit, (O, 1, H, W); lower others to -10.

    Source: sam2/modeling/sam2_base.py, _apply_non_overlapping_constraints.
    """
    if logits.shape[0] < 2:
        return logits
    owner = mx.argmax(logits, axis=0, keepdims=True)
    owned = owner == mx.arange(logits.shape[0])[:, None, None, None]
    return mx.where(owned, logits, mx.minimum(logits, -10.0))


def stability_areas(logits: mx.array, threshold: float, offset: float) -> mx.array:
    """Areas of a mask at a higher and at a lower threshold.

    Args:
        logits: (..., H, W).
        threshold: of the mask itself.
        offset: added and subtracted.

    Returns:
        int32 (..., 2), the smaller area first: the smaller mask lies within the larger one.
    """
    # Truth values are counted as they are: turning them into numbers first costs far more.
    inner = (logits > threshold + offset).sum(axis=(-2, -1))
    outer = (logits > threshold - offset).sum(axis=(-2, -1))
    return mx.stack([inner, outer], axis=-1)


def stability_scores(areas: np.ndarray) -> np.ndarray:
    """Intersection over union of each mask at a higher and at a lower threshold.

    Returns:
        float32 (...) in [0, 1]; 0 where both are empty.

    Source: sam2/utils/amg.py, calculate_stability_score, which gives NaN for an empty mask.
    """
    inner, outer = areas[..., 0].astype(np.float32), areas[..., 1].astype(np.float32)
    return np.divide(inner, outer, out=np.zeros_like(inner), where=outer > 0)
