"""Maximum over 2x2 blocks, with the form that suits the device."""

from __future__ import annotations

import mlx.core as mx

from sam2_mlx.ops.windows import Grid


def pool2x(x: mx.array, grid: Grid) -> mx.array:
    """Maximum over 2x2 blocks; an odd last row or column is dropped.

    Args:
        x: (..., grids*rows*columns, C) tokens, row by row.
        grid: rows and columns of each grid.

    Returns:
        (..., grids*(rows//2)*(columns//2), C).
    """
    (height, width), lead, channels = grid, x.shape[:-2], x.shape[-1]
    if height % 2 or width % 2:
        x = x.reshape(*lead, -1, height, width, channels)
        x = x[..., : height // 2 * 2, : width // 2 * 2, :]
    # As all heights are even, grids below each other are one.
    x = x.reshape(*lead, -1, 2, width // 2, 2, channels)
    if mx.default_device().type == mx.cpu:
        # MLX's CPU backend looks up every value's place where it reduces an array that is a view
        # of another, 24 ns a value; comparing the four corners takes 1.
        upper, lower = mx.split(x, 2, axis=-4)
        x = mx.maximum(*(mx.maximum(*mx.split(row, 2, axis=-2)) for row in (upper, lower)))
    else:
        x = x.max(axis=(-4, -2))
    return x.reshape(*lead, -1, channels)
