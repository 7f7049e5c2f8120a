"""Matrix products and convolutions, with the form that suits the device.

MLX's CPU backend multiplies halves one by one, forty times slower than the BLAS multiplies floats.
There a product of halves is computed in float32 and rounded once, as a GPU does it.
"""

from __future__ import annotations

from collections.abc import Callable

import mlx.core as mx

_HALVES = (mx.float16, mx.bfloat16)


def in_float32(x: mx.array) -> bool:
    """Whether products with an array are computed in float32 and rounded."""
    return x.dtype in _HALVES and mx.default_device().type == mx.cpu


def product(function: Callable[..., mx.array], x: mx.array, *others: mx.array) -> mx.array:
    """Apply a function that multiplies arrays, in float32 where halves are slow.

    Args:
        function: of the arrays.
        x: the first of them, which decides the dtype of the result.
        others: the others.

    Returns:
        What `function(x, *others)` is, up to rounding.
    """
    if not in_float32(x):
        return function(x, *others)
    return function(*(array.astype(mx.float32) for array in (x, *others))).astype(x.dtype)


def _biased(x: mx.array, matrix: mx.array, bias: mx.array) -> mx.array:
    if mx.default_device().type == mx.cpu:
        # There `addmm` first copies the bias into every row, four times slower than adding it.
        return x @ matrix + bias
    return mx.addmm(bias, x, matrix)


def linear(x: mx.array, matrix: mx.array, bias: mx.array | None) -> mx.array:
    """Map (..., in) to (..., out) with a matrix (in, out) and a bias (out,) or None."""
    if bias is None:
        return product(mx.matmul, x, matrix)
    return product(_biased, x, matrix, bias)


def batched_linear(x: mx.array, matrix: mx.array, bias: mx.array) -> mx.array:
    """Map (M, N, in) to (M, N, out) with matrices (M, in, out) and biases (M or 1, 1 or N, out)."""
    return product(_biased, x, matrix, bias)
