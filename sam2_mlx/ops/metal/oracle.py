"""What kernels and twins compute, once more: numpy in float64, as plainly as it can be said."""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def rope(x: Array, side: int, rotated: int, theta: float = 10000.0) -> Array:
    """Tokens turned by their place in a grid that repeats.

    Args:
        x: (..., N, D) tokens.
        side: tokens per row and column of the grid.
        rotated: tokens to turn, from the first on; the others stay.
        theta: base of the frequencies.

    Returns:
        float64, the shape of x.
    """
    x = x.astype(np.float64)
    dim = x.shape[-1]
    turned = x.copy()
    place = np.arange(rotated) % (side * side)
    for pair in range(dim // 2):
        coordinate = place % side if pair < dim // 4 else place // side
        angle = coordinate * theta ** -(4 * (pair % (dim // 4)) / dim)
        a, b = x[..., :rotated, 2 * pair], x[..., :rotated, 2 * pair + 1]
        turned[..., :rotated, 2 * pair] = a * np.cos(angle) - b * np.sin(angle)
        turned[..., :rotated, 2 * pair + 1] = a * np.sin(angle) + b * np.cos(angle)
    return turned


def bilinear(maps: Array, size: tuple[int, int]) -> Array:
    """Maps enlarged or reduced with half-pixel centres and the border repeated.

    Args:
        maps: (..., h, w).
        size: (height, width).

    Returns:
        float64 (..., height, width).
    """
    maps = maps.astype(np.float64)
    for axis, wanted in zip((-2, -1), size, strict=True):
        length = maps.shape[axis]
        at = np.clip((np.arange(wanted) + 0.5) * length / wanted - 0.5, 0, length - 1)
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, length - 1)
        share = (at - low)[:, None] if axis == -2 else at - low
        maps = np.take(maps, low, axis) * (1 - share) + np.take(maps, high, axis) * share
    return maps


def memory_mask(logits: Array, size: tuple[int, int], binarise: bool) -> Array:
    """The memory encoder's mask, float64 (..., height, width)."""
    enlarged = bilinear(logits, size)
    with np.errstate(over="ignore"):
        soft = 1 / (1 + np.exp(-enlarged))
    return np.where(binarise, enlarged > 0, soft) * 20.0 - 10.0


def add_layer_norm(x: Array, y: Array, weight: Array, bias: Array, eps: float) -> Array:
    """LayerNorm of x + y over the last axis, float64.

    Args:
        x: (..., C) in its own dtype; the sum is rounded to it first.
        y: (..., C).
        weight: (C,).
        bias: (C,).
        eps: added to the variance.
    """
    total = (x + y).astype(np.float64)
    centred = total - total.mean(axis=-1, keepdims=True)
    scale = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + eps)
    return centred / scale * weight.astype(np.float64) + bias.astype(np.float64)


def attention(q: Array, k: Array, v: Array, scale: float) -> Array:
    """Scaled dot-product attention, float64 (B, heads, Nq, Dv).

    Args:
        q: (B or 1, heads, Nq, D).
        k: (B, heads, Nk, D).
        v: (B, heads, Nk, Dv).
        scale: of the scores.
    """
    q, k, v = (array.astype(np.float64) for array in (q, k, v))
    scores = scale * (q @ np.swapaxes(k, -1, -2))
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True) @ v
