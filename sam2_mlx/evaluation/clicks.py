"""Clicks as a person would give them: in the middle of what is wrong."""

from __future__ import annotations

import numpy as np


def correction_click(truth: np.ndarray, mask: np.ndarray) -> tuple[tuple[int, int], int] | None:
    """The next click on an object: the centre of the largest error region.

    Largest is the region that holds the point farthest from the region's edge; the picture's
    border counts as an edge. With an empty mask it is the middle of the object.

    Args:
        truth: bool (H, W), the object.
        mask: bool (H, W), what was found so far.

    Returns:
        ((x, y), label): pixel, and 1 to add or 0 to take away; None where nothing is wrong.

    Source: sam2/modeling/sam2_utils.py, sample_one_point_from_error_center.
    """
    missing, missing_depth = _deepest(truth & ~mask)
    extra, extra_depth = _deepest(mask & ~truth)
    if missing_depth == extra_depth == 0:
        return None
    return (missing, 1) if missing_depth > extra_depth else (extra, 0)


def _deepest(region: np.ndarray) -> tuple[tuple[int, int], float]:
    import cv2

    depth = cv2.distanceTransform(np.pad(region, 1).astype(np.uint8), cv2.DIST_L2, 0)[1:-1, 1:-1]
    y, x = np.unravel_index(int(np.argmax(depth)), depth.shape)
    return (int(x), int(y)), float(depth[y, x])
