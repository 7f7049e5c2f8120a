"""Maximum over 2x2 blocks, with the form that suits the device."""

from __future__ import annotations

import mlx.core as mx


def pool2x(x: mx.array, lead: tuple[int, ...], height: int, width: int) -> mx.array:
    """Maximum over 2x2 blocks; an odd last row or column is dropped.

    Args:
        x: tokens of grids, row by row, in any shape that ends with C.
        lead: the axes before those of a grid.
        height: rows of a grid.
        width: columns of a grid.

    Returns:
        (*lead, height//2, 1, width//2, 1, C).
    """
    if height % 2 or width % 2:
        x = x.reshape(*lead, height, width, -1)[..., : height // 2 * 2, : width // 2 * 2, :]
    x = x.reshape(*lead, height // 2, 2, width // 2, 2, -1)
    if mx.default_device().type == mx.cpu:
        # MLX's CPU backend looks up every value's place where it reduces an array that is a view
        # of another, 24 ns a value; comparing the four corners takes 1.
        upper, lower = mx.split(x, 2, axis=-4)
        rows = [mx.maximum(*mx.split(row, 2, axis=-2)) for row in (upper, lower)]
        return mx.maximum(*rows)
    return x.max(axis=(-4, -2), keepdims=True)
