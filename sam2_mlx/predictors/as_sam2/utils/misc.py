"""sam2.utils.misc, on NumPy: what programs use of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from sam2_mlx.ops.masks import connected_regions, fill_holes
from sam2_mlx.predictors.as_sam2.utils.amg import batched_mask_to_box as mask_to_box
from sam2_mlx.predictors.clips import open_clip
from sam2_mlx.predictors.inference_state import ModelFrames
from sam2_mlx.predictors.torch_like import TorchLike, as_array

__all__ = [
    "fill_holes_in_mask_scores",
    "get_connected_components",
    "load_video_frames",
    "mask_to_box",
]

_HOLE_LOGIT = 0.1


def load_video_frames(video_path: Any, image_size: int, *_: Any, **__: Any) -> Any:
    """The frames of a clip as the model takes them, and its height and width."""
    clip = open_clip(video_path)
    return ModelFrames(clip, image_size), clip.height, clip.width


def get_connected_components(mask: Any) -> tuple[Any, Any]:
    """Of masks (N, 1, H, W), the number of each pixel's region and the region's area.

    Regions are 8-connected; beside the masks both are 0.
    """
    labels, areas = [], []
    for one in np.asarray(as_array(mask)).astype(bool)[:, 0]:
        regions, counts = connected_regions(one)
        labels.append(regions)
        areas.append(np.where(one, counts[regions], 0))
    return np.stack(labels)[:, None].view(TorchLike), np.stack(areas)[:, None].view(TorchLike)


def fill_holes_in_mask_scores(mask: Any, max_area: float) -> Any:
    """Logits (N, 1, H, W) with holes of at most `max_area` pixels filled."""
    logits = np.array(as_array(mask), np.float32)
    fill_holes(logits, max_area, _HOLE_LOGIT)
    return logits.view(TorchLike)
