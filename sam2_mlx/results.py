"""Records that callers receive."""

from __future__ import annotations

from dataclasses import dataclass

import mlx.core as mx


@dataclass(frozen=True)
class FrameMasks:
    """The masks of all objects on one frame.

    Attributes:
        frame: index of the frame, from zero.
        object_ids: one id per mask, in the order the objects were added.
        logits: float32 (O, 1, H, W) mask logits at the picture's size; above zero is the object.
        iou: float32 (O,) predicted IoU in [0, 1].
        presence: float32 (O,) presence logits; above zero the object is in the picture.
    """

    frame: int
    object_ids: tuple[int, ...]
    logits: mx.array
    iou: mx.array
    presence: mx.array
