"""Masks in the forms that apps draw: bits, grey, run lengths, outlines."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from sam2_mlx.apps.fields import choice, integer, part
from sam2_mlx.ops import rle
from sam2_mlx.tracking.results import FrameMasks

LOW8_SCALE, LOW8_ZERO = 8.0, 128.0
"""A byte of `low8` is the logit times 8 plus 128, within 0 and 255; 128 and less is outside."""

Plane = np.ndarray


@dataclass(frozen=True)
class MaskForm:
    """How masks are wanted.

    Attributes:
        encoding: bits, gray8, low8, rle or polygons.
        map: number of the map that they are written to; None where they come as the blob.
        offset: where in the map.
    """

    encoding: str = "bits"
    map: int | None = None
    offset: int = 0


def encode_masks(masks: FrameMasks, encoding: str) -> tuple[dict[str, Any], bytes]:
    """The masks of one frame as a message holds them.

    Returns:
        The fields `frame`, `encoding`, `width`, `height` and `objects`, and the bytes.
    """
    planes = masks.masks if encoding != "low8" else low8(np.array(masks.coarse, np.float32)[:, 0])
    extents, data = encode_planes(planes, encoding)
    height, width = planes.shape[1:] if len(planes) else masks.size
    scores = zip(masks.object_ids, np.array(masks.iou), np.array(masks.presence), strict=True)
    objects = [
        {
            "object": number,
            "iou": round(float(iou), 4),
            "presence": round(float(presence), 3),
            **extent,
        }
        for (number, iou, presence), extent in zip(scores, extents, strict=True)
    ]
    facts = {"frame": masks.frame, "encoding": encoding, "width": width, "height": height}
    return {**facts, "objects": objects}, data


def encode_planes(planes: Iterable[Plane], encoding: str) -> tuple[list[dict[str, Any]], bytes]:
    """Masks as bytes, one after the other.

    Args:
        planes: bool (H, W), or for low8 what `low8` gives; all of one size.
        encoding: one of `MASK_ENCODINGS`.

    Returns:
        For each its `area`, its `box` and where its bytes lie (`offset`, `bytes`); the bytes.
    """
    extents, pieces, offset = [], [], 0
    for plane in planes:
        piece = ENCODINGS[encoding](plane)
        inside = plane > LOW8_ZERO if encoding == "low8" else plane
        extents.append({**_extent(inside), "offset": offset, "bytes": len(piece)})
        pieces.append(piece)
        offset += len(piece)
    return extents, b"".join(pieces)


def low8(logits: np.ndarray) -> np.ndarray:
    """Logits as bytes, see `LOW8_SCALE`."""
    return np.clip(np.rint(logits * LOW8_SCALE + LOW8_ZERO), 0, 255).astype(np.uint8)


def _bits(mask: Plane) -> bytes:
    return np.packbits(mask, axis=-1).tobytes()


def _gray8(mask: Plane) -> bytes:
    return (mask.view(np.uint8) * np.uint8(255)).tobytes()


def _run_lengths(mask: Plane) -> bytes:
    return rle.mask_to_counts(mask).astype("<u4").tobytes()


def _polygons(mask: Plane) -> bytes:
    """u32 number of rings, u32 points of each, then f32 x, y of every point.

    Rings run through the centres of the pixels on the border; filled by the even-odd rule they
    leave holes out.
    """
    rings, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    head = np.array([len(rings), *map(len, rings)], "<u4").tobytes()
    return head + b"".join((ring.reshape(-1, 2) + 0.5).astype("<f4").tobytes() for ring in rings)


ENCODINGS: dict[str, Callable[[Plane], bytes]] = {
    "bits": _bits,
    "gray8": _gray8,
    "rle": _run_lengths,
    "polygons": _polygons,
    "low8": np.ndarray.tobytes,
}
MASK_ENCODINGS = tuple(ENCODINGS)

MASKS = part(
    MaskForm,
    encoding=choice(*MASK_ENCODINGS, code="mask_encoding").otherwise("bits"),
    map=integer(0, 2**31).otherwise(),
    offset=integer(0, 2**31, "bad_frame").otherwise(0),
).otherwise(MaskForm())
"""The field `masks` of a request."""


def _extent(mask: Plane) -> dict[str, Any]:
    """Pixels of a mask, and its box (x0, y0, x1, y1), whose ends are exclusive."""
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    return {"area": int(np.count_nonzero(mask)), "box": [x, y, x + width, y + height]}
