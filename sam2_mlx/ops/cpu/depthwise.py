"""Depthwise convolution on MLX's CPU backend, which convolves channel by channel."""

from __future__ import annotations

import mlx.core as mx

from sam2_mlx.ops.compiled import compiled
from sam2_mlx.ops.cpu.lanes import spread


def depthwise(x: mx.array, weight: mx.array) -> mx.array:
    """Convolve each channel by itself, at stride 1, with zeros around the grid.

    Args:
        x: float32 (B, H, W, C).
        weight: float32 (C, K, K, 1), K odd.

    Returns:
        (B, H, W, C).
    """
    kernel = weight[..., 0].transpose(1, 2, 0)
    result: mx.array = spread(_shifted, x, kernel, axis=-1)
    return result


@compiled
def _add_product(total: mx.array, x: mx.array, weight: mx.array) -> mx.array:
    return total + x * weight


def _shifted(x: mx.array, kernel: mx.array) -> mx.array:
    # The padded rows are one long sequence of tokens, in which each tap of the kernel is a shift.
    batch, height, width, channels = x.shape
    side = kernel.shape[0]
    edge, wide = side // 2, width + side - 1
    padding = [(0, 0), (edge, edge + 1), (edge, edge), (0, 0)]
    tokens = mx.pad(x, padding).reshape(batch, -1, channels)
    length = height * wide
    total = mx.array(0.0)
    for row in range(side):
        # Row by row: a long sum of small products rounds more often.
        part = mx.zeros((batch, length, channels))
        for column in range(side):
            start = row * wide + column
            part = _add_product(part, tokens[:, start : start + length], kernel[row, column])
        total = total + part
    return total.reshape(batch, height, wide, channels)[:, :, :width]
