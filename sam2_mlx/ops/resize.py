"""Separable resizing by small cached matrices, equal to torch's interpolate.

Row and column weights are two matrices per (input, output) size, so a resize is two matrix
products on whatever device holds the data.
"""

from __future__ import annotations

import mlx.core as mx
import numpy as np

from sam2_mlx.ops.derived import constant
from sam2_mlx.ops.precision import exact_matmul


def _source_centres(n_in: int, n_out: int) -> np.ndarray:
    return (np.arange(n_out) + 0.5) * (n_in / n_out) - 0.5


def _bilinear(n_in: int, n_out: int) -> np.ndarray:
    centre = np.clip(_source_centres(n_in, n_out), 0, None)
    low = np.minimum(np.floor(centre).astype(int), n_in - 1)
    high = np.minimum(low + 1, n_in - 1)
    fraction = centre - low
    weights = np.zeros((n_out, n_in))
    rows = np.arange(n_out)
    np.add.at(weights, (rows, low), 1 - fraction)
    np.add.at(weights, (rows, high), fraction)
    return weights


def _antialiased(n_in: int, n_out: int) -> np.ndarray:
    # The triangle widens with the reduction and is cut at the border, then normalised.
    scale = n_in / n_out
    support = max(scale, 1.0)
    centre = (np.arange(n_out) + 0.5) * scale
    first = np.maximum((centre - support + 0.5).astype(int), 0)
    last = np.minimum((centre + support + 0.5).astype(int), n_in)
    column = np.arange(n_in)[None, :]
    weights = np.maximum(1 - np.abs((column + 0.5 - centre[:, None]) / support), 0)
    weights[(column < first[:, None]) | (column >= last[:, None])] = 0
    return weights / weights.sum(axis=1, keepdims=True)


def _cubic_kernel(distance: np.ndarray, a: float = -0.75) -> np.ndarray:
    x = np.abs(distance)
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def _bicubic(n_in: int, n_out: int) -> np.ndarray:
    centre = _source_centres(n_in, n_out)
    base = np.floor(centre).astype(int)
    weights = np.zeros((n_out, n_in))
    rows = np.arange(n_out)
    for tap in range(-1, 3):
        column = np.clip(base + tap, 0, n_in - 1)
        np.add.at(weights, (rows, column), _cubic_kernel(centre - (base + tap)))
    return weights


_KERNELS = {"bilinear": _bilinear, "antialias": _antialiased, "bicubic": _bicubic}


@constant
def resize_matrix(n_in: int, n_out: int, kind: str) -> mx.array:
    """Weights of a one-dimensional resize.

    Args:
        n_in: input length.
        n_out: output length.
        kind: "bilinear" (no antialiasing), "antialias" (bilinear with it) or "bicubic"
            (a = -0.75, no antialiasing); half-pixel centres throughout.

    Returns:
        float32 (n_out, n_in); every row sums to one.

    Source: torch.nn.functional.interpolate, align_corners=False.
    """
    return mx.array(_KERNELS[kind](n_in, n_out).astype(np.float32))


def resize_maps(maps: mx.array, size: tuple[int, int], kind: str = "bilinear") -> mx.array:
    """Resize the last two axes to (height, width), in float32; `kind` as in `resize_matrix`."""
    maps = maps.astype(mx.float32)
    height, width = maps.shape[-2:]
    if height != size[0]:
        maps = exact_matmul(resize_matrix(height, size[0], kind), maps)
    if width != size[1]:
        maps = exact_matmul(maps, resize_matrix(width, size[1], kind).T)
    return maps
