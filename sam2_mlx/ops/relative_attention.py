"""Attention over a grid whose scores depend on row and column distances too."""

from __future__ import annotations

import mlx.core as mx
import numpy as np

from sam2_mlx.ops.cpu import attention as cpu
from sam2_mlx.ops.device import on_cpu
from sam2_mlx.ops.precision import exact_matmul
from sam2_mlx.ops.products import matmul
from sam2_mlx.ops.resize import resize_matrix

# Entries of the bias that are held at once.
_BIAS_AT_ONCE = 16 * 2**20


def distance_table(table: mx.array, side: int) -> mx.array:
    """A table of distances, read out for every pair of places.

    Args:
        table: (2 * n - 1, D), a vector for each distance from -(n - 1) to n - 1; resized where
            `side` is not n.
        side: places in a row or column.

    Returns:
        (side, side, D): for the place of the query, for that of the key.

    Source: segment_anything/modeling/image_encoder.py, get_rel_pos.
    """
    if table.shape[0] != 2 * side - 1:
        matrix = resize_matrix(table.shape[0], 2 * side - 1, "bilinear")
        table = exact_matmul(matrix, table.astype(mx.float32)).astype(table.dtype)
    place = np.arange(side)
    return table[mx.array(place[:, None] - place[None, :] + side - 1)]


def grid_attention(
    q: mx.array, k: mx.array, v: mx.array, rows: mx.array, columns: mx.array
) -> mx.array:
    """Attend over a grid; a score also has a term for the rows and one for the columns.

    Args:
        q: (B, heads, H*W, D), places row by row.
        k: (B, heads, H*W, D).
        v: (B, heads, H*W, D).
        rows: (H, H, D), as of `distance_table`.
        columns: (W, W, D).

    Returns:
        (B, heads, H*W, D).

    Source: segment_anything/modeling/image_encoder.py, Attention and add_decomposed_rel_pos.
    """
    (batch, heads, tokens, dims), (height, width) = q.shape, (rows.shape[0], columns.shape[0])
    grid = q.reshape(batch, heads, height, width, dims)
    by_row = matmul(grid, rows.transpose(0, 2, 1))
    by_column = matmul(grid.swapaxes(2, 3), columns.transpose(0, 2, 1)).swapaxes(2, 3)
    by_row = by_row.reshape(batch, heads, tokens, height)
    by_column = by_column.reshape(batch, heads, tokens, width)
    scale = dims**-0.5
    if on_cpu():
        return cpu.grid_attention(q, k, v, by_row, by_column, scale)
    step = max(_BIAS_AT_ONCE // (batch * heads * tokens) // width * width, width)
    parts = []
    for start in range(0, tokens, step):
        part = slice(start, start + step)
        bias = by_row[:, :, part, :, None] + by_column[:, :, part, None, :]
        bias = bias.reshape(*bias.shape[:3], tokens)
        parts.append(
            mx.fast.scaled_dot_product_attention(q[:, :, part], k, v, scale=scale, mask=bias)
        )
    return parts[0] if len(parts) == 1 else mx.concatenate(parts, axis=2)
