"""Cutting a token grid into attention windows and putting it together again.

Tokens of a number of grids are rows (grids*rows*columns, C), grid after grid.
"""

from __future__ import annotations

import mlx.core as mx

Grid = tuple[int, int]
"""Rows and columns of tokens."""


def padded(length: int, window: int) -> int:
    """Round a side up to a whole number of windows."""
    return -(-length // window) * window


def grid_to_windows(x: mx.array, grid: Grid, window: int) -> mx.array:
    """Cut grids into windows, padding the right and lower edge with zeros.

    Args:
        x: tokens of the grids, row by row, in any shape that ends with C.
        grid: rows and columns of each.
        window: side of a window.

    Returns:
        (windows*window*window, C), windows of a grid row by row.

    Source: sam2/modeling/backbones/utils.py, window_partition.
    """
    (height, width), channels = grid, x.shape[-1]
    high, wide = padded(height, window), padded(width, window)
    if (high, wide) != grid:
        edges = [(0, 0), (0, high - height), (0, wide - width), (0, 0)]
        x = mx.pad(x.reshape(-1, height, width, channels), edges)
    x = x.reshape(-1, high // window, window, wide // window, window, channels)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(-1, channels)


def windows_to_grid(x: mx.array, grid: Grid, window: int) -> mx.array:
    """Undo `grid_to_windows`: join the windows and cut the padding off.

    Args:
        x: tokens of the windows, row by row, in any shape that ends with C.
        grid: rows and columns of each grid.
        window: side of a window.

    Returns:
        (grids*rows*columns, C).

    Source: sam2/modeling/backbones/utils.py, window_unpartition.
    """
    (height, width), channels = grid, x.shape[-1]
    high, wide = padded(height, window), padded(width, window)
    x = x.reshape(-1, high // window, wide // window, window, window, channels)
    x = x.transpose(0, 1, 3, 2, 4, 5)
    if (high, wide) != grid:
        x = x.reshape(-1, high, wide, channels)[:, :height, :width]
    return x.reshape(-1, channels)


def reorder(x: mx.array, grid: Grid, before: int, after: int) -> mx.array:
    """Bring the tokens of grids from one order into another.

    Args:
        x: (grids*rows*columns, C), ordered by windows of side `before`, whole ones, or row by
            row where that is 0.
        grid: rows and columns of each grid.
        before: the order of x.
        after: the order wanted.

    Returns:
        The same tokens ordered by windows of side `after`, or row by row.
    """
    if before == after:
        return x
    if before:
        x = windows_to_grid(x, grid, before)
    return grid_to_windows(x, grid, after) if after else x
