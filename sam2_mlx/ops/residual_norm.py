"""A residual sum together with its LayerNorm."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import mlx.core as mx
import numpy as np

from sam2_mlx.ops.metal.kernel import FLOATS, Kernel, Variant, dtype_name
from sam2_mlx.ops.metal.residual_norm import MAX_CHANNELS, SOURCE, launch


def _plain(
    x: mx.array, y: mx.array, weight: mx.array, bias: mx.array, eps: float
) -> tuple[mx.array, mx.array]:
    total = x + y
    return total, mx.fast.layer_norm(total, weight, bias, eps)


def _variant(
    x: mx.array, y: mx.array, weight: mx.array, bias: mx.array, eps: float
) -> Variant | None:
    dtype, channels = dtype_name(x.dtype), x.shape[-1]
    fits = (
        dtype in FLOATS
        and x.dtype == y.dtype == weight.dtype == bias.dtype
        and x.shape == y.shape
        and x.size > 0
        and channels <= MAX_CHANNELS
    )
    return (dtype, channels) if fits else None


def norm_example(
    dtype: mx.Dtype, rows: int, channels: int
) -> tuple[mx.array, mx.array, mx.array, mx.array, float]:
    """Arguments for the kernel, the same at every call.

    Returns:
        x, y (rows, channels), weight, bias (channels,), eps.
    """
    random = np.random.default_rng(3)

    def normal(*shape: int) -> mx.array:
        return mx.array(random.standard_normal(shape, dtype=np.float32)).astype(dtype)

    # A mean far from zero shows a variance that is computed carelessly.
    return (
        normal(rows, channels) + 3,
        normal(rows, channels),
        normal(channels),
        normal(channels),
        1e-6,
    )


def _trials(variant: Variant) -> Iterator[tuple[Any, ...]]:
    dtype, channels = FLOATS[str(variant[0])], int(variant[1])
    yield norm_example(dtype, 77, channels)


KERNEL = Kernel(SOURCE, launch, _plain, _variant, _trials)


def add_layer_norm(
    x: mx.array, y: mx.array, weight: mx.array, bias: mx.array, eps: float
) -> tuple[mx.array, mx.array]:
    """Add a residual branch, and normalise the sum over its channels.

    Args:
        x: (..., C).
        y: (..., C), the branch; x and y may broadcast, as where a batch shares one of them.
        weight: (C,), scales the normalised values.
        bias: (C,), added to them.
        eps: added to the variance.

    Returns:
        x + y, rounded to its dtype, and the LayerNorm of that, both (..., C).
    """
    if x.shape != y.shape:
        return _plain(x, y, weight, bias, eps)
    shape, channels = x.shape, x.shape[-1]
    rows = (x.size // channels, channels)
    total, normed = KERNEL(x.reshape(rows), y.reshape(rows), weight, bias, eps)
    return total.reshape(shape), normed.reshape(shape)
