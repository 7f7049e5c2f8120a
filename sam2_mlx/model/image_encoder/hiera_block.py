"""One transformer block of Hiera: attention within windows of tokens, and an MLP."""

from __future__ import annotations

import mlx.core as mx
import mlx.nn as nn

from sam2_mlx.model.attention import heads_to_rows, rows_to_heads
from sam2_mlx.model.layers import MLP, Linear, add_norm
from sam2_mlx.ops.activations import gelu
from sam2_mlx.ops.attention import attention
from sam2_mlx.ops.independent import by_grid
from sam2_mlx.ops.pooling import pool2x
from sam2_mlx.ops.windows import Grid, grid_to_windows, windows_to_grid


class MultiScaleAttention(nn.Module):
    """Self-attention that can pool its queries, which halves the grid.

    Args:
        dims: input channels.
        out_dims: output channels.
        heads: attention heads.
        pool: whether queries are pooled 2x2.
    """

    def __init__(self, dims: int, out_dims: int, heads: int, pool: bool) -> None:
        super().__init__()
        self.heads, self.head_dims, self._pool = heads, out_dims // heads, pool
        self.qkv = Linear(dims, 3 * out_dims)
        self.proj = Linear(out_dims, out_dims)

    @by_grid
    def __call__(self, x: mx.array, grid: Grid) -> mx.array:
        """Attend within each of a number of grids.

        Args:
            x: (grids*rows*columns, dims).
            grid: rows and columns of each.

        Returns:
            (grids*rows*columns, out_dims), or a quarter of the rows where pooled.
        """
        height, width = grid
        q, k, v = mx.split(rows_to_heads(self.qkv(x), height * width, 3 * self.heads), 3, axis=1)
        if self._pool:
            q = pool2x(q, grid)
        # Heads may be padded with zeros; the scale stays that of their true width.
        return self.proj(heads_to_rows(attention(q, k, v, scale=self.head_dims**-0.5)))


class MultiScaleBlock(nn.Module):
    """One transformer block of Hiera.

    Args:
        dims: input channels.
        out_dims: output channels.
        heads: attention heads.
        window: side of the attention window in input tokens; 0 attends to the whole grid.
        pool: whether this block starts a stage and halves the grid.

    Attributes:
        window: as given.
        pool: as given.

    Source: sam2/modeling/backbones/hieradet.py, MultiScaleBlock.
    """

    def __init__(self, dims: int, out_dims: int, heads: int, window: int, pool: bool) -> None:
        super().__init__()
        self.window, self.pool = window, pool
        self.norm1 = nn.LayerNorm(dims, eps=1e-6)
        self.attn = MultiScaleAttention(dims, out_dims, heads, pool)
        self.norm2 = nn.LayerNorm(out_dims, eps=1e-6)
        self.mlp = MLP((out_dims, 4 * out_dims, out_dims), gelu)
        if dims != out_dims:
            self.proj = Linear(dims, out_dims)

    def __call__(self, x: mx.array, update: mx.array, grid: Grid) -> tuple[mx.array, mx.array]:
        """Update the tokens of grids: of whole pictures, or of windows.

        Args:
            x: (grids*rows*columns, dims).
            update: what is to be added to x.
            grid: rows and columns of each.

        Returns:
            x with the update and attention added, (grids*rows*columns, out_dims) or a quarter of
            the rows where pooled, and the next update.
        """
        x, normed = add_norm(x, update, self.norm1)
        update = self._attend(normed, grid)
        if "proj" in self:
            x = self.proj(normed)
        if self.pool:
            x = pool2x(x, grid)
        x, normed = add_norm(x, update, self.norm2)
        return x, self.mlp(normed)

    def _attend(self, normed: mx.array, grid: Grid) -> mx.array:
        side = self.window
        if grid == (side, side) or not side:
            return self.attn(normed, grid)
        update = self.attn(grid_to_windows(normed, grid, side), (side, side))
        if self.pool:
            grid, side = (grid[0] // 2, grid[1] // 2), side // 2
        return windows_to_grid(update, grid, side)
