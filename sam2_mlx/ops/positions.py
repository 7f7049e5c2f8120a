"""Fixed sine encodings of places in a grid and of distances in time."""

from __future__ import annotations

import math
from collections.abc import Sequence

import mlx.core as mx
import numpy as np

from sam2_mlx.ops.derived import constant


def _frequencies(count: int, temperature: float) -> np.ndarray:
    index = np.arange(count, dtype=np.float32)
    return (np.float32(temperature) ** (2 * (index // 2) / np.float32(count))).astype(np.float32)


@constant
def grid_encoding(side: int, dim: int, temperature: float = 10000.0) -> mx.array:
    """Sine encoding of every place of a square grid, y in the first half of the channels.

    Args:
        side: rows and columns of the grid.
        dim: channels; a multiple of 4.
        temperature: base of the frequencies.

    Returns:
        float32 (side*side, dim), places row by row, values in [-1, 1].

    Source: sam2/modeling/position_encoding.py, PositionEmbeddingSine (normalised).
    """
    half = dim // 2
    place = np.arange(1, side + 1, dtype=np.float32)
    place = place / (place[-1] + np.float32(1e-6)) * np.float32(2 * math.pi)
    angle = place[:, None] / _frequencies(half, temperature)
    axis = np.stack([np.sin(angle[:, 0::2]), np.cos(angle[:, 1::2])], axis=2).reshape(side, half)
    y = np.repeat(axis[:, None], side, axis=1)
    x = np.repeat(axis[None, :], side, axis=0)
    return mx.array(np.concatenate([y, x], axis=2).reshape(side * side, dim).astype(np.float32))


def time_frequencies(dim: int, temperature: float = 10000.0) -> np.ndarray:
    """What `time_encoding` divides a distance by, float32 (dim/2,): for sines and cosines alike."""
    return _frequencies(dim // 2, temperature)


def time_encoding(
    distances: Sequence[float] | np.ndarray, dim: int, temperature: float = 10000.0
) -> mx.array:
    """Sine encoding of distances in time.

    Args:
        distances: one number per pointer, normalised by the longest distance.
        dim: channels; even.
        temperature: base of the frequencies.

    Returns:
        float32 (len(distances), dim): sines, then cosines.

    Source: sam2/modeling/sam2_utils.py, get_1d_sine_pe.
    """
    angle = np.asarray(distances, np.float32)[:, None] / time_frequencies(dim, temperature)
    return mx.array(np.concatenate([np.sin(angle), np.cos(angle)], axis=1).astype(np.float32))
