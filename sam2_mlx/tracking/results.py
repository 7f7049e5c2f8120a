"""Records that callers receive."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import mlx.core as mx
import numpy as np

from sam2_mlx.media.frame_source import FrameSource
from sam2_mlx.media.sinks import ShownFrame
from sam2_mlx.ops.edges import refined_masks
from sam2_mlx.ops.masks import without_overlap
from sam2_mlx.ops.resize import resize_maps
from sam2_mlx.ops.upsample import upsample_threshold


@dataclass(frozen=True)
class FrameMasks:
    """The masks of all objects on one frame.

    What is wanted at the picture's size is made when it is first asked for.

    Attributes:
        frame: index of the frame, from zero.
        object_ids: one id per mask, in the order the objects were added.
        coarse: float32 (O, 1, h, w) mask logits at the resolution of the network.
        iou: float32 (O,) predicted IoU in [0, 1].
        presence: float32 (O,) presence logits; above zero the object is in the picture.
        size: (height, width) of the picture in pixels.
        non_overlap: a pixel belongs to one object at most, that of the largest logit.
    """

    frame: int
    object_ids: tuple[int, ...]
    coarse: mx.array
    iou: mx.array
    presence: mx.array
    size: tuple[int, int]
    non_overlap: bool = False

    @cached_property
    def logits(self) -> mx.array:
        """float32 (O, 1, H, W) mask logits at the picture's size; above zero is the object."""
        if self.coarse.shape[-2:] == self.size:
            logits = self.coarse
        elif not self.object_ids:
            logits = mx.zeros((0, 1, *self.size))
        else:
            logits = resize_maps(self.coarse, self.size)
        if self.non_overlap and self.object_ids:
            logits = without_overlap(logits)
        # Another thread may read it, but only this one can compute it.
        mx.async_eval(logits)
        return logits

    @cached_property
    def masks(self) -> np.ndarray:
        """Bool (O, H, W), True on the object; the logits need not be made for it."""
        if self.non_overlap or not self.object_ids or self.coarse.shape[-2:] == self.size:
            return np.array(self.logits[:, 0] > 0)
        return np.array(upsample_threshold(self.coarse[:, 0], self.size)).view(bool)


Edges = Literal["plain", "refined"]
"""How masks are enlarged: as they are, or so that their edges follow the picture."""


def shown_frame(
    masks: FrameMasks, source: FrameSource, image: np.ndarray, edges: Edges = "plain"
) -> ShownFrame:
    """The masks of a frame of a clip as they are drawn and saved.

    Args:
        masks: of the frame.
        source: the clip.
        image: uint8 (H, W, 3) RGB, the frame.
        edges: how they are enlarged.
    """
    if edges == "plain":
        planes = masks.masks
    else:
        logits = np.array(masks.coarse[:, 0], np.float32)
        planes = refined_masks(logits, image, overlap=not masks.non_overlap)
    return ShownFrame(
        source.number(masks.frame),
        source.name(masks.frame),
        masks.object_ids,
        planes,
        np.array(masks.iou),
        np.array(masks.presence),
        masks.frame,
        image,
    )
