"""sam2.utils.amg, on NumPy: helpers for masks found on a grid of points.

Arguments and results are the reference's; tensors are taken, arrays with torch's methods given.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import mlx.core as mx
import numpy as np

from sam2_mlx.ops import crops, masks, rle
from sam2_mlx.ops.crops import layer_grids as build_all_layer_point_grids
from sam2_mlx.ops.crops import point_grid as build_point_grid
from sam2_mlx.ops.masks import remove_small_regions
from sam2_mlx.ops.rle import area as area_from_rle
from sam2_mlx.ops.rle import decode as rle_to_mask
from sam2_mlx.predictors.torch_like import TorchLike, as_array

__all__ = [
    "area_from_rle",
    "batch_iterator",
    "batched_mask_to_box",
    "box_xyxy_to_xywh",
    "build_all_layer_point_grids",
    "build_point_grid",
    "calculate_stability_score",
    "coco_encode_rle",
    "generate_crop_boxes",
    "is_box_near_crop_edge",
    "mask_to_rle_pytorch",
    "remove_small_regions",
    "rle_to_mask",
    "uncrop_boxes_xyxy",
    "uncrop_masks",
    "uncrop_points",
]


def _array(values: Any) -> Any:
    return np.asarray(as_array(values)).view(TorchLike)


def batch_iterator(batch_size: int, *args: Sequence[Any]) -> Iterator[list[Any]]:
    """Several sequences of one length, a part of each at a time."""
    for start in range(0, len(args[0]), batch_size):
        yield [values[start : start + batch_size] for values in args]


def box_xyxy_to_xywh(box_xyxy: Any) -> Any:
    """(x0, y0, x1, y1) as (x, y, width, height)."""
    x0, y0, x1, y1 = _array(box_xyxy)
    return _array([x0, y0, x1 - x0, y1 - y0])


def batched_mask_to_box(masks_in: Any) -> Any:
    """The box of each mask (..., H, W), as (..., 4), last row and column included."""
    values = _array(masks_in).astype(bool)
    flat = values.reshape(-1, *values.shape[-2:])
    boxes = np.array(masks.mask_boxes(mx.array(flat.numpy())))
    return _array(boxes.reshape(*values.shape[:-2], 4))


def calculate_stability_score(masks_in: Any, mask_threshold: float, threshold_offset: float) -> Any:
    """IoU of each mask (..., H, W) of logits at a higher and at a lower threshold."""
    values = _array(masks_in)
    higher = (values > mask_threshold + threshold_offset).sum(axis=(-1, -2))
    lower = (values > mask_threshold - threshold_offset).sum(axis=(-1, -2))
    return _array(np.divide(higher, lower, out=np.zeros(lower.shape), where=lower > 0))


def mask_to_rle_pytorch(tensor: Any) -> list[dict[str, Any]]:
    """Masks (N, H, W) as COCO records with lists of counts."""
    return [rle.encode(mask, compress=False) for mask in _array(tensor)]


def coco_encode_rle(uncompressed_rle: dict[str, Any]) -> dict[str, Any]:
    """A COCO record with a list of counts as one with a string."""
    counts = rle.counts_to_string(np.asarray(uncompressed_rle["counts"]))
    return {"size": list(uncompressed_rle["size"]), "counts": counts}


def generate_crop_boxes(
    im_size: tuple[int, int], n_layers: int, overlap_ratio: float
) -> tuple[list[list[int]], list[int]]:
    """The picture and its crops as (x0, y0, x1, y1), and the layer of each."""
    boxes, layers = crops.crop_boxes(im_size, n_layers, overlap_ratio)
    return [list(box) for box in boxes], layers


def is_box_near_crop_edge(
    boxes: Any, crop_box: Sequence[int], orig_box: Sequence[int], atol: float = 20.0
) -> Any:
    """Which boxes reach the border of their crop where it is not that of the picture."""
    x0, y0, x1, y1 = crop_box
    size = (orig_box[3], orig_box[2])
    return _array(crops.touches_crop(_array(boxes), (x0, y0, x1, y1), size, atol))


def uncrop_points(points: Any, crop_box: Sequence[int]) -> Any:
    """Points of a crop as points of the picture."""
    return _array(points) + np.array(crop_box[:2])


def uncrop_boxes_xyxy(boxes: Any, crop_box: Sequence[int]) -> Any:
    """Boxes of a crop as boxes of the picture."""
    return _array(boxes) + np.array([*crop_box[:2], *crop_box[:2]])


def uncrop_masks(masks_in: Any, crop_box: Sequence[int], orig_h: int, orig_w: int) -> Any:
    """Masks (..., h, w) of a crop as masks of the picture."""
    values, (x0, y0, x1, y1) = _array(masks_in), crop_box
    pad = [(0, 0)] * (values.ndim - 2) + [(y0, orig_h - y1), (x0, orig_w - x1)]
    return _array(np.pad(values, pad))
