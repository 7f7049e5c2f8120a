"""Draw masks over a picture, one colour for each object."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import av
import cv2
import numpy as np

from sam2_mlx.media.yuv import planes_of, rgb_to_yuv420

# After Okabe and Ito's scheme, which colour-blind readers can tell apart, somewhat brighter, in
# an order that keeps neighbours far from each other.
PALETTE: tuple[tuple[int, int, int], ...] = (
    (0, 158, 255),
    (230, 126, 0),
    (0, 190, 130),
    (240, 228, 66),
    (222, 92, 170),
    (86, 216, 240),
    (213, 64, 0),
    (150, 110, 230),
)

_ALPHA = 0.5


def object_color(rank: int) -> tuple[int, int, int]:
    """RGB colour in [0, 255] of the object drawn in place `rank`, from zero; colours repeat."""
    return PALETTE[rank % len(PALETTE)]


def draw_masks(
    frame: np.ndarray,
    masks: np.ndarray | Sequence[np.ndarray],
    alpha: float = _ALPHA,
    ranks: Sequence[int] | None = None,
) -> np.ndarray:
    """Fill and outline each object in its colour.

    Args:
        frame: uint8 (H, W, 3) RGB; it is not changed.
        masks: bool (O, H, W), the objects in the order of their colours; later ones lie on top.
        alpha: share of the colour in the fill, in [0, 1].
        ranks: places of the objects' colours, where they are not 0, 1, 2 and so on.

    Returns:
        uint8 (H, W, 3) RGB.

    Raises:
        ValueError: if a mask has another size than the frame.
    """
    drawn = frame.copy()
    width = _outline(frame)
    for rank, mask in enumerate(masks):
        if mask.shape != frame.shape[:2]:
            raise ValueError(f"mask {rank} has shape {mask.shape}, the frame {frame.shape[:2]}")
        _draw(drawn, mask, rank if ranks is None else ranks[rank], alpha, width)
    return drawn


def draw_on_decoded(
    decoded: Any, frame: np.ndarray, masks: np.ndarray | Sequence[np.ndarray], matrix: int
) -> Any:
    """As `draw_masks`, on a frame as a file has it; what lies beside the objects stays as it is.

    Args:
        decoded: PyAV's frame, yuv420p with an even width and height; it is not changed.
        frame: uint8 (H, W, 3) RGB, the same picture.
        masks: bool (O, H, W), the objects in the order of their colours; later ones lie on top.
        matrix: of its colours; see `yuv.rgb_to_yuv420`.

    Returns:
        A frame as `decoded`.
    """
    height, width = frame.shape[:2]
    result = av.VideoFrame(width, height, "yuv420p")
    planes = planes_of(result)
    for plane, source in zip(planes, planes_of(decoded), strict=True):
        plane[:] = source
    rectangles = [cv2.boundingRect(mask.view(np.uint8)) for mask in masks]
    corners = [(x, y, x + w, y + h) for x, y, w, h in rectangles if w and h]
    if not corners:
        return result
    # Room for the outlines, and whole pixels of colour.
    margin = _outline(frame) + 1
    x0, y0 = (max(0, low - margin) // 2 * 2 for low in np.min(corners, axis=0)[:2])
    x1, y1 = (high + margin + (high + margin) % 2 for high in np.max(corners, axis=0)[2:])
    x1, y1 = min(x1, width), min(y1, height)
    drawn = frame[y0:y1, x0:x1].copy()
    for rank, mask in enumerate(masks):
        _draw(drawn, mask[y0:y1, x0:x1], rank, _ALPHA, _outline(frame))
    parts = planes_of(rgb_to_yuv420(drawn, matrix))
    for plane, part, step in zip(planes, parts, (1, 2, 2), strict=True):
        plane[y0 // step : y1 // step, x0 // step : x1 // step] = part
    return result


def _outline(frame: np.ndarray) -> int:
    """Width of an outline in pixels, to either side."""
    return max(1, round(min(frame.shape[:2]) / 360))


def _draw(drawn: np.ndarray, mask: np.ndarray, rank: int, alpha: float, width: int) -> None:
    """Draw one object in place, touching only the rectangle around it."""
    cover = np.ascontiguousarray(mask if mask.dtype == bool else mask != 0).view(np.uint8)
    x, y, w, h = cv2.boundingRect(cover)
    if w == 0 or h == 0:
        return
    # Room for the outline, which straddles the border of the mask.
    x0, y0 = max(0, x - width), max(0, y - width)
    x1, y1 = min(mask.shape[1], x + w + width), min(mask.shape[0], y + h + width)
    cover = np.ascontiguousarray(cover[y0:y1, x0:x1])
    window = drawn[y0:y1, x0:x1]
    filled = cv2.LUT(window, _fill_table(rank, alpha))
    cv2.copyTo(filled, cover, window)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width + 1, 2 * width + 1))
    # Where the object is cut by the picture's own border there is no outline.
    edge = cv2.morphologyEx(cover, cv2.MORPH_GRADIENT, kernel, borderType=cv2.BORDER_REPLICATE)
    cv2.rectangle(filled, (0, 0), (x1 - x0, y1 - y0), object_color(rank), cv2.FILLED)
    cv2.copyTo(filled, edge, window)


@lru_cache(maxsize=64)
def _fill_table(rank: int, alpha: float) -> np.ndarray:
    """uint8 (1, 256, 3): what each value of each channel becomes under the fill."""
    values = np.arange(256, dtype=np.float32)[:, None]
    mixed = (1 - alpha) * values + alpha * np.array(object_color(rank), np.float32)
    return np.round(mixed).astype(np.uint8)[None]
