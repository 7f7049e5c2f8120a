"""How much a mask depends on the exact threshold of its logits."""

from __future__ import annotations

import mlx.core as mx
import numpy as np


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

    Args:
        areas: (..., 2), as of `stability_areas`.

    Returns:
        float32 (...) in [0, 1]; 0 where both are empty.

    Source: sam2/utils/amg.py, calculate_stability_score.
    Differs: the reference gives NaN for an empty mask.
    """
    inner, outer = areas[..., 0].astype(np.float32), areas[..., 1].astype(np.float32)
    return np.divide(inner, outer, out=np.zeros_like(inner), where=outer > 0)
