"""Everything found in a picture, as a COCO document and as a drawing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np

from sam2_mlx.media.overlay import object_color
from sam2_mlx.ops import rle

DESCRIPTION = "everything, by sam2-mlx"
"""Tells a document as one of ours."""

_ALPHA = 0.55
_BACKGROUND = -1


def coco_document(
    file_name: str, size: tuple[int, int], records: Sequence[dict[str, Any]], info: dict[str, Any]
) -> dict[str, Any]:
    """The masks of one picture as a COCO document, which pycocotools reads.

    Args:
        file_name: of the picture.
        size: (height, width) of the picture.
        records: masks in COCO's compressed form, as of `find_everything`.
        info: how they were made.

    Returns:
        `images` has the one picture. An annotation has `segmentation`, `area`, `bbox` as COCO
        counts it (x, y, columns, rows), `score` (predicted IoU), and the fields of SA-1B:
        `predicted_iou`, `stability_score`, `point_coords`, `crop_box`.
    """
    height, width = size
    return {
        "info": info,
        "images": [{"id": 1, "file_name": file_name, "width": width, "height": height}],
        "annotations": [
            {
                "id": number,
                "image_id": 1,
                "category_id": 1,
                "segmentation": record["segmentation"],
                "area": record["area"],
                "bbox": _coco_box(record),
                "iscrowd": 0,
                "score": round(record["predicted_iou"], 4),
                "predicted_iou": round(record["predicted_iou"], 4),
                "stability_score": round(record["stability_score"], 4),
                "point_coords": record["point_coords"],
                "crop_box": record["crop_box"],
            }
            for number, record in enumerate(records, 1)
        ],
        "categories": [{"id": 1, "name": "object"}],
    }


def draw_everything(picture: np.ndarray, records: Sequence[dict[str, Any]]) -> np.ndarray:
    """Colour every mask on a picture, uint8 (H, W, 3); where some overlap the smallest shows."""
    owner = np.full(picture.shape[:2], _BACKGROUND, np.int16 if len(records) < 2**15 else np.int32)
    for rank, record in enumerate(records):
        x0, y0, width, height = (int(value) for value in record["bbox"])
        window = (slice(y0, y0 + height + 1), slice(x0, x0 + width + 1))
        owner[window][rle.decode(record["segmentation"])[window]] = rank
    drawn = picture.copy()
    for rows in _strips(picture.shape):
        _draw_strip(drawn, owner, rows)
    return drawn


def _strips(shape: tuple[int, ...]) -> Iterator[slice]:
    """Rows in portions, so that a large picture needs little memory beside itself."""
    step = max(1, 2**22 // shape[1])
    return (slice(start, min(start + step, shape[0])) for start in range(0, shape[0], step))


def _draw_strip(drawn: np.ndarray, owner: np.ndarray, rows: slice) -> None:
    colors = np.array([object_color(rank) for rank in range(int(owner.max()) + 1)] or [(0, 0, 0)])
    thickness = max(1, round(min(owner.shape) / 500))
    # A mask's edge is where the owner changes, counted from within; the rows around the strip
    # are looked at too.
    top = max(0, rows.start - thickness)
    around = owner[top : rows.stop + thickness].astype(np.float32)
    kernel = np.ones((2 * thickness + 1, 2 * thickness + 1), np.uint8)
    edge = (cv2.dilate(around, kernel) != around) | (cv2.erode(around, kernel) != around)
    edge = edge[rows.start - top :][: rows.stop - rows.start]
    strip = drawn[rows]
    owners = owner[rows]
    covered = owners != _BACKGROUND
    share = np.where(edge[covered], 1.0, _ALPHA).astype(np.float32)[:, None]
    mixed = (1 - share) * strip[covered] + share * colors[owners[covered]]
    strip[covered] = np.round(mixed).astype(np.uint8)


def _coco_box(record: dict[str, Any]) -> list[float]:
    # The reference's width is one less than the number of columns; COCO counts them.
    x, y, width, height = record["bbox"]
    return [x, y, width + 1, height + 1] if record["area"] else [0, 0, 0, 0]
