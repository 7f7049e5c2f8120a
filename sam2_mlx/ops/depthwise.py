"""Depthwise convolution."""

from __future__ import annotations

import mlx.core as mx

from sam2_mlx.ops.cpu import depthwise as cpu
from sam2_mlx.ops.device import on_cpu


def depthwise(x: mx.array, weight: mx.array) -> mx.array:
    """Convolve each channel by itself, at stride 1, with zeros around the grid.

    Args:
        x: (B, H, W, C).
        weight: (C, K, K, 1), K odd.

    Returns:
        (B, H, W, C).
    """
    if on_cpu():
        return cpu.depthwise(x, weight)
    channels, side = weight.shape[:2]
    return mx.conv2d(x, weight, padding=side // 2, groups=channels)
