"""Cutting a token grid into attention windows and putting it together again."""

from __future__ import annotations

import mlx.core as mx


def padded(length: int, window: int) -> int:
    """Round a side up to a whole number of windows."""
    return -(-length // window) * window


def partition(x: mx.array, window: int) -> mx.array:
    """Cut a grid into windows, padding the right and lower edge with zeros.

    Args:
        x: (B, H, W, C) tokens.
        window: side of a window.

    Returns:
        (B*windows, window, window, C), windows row by row.

    Source: sam2/modeling/backbones/utils.py, window_partition.
    """
    batch, height, width, channels = x.shape
    high, wide = padded(height, window), padded(width, window)
    if (high, wide) != (height, width):
        x = mx.pad(x, [(0, 0), (0, high - height), (0, wide - width), (0, 0)])
    x = x.reshape(batch, high // window, window, wide // window, window, channels)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(-1, window, window, channels)


def unpartition(x: mx.array, height: int, width: int) -> mx.array:
    """Undo `partition`: join the windows and cut the padding off.

    Args:
        x: (B*windows, window, window, C).
        height: rows of the grid without padding.
        width: columns of the grid without padding.

    Returns:
        (B, height, width, C).

    Source: sam2/modeling/backbones/utils.py, window_unpartition.
    """
    window, channels = x.shape[1], x.shape[3]
    rows, columns = padded(height, window) // window, padded(width, window) // window
    x = x.reshape(-1, rows, columns, window, window, channels).transpose(0, 1, 3, 2, 4, 5)
    x = x.reshape(-1, rows * window, columns * window, channels)
    return x[:, :height, :width]
