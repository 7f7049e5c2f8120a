"""Depthwise convolution, with the form that suits the device."""

from __future__ import annotations

from functools import partial

import mlx.core as mx

from sam2_mlx.ops.cpu.lanes import spread
from sam2_mlx.ops.products import product


def depthwise(x: mx.array, weight: mx.array) -> mx.array:
    """Convolve each channel by itself, at stride 1, with zeros around the grid.

    Args:
        x: (B, H, W, C).
        weight: (C, K, K, 1), K odd.

    Returns:
        (B, H, W, C).
    """
    if mx.default_device().type == mx.cpu:
        kernel = weight[..., 0].transpose(1, 2, 0)
        return product(lambda x, k: spread(_shifted, x, k, axis=-1), x, kernel)
    channels, side = weight.shape[:2]
    return mx.conv2d(x, weight, padding=side // 2, groups=channels)


@partial(mx.compile, shapeless=True)
def _add_product(total: mx.array, x: mx.array, weight: mx.array) -> mx.array:
    return total + x * weight


def _shifted(x: mx.array, kernel: mx.array) -> mx.array:
    # MLX's CPU backend convolves channel by channel. Here the padded rows are one long sequence
    # of tokens, in which each tap of the kernel is a shift.
    batch, height, width, channels = x.shape
    side = kernel.shape[0]
    edge, wide = side // 2, width + side - 1
    padding = [(0, 0), (edge, edge + 1), (edge, edge), (0, 0)]
    tokens = mx.pad(x, padding).reshape(batch, -1, channels)
    length = height * wide
    total = mx.zeros((batch, length, channels))
    for row in range(side):
        for column in range(side):
            start = row * wide + column
            total = _add_product(total, tokens[:, start : start + length], kernel[row, column])
    return total.reshape(batch, height, wide, channels)[:, :, :width]
