"""Matrix products and convolutions."""

from __future__ import annotations

import mlx.core as mx

from sam2_mlx.ops.cpu import products as cpu
from sam2_mlx.ops.cpu.products import Pair
from sam2_mlx.ops.device import on_cpu


def matmul(x: mx.array, y: mx.array) -> mx.array:
    """The product of two matrices, or of batches of them, in the dtype of x."""
    return (cpu.matmul if on_cpu() else mx.matmul)(x, y)


def linear(x: mx.array, matrix: mx.array, bias: mx.array | None) -> mx.array:
    """Map (..., in) to (..., out), in the dtype of x.

    Args:
        x: (..., in).
        matrix: (in, out), or (M, in, out) for batches of x.
        bias: (out,), or of any shape that broadcasts to the result; None adds nothing.
    """
    if bias is None:
        return matmul(x, matrix)
    return cpu.linear(x, matrix, bias) if on_cpu() else mx.addmm(bias, x, matrix)


def conv2d(x: mx.array, weight: mx.array, stride: Pair, padding: Pair, groups: int) -> mx.array:
    """Convolve (B, H, W, in) with (out, K, K, in/groups), in the dtype of x."""
    if on_cpu():
        return cpu.conv2d(x, weight, stride, padding, groups)
    return mx.conv2d(x, weight, stride, padding, (1, 1), groups)
