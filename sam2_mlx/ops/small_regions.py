"""Specks and holes of finished masks."""

from __future__ import annotations

import numpy as np


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
    import cv2

    if mode not in ("holes", "islands"):
        raise ValueError(f"mode is holes or islands; got {mode!r}")
    regions = (~mask if mode == "holes" else mask).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(regions, connectivity=8)
    sizes = np.asarray(stats)[:, cv2.CC_STAT_AREA]
    small = sizes < area
    small[0] = False  # label 0 is all the rest
    if not small.any():
        return mask, False
    if mode == "holes":
        return mask | small[np.asarray(labels)], True
    kept = ~small
    kept[0] = False
    if not kept.any():
        kept[1 + int(np.argmax(sizes[1:]))] = True
    return kept[np.asarray(labels)], True
