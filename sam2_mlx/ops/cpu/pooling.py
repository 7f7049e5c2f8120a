"""Maximum over blocks on MLX's CPU backend."""

from __future__ import annotations

import mlx.core as mx


def largest(x: mx.array) -> mx.array:
    """The largest of each block, (..., H, 2, W, 2, C) to (..., H, 1, W, 1, C).

    The backend looks up every value's place where it reduces an array that is a view of another,
    24 ns a value; comparing the four corners takes 1.
    """
    upper, lower = mx.split(x, 2, axis=-4)
    return mx.maximum(*(mx.maximum(*mx.split(row, 2, axis=-2)) for row in (upper, lower)))
