"""From an object's low-resolution mask to what callers receive."""

from __future__ import annotations

from collections.abc import Sequence

import mlx.core as mx
import numpy as np

from sam2_mlx.config import ModelConfig
from sam2_mlx.model.memory import ABSENT_LOGIT, ObjectMask
from sam2_mlx.ops.masks import fill_holes
from sam2_mlx.results import FrameMasks
from sam2_mlx.tracking.options import TrackingOptions

# Logit given to filled holes: just above the threshold.
_HOLE_LOGIT = 0.1


def without_holes(masks: list[ObjectMask], max_area: float) -> list[ObjectMask]:
    """Fill small holes; waits for the masks.

    Args:
        masks: one mask per object, batch 1 each.
        max_area: largest hole that is filled, in low-resolution pixels; 0 returns the masks
            without waiting for them.
    """
    if max_area <= 0 or not masks:
        return masks
    logits = np.array(mx.concatenate([mask.logits for mask in masks]))
    filled = []
    for mask, own in zip(masks, logits, strict=True):
        changed = fill_holes(own, max_area, _HOLE_LOGIT)
        shown = mx.array(own[None]) if changed else mask.logits
        filled.append(ObjectMask(shown, mask.iou, mask.pointer, mask.presence))
    return filled


def absent_mask(config: ModelConfig) -> ObjectMask:
    """The mask of an object that is not in the picture."""
    side = config.mask_size
    return ObjectMask(
        mx.full((1, 1, side, side), ABSENT_LOGIT),
        mx.zeros((1, 1)),
        mx.zeros((1, config.hidden_dim)),
        mx.full((1, 1), ABSENT_LOGIT),
    )


def frame_masks(
    frame: int, masks: dict[int, ObjectMask], size: tuple[int, int], options: TrackingOptions
) -> FrameMasks:
    """Join the masks of one frame at the picture's size; does not wait for them.

    Args:
        frame: index of the frame.
        masks: mask by object id.
        size: (height, width) of the picture.
        options: whether masks may overlap.
    """
    if not masks:
        empty = mx.zeros((0,))
        return FrameMasks(frame, (), mx.zeros((0, 1, 0, 0)), empty, empty, size)
    coarse = mx.concatenate([mask.logits for mask in masks.values()])
    iou = _column([mask.iou for mask in masks.values()])
    presence = _column([mask.presence for mask in masks.values()])
    mx.async_eval(coarse, iou, presence)
    return FrameMasks(frame, tuple(masks), coarse, iou, presence, size, options.non_overlap_masks)


def _column(values: Sequence[mx.array]) -> mx.array:
    """(1, 1) each to float32 (O,)."""
    return mx.concatenate([value[:, 0] for value in values]).astype(mx.float32)
