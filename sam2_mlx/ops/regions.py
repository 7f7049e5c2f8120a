"""Small regions of masks, and masks that must not overlap."""

from __future__ import annotations

import mlx.core as mx
import numpy as np


def _small_regions(binary: np.ndarray, max_area: int) -> np.ndarray:
    import cv2

    _, labels, stats, _ = cv2.connectedComponentsWithStats(
        binary.astype(np.uint8), connectivity=8, ltype=cv2.CV_32S
    )
    small = np.asarray(stats)[:, cv2.CC_STAT_AREA] <= max_area
    small[0] = False  # label 0 is everything that is not in `binary`
    return small[np.asarray(labels)]


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
    changed = False
    for mask in logits.reshape(-1, *logits.shape[-2:]):
        holes = _small_regions(mask <= threshold, int(max_area))
        if holes.any():
            mask[holes] = value
            changed = True
    return changed


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
    changed = False
    for mask in logits.reshape(-1, *logits.shape[-2:]):
        sprinkles = _small_regions(mask > threshold, int(max_area))
        if sprinkles.any():
            mask[sprinkles] = value
            changed = True
    return changed


def without_overlap(logits: mx.array) -> mx.array:
    """Keep each pixel for the object with the highest logit; lower the others to at most -10.

    Args:
        logits: (O, 1, H, W).

    Returns:
        The same shape.

    Source: sam2/modeling/sam2_base.py, _apply_non_overlapping_constraints.
    """
    if logits.shape[0] < 2:
        return logits
    owner = mx.argmax(logits, axis=0, keepdims=True)
    mine = owner == mx.arange(logits.shape[0])[:, None, None, None]
    return mx.where(mine, logits, mx.minimum(logits, -10.0))
