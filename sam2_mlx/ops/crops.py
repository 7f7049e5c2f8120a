"""Crops of a picture, points on them, and the duplicates among what several of them showed."""

from __future__ import annotations

import math

import numpy as np

from sam2_mlx.ops.masks import Box


def crop_boxes(
    size: tuple[int, int], layers: int, overlap_ratio: float
) -> tuple[list[Box], list[int]]:
    """The picture, and overlapping crops of it: 2x2 in the first layer, 4x4 in the second, ...

    Args:
        size: (height, width) of the picture.
        layers: layers of crops; 0 is the picture alone.
        overlap_ratio: overlap of the first layer as a share of the shorter side; halved by
            every later layer.

    Returns:
        Crops as (x0, y0, x1, y1), x1 and y1 excluded, and the layer of each: 0 is the picture.

    Raises:
        ValueError: if the picture is too small for so many crops.

    Source: sam2/utils/amg.py, generate_crop_boxes.
    """
    height, width = size
    boxes: list[Box] = [(0, 0, width, height)]
    of_layer = [0]
    for layer in range(1, layers + 1):
        count = 2**layer
        overlap = int(overlap_ratio * min(height, width) * (2 / count))
        across, down = (math.ceil((overlap * (count - 1) + n) / count) for n in (width, height))
        # Rounded up, the steps can pass the border: such a crop would be empty.
        if (across - overlap) * (count - 1) >= width or (down - overlap) * (count - 1) >= height:
            raise ValueError(
                f"a picture of {width}x{height} pixels is too small for {layers} layers of crops "
                f"({count}x{count} in the last); ask for fewer"
            )
        for x0 in ((across - overlap) * i for i in range(count)):
            for y0 in ((down - overlap) * i for i in range(count)):
                boxes.append((x0, y0, min(x0 + across, width), min(y0 + down, height)))
                of_layer.append(layer)
    return boxes, of_layer


def point_grid(side: int) -> np.ndarray:
    """Points (x, y) at the centres of a square grid's cells: float64 (side*side, 2) in (0, 1).

    Raises:
        ValueError: if `side` is not above zero.

    Source: sam2/utils/amg.py, build_point_grid.
    """
    if side < 1:
        raise ValueError(f"a grid of points needs at least 1 point a side; got {side}")
    offset = 1 / (2 * side)
    places = np.linspace(offset, 1 - offset, side)
    x, y = np.meshgrid(places, places)
    return np.stack([x, y], axis=-1).reshape(-1, 2)


def layer_grids(side: int, layers: int, downscale: int) -> list[np.ndarray]:
    """A grid for the picture and for the crops of each layer.

    Args:
        side: points a side on the whole picture.
        layers: layers of crops.
        downscale: each layer has this many times fewer points a side.

    Returns:
        `layers` + 1 grids as of `point_grid`.

    Raises:
        ValueError: if a layer is left without points.

    Source: sam2/utils/amg.py, build_all_layer_point_grids.
    """
    if layers < 0 or downscale < 1:
        raise ValueError(
            f"layers must be at least 0 and the downscale factor at least 1; got {layers} and "
            f"{downscale}"
        )
    return [point_grid(int(side / downscale**layer)) for layer in range(layers + 1)]


def touches_crop(
    boxes: np.ndarray, crop: Box, size: tuple[int, int], tolerance: float = 20.0
) -> np.ndarray:
    """Which boxes reach the border of their crop where it is not the border of the picture.

    Args:
        boxes: (N, 4) in pixels of the crop.
        crop: (x0, y0, x1, y1) in pixels of the picture.
        size: (height, width) of the picture.
        tolerance: pixels within which a box counts as reaching a border.

    Returns:
        bool (N,).

    Source: sam2/utils/amg.py, is_box_near_crop_edge.
    """
    placed = np.asarray(boxes, np.float64).reshape(-1, 4) + np.array([*crop[:2], *crop[:2]])
    height, width = size
    near_crop = np.abs(placed - np.array(crop)) <= tolerance
    near_picture = np.abs(placed - np.array([0, 0, width, height])) <= tolerance
    return np.asarray((near_crop & ~near_picture).any(axis=1))


def non_max_suppression(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> np.ndarray:
    """Drop every box that a better one overlaps too much.

    Args:
        boxes: (N, 4) as (x0, y0, x1, y1).
        scores: (N,); of equal ones the first is the better.
        threshold: boxes with an intersection over union above it are duplicates.

    Returns:
        int64 (K,): which boxes stay, the best first.

    Source: torchvision.ops.nms. A box without an area is nobody's duplicate.
    """
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    order = np.argsort(-np.asarray(scores, np.float32), kind="stable")
    x0, y0, x1, y1 = boxes[order].T
    areas = (x1 - x0) * (y1 - y0)
    alive = np.ones(len(order), bool)
    for place in range(len(order)):
        if not alive[place]:
            continue
        later = slice(place + 1, None)
        width = np.minimum(x1[place], x1[later]) - np.maximum(x0[place], x0[later])
        height = np.minimum(y1[place], y1[later]) - np.maximum(y0[place], y0[later])
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        union = areas[place] + areas[later] - shared
        overlap = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
        # Compared in double precision, as in the reference: 0.7 has no float32.
        alive[later] &= ~(overlap.astype(np.float64) > threshold)
    return order[alive]
