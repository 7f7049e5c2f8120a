"""The objects' low-resolution masks of a frame, together, and without small holes."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

import mlx.core as mx
import numpy as np

from sam2_mlx.config import ModelConfig
from sam2_mlx.model.memory import ABSENT_LOGIT, ObjectMask
from sam2_mlx.ops.masks import fill_holes

# Logit given to filled holes: just above the threshold.
_HOLE_LOGIT = 0.1


def without_holes(masks: ObjectMask, rows: Collection[int], max_area: float) -> ObjectMask:
    """Fill small holes; waits for the masks.

    Args:
        masks: masks of a frame.
        rows: which of them.
        max_area: largest hole that is filled, in low-resolution pixels; 0 returns the masks
            without waiting for them.
    """
    if max_area <= 0 or not rows:
        return masks
    logits = np.array(masks.logits)
    filled = [fill_holes(logits[row], max_area, _HOLE_LOGIT) for row in rows]
    return replace(masks, logits=mx.array(logits)) if any(filled) else masks


def joined_masks(masks: Iterable[ObjectMask | None], config: ModelConfig) -> ObjectMask:
    """The masks of a frame as one batch; None is an object that is not in the picture."""
    rows = [mask or _absent(config, 1) for mask in masks]
    return ObjectMask.joined(rows or [_absent(config, 0)])


def _absent(config: ModelConfig, count: int) -> ObjectMask:
    side = config.mask_size
    return ObjectMask(
        mx.full((count, 1, side, side), ABSENT_LOGIT),
        mx.zeros((count, 1)),
        mx.zeros((count, config.hidden_dim)),
        mx.full((count, 1), ABSENT_LOGIT),
    )
