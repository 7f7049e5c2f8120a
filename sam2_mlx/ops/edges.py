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
    cells = np.array(logits.shape)
    where = (np.stack(places) + 0.5) * (cells / image.shape[:2])[:, None] - 0.5
    own = np.rint(where).astype(np.int32)
    pixels = image[places].astype(np.float32)
    total = np.zeros(len(pixels), np.float32)
    for step in np.ndindex(2 * _REACH + 1, 2 * _REACH + 1):
        cell = own + np.array(step)[:, None] - _REACH
        distance = ((cell - where) ** 2).sum(axis=0)
        row, column = np.clip(cell, 0, cells[:, None] - 1)
        difference = ((colours[row, column] - pixels) ** 2).sum(axis=1)
        exponent = distance / (2 * _NEAR**2) + difference / (2 * _ALIKE**2)
        total += np.exp(-exponent).astype(np.float32) * np.clip(logits[row, column], -_SURE, _SURE)
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
