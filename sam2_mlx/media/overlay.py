"""Draw masks over a picture, one colour for each object."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np

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


def object_color(rank: int) -> tuple[int, int, int]:
    """RGB colour in [0, 255] of the object drawn in place `rank`, from zero; colours repeat."""
    return PALETTE[rank % len(PALETTE)]


def draw_masks(
    frame: np.ndarray,
    masks: np.ndarray | Sequence[np.ndarray],
    alpha: float = 0.5,
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
    shortest = min(frame.shape[:2])
    width = max(1, round(shortest / 360))
    for rank, mask in enumerate(masks):
        if mask.shape != frame.shape[:2]:
            raise ValueError(f"mask {rank} has shape {mask.shape}, the frame {frame.shape[:2]}")
        _draw(drawn, mask, rank if ranks is None else ranks[rank], alpha, width)
    return drawn


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
