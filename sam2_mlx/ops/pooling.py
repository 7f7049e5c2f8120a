"""Maximum over 2x2 blocks."""

from __future__ import annotations

import mlx.core as mx

from sam2_mlx.ops.cpu import pooling as cpu
from sam2_mlx.ops.device import on_cpu
from sam2_mlx.ops.windows import Grid


def pool2x(x: mx.array, grid: Grid) -> mx.array:
    """Maximum over 2x2 blocks; an odd last row or column is dropped.

    Args:
        x: (..., grids*rows*columns, C) tokens, row by row.
        grid: rows and columns of each grid.

    Returns:
        (..., grids*(rows//2)*(columns//2), C).
    """
    (height, width), leading, channels = grid, x.shape[:-2], x.shape[-1]
    if height % 2 or width % 2:
        x = x.reshape(*leading, -1, height, width, channels)
        x = x[..., : height // 2 * 2, : width // 2 * 2, :]
    # As all heights are even, grids below each other are one.
    x = x.reshape(*leading, -1, 2, width // 2, 2, channels)
    x = cpu.largest(x) if on_cpu() else x.max(axis=(-4, -2))
    return x.reshape(*leading, -1, channels)
