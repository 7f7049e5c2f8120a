"""Masks whose edges follow the picture: joint bilateral upsampling of their logits."""

from __future__ import annotations

import cv2
import numpy as np

_REACH = 2
"""Cells on each side of a pixel's own that are looked at."""

_NEAR = 1.0
"""Standard deviation of the weight of a cell's distance, in cells."""

_ALIKE = 30.0
"""Standard deviation of the weight of a cell's colour, in steps of 255."""

_SURE = 6.0
"""Logits are cut here, so that a sure cell does not outvote several that are alike."""

_SPECK = 2.0
"""Cells; spots of the picture that are smaller do not change sides."""

_PORTION = 2**15


def refined_masks(logits: np.ndarray, image: np.ndarray, overlap: bool = True) -> np.ndarray:
    """Masks at a picture's size; near their edges a pixel goes with the cells of its colour.

    Away from edges they are the logits enlarged bilinearly.

    Args:
        logits: float32 (O, h, w) at the resolution of the network, of the whole picture.
        image: uint8 (H, W, 3) RGB.
        overlap: whether a pixel may belong to several objects; else the first one has it.

    Returns:
        Bool (O, H, W), True on the object.

    Source: Kopf, Cohen, Lischinski and Uyttendaele, Joint bilateral upsampling, 2007, section 3.
    """
    height, width = image.shape[:2]
    masks = np.zeros((len(logits), height, width), bool)
    cells = logits.shape[1:]
    colours = cv2.resize(image, cells[::-1], interpolation=cv2.INTER_AREA).astype(np.float32)
    for mask, one in zip(masks, logits, strict=True):
        mask[:] = cv2.resize(one, (width, height), interpolation=cv2.INTER_LINEAR) > 0
        rows, columns = np.nonzero(_edges(one, (height, width)))
        if not len(rows):
            continue
        for start in range(0, len(rows), _PORTION):
            places = rows[start : start + _PORTION], columns[start : start + _PORTION]
            mask[places] = _vote(places, image, one, colours)
        _drop_specks(mask, _SPECK * height * width / (cells[0] * cells[1]))
    if not overlap:
        for place in range(1, len(masks)):
            masks[place] &= ~masks[:place].any(axis=0)
    return masks


def _edges(logits: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Pixels within two cells of an edge, bool of `size`."""
    inside = (logits > 0).astype(np.uint8)
    block = np.ones((3, 3), np.uint8)
    mixed = (cv2.dilate(inside, block) != cv2.erode(inside, block)).astype(np.uint8)
    return cv2.resize(mixed, size[::-1], interpolation=cv2.INTER_NEAREST) > 0


def _vote(
    places: tuple[np.ndarray, np.ndarray],
    image: np.ndarray,
    logits: np.ndarray,
    colours: np.ndarray,
) -> np.ndarray:
    """Whether pixels are on the object, bool (P,)."""
    height, width = logits.shape
    # Row and column apart: a table of two axes takes twice as long to look up.
    where = [
        ((place + 0.5) * (cells / pixels) - 0.5).astype(np.float32)
        for place, cells, pixels in zip(places, logits.shape, image.shape[:2], strict=True)
    ]
    own = [np.rint(one).astype(np.int32) for one in where]
    pixels = image[places].astype(np.float32)
    table, votes = colours.reshape(-1, 3), np.clip(logits, -_SURE, _SURE).ravel()
    total = np.zeros(len(pixels), np.float32)
    for step in np.ndindex(2 * _REACH + 1, 2 * _REACH + 1):
        row, column = (one + (shift - _REACH) for one, shift in zip(own, step, strict=True))
        distance = (row - where[0]) ** 2 + (column - where[1]) ** 2
        cell = np.clip(row, 0, height - 1) * width + np.clip(column, 0, width - 1)
        difference = table.take(cell, axis=0) - pixels
        alike = np.einsum("pc,pc->p", difference, difference)
        weight = np.exp(distance * (-0.5 / _NEAR**2) + alike * (-0.5 / _ALIKE**2))
        total += weight * votes.take(cell)
    return total > 0


def _drop_specks(mask: np.ndarray, least: float) -> None:
    """Give spots of fewer pixels, of the object or in it, to what is around them."""
    for value in (True, False):
        spots = (mask == value).astype(np.uint8)
        _, labels, facts, _ = cv2.connectedComponentsWithStats(spots, connectivity=4)
        small = facts[:, cv2.CC_STAT_AREA] < least
        # Label 0 is what has not this value.
        small[0] = False
        mask[small[labels]] = not value
