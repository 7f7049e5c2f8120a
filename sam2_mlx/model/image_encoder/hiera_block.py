"""One transformer block of Hiera: attention within grids of tokens, and an MLP."""

from __future__ import annotations

import mlx.core as mx
import mlx.nn as nn

from sam2_mlx.model.attention import heads_to_rows, rows_to_heads
from sam2_mlx.model.layers import MLP, Linear, add_norm
from sam2_mlx.ops.activations import gelu
from sam2_mlx.ops.attention import attention
from sam2_mlx.ops.lanes import spread_rows
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

    def __call__(self, x: mx.array, height: int, width: int) -> mx.array:
        """Attend within each of a number of grids.

        Args:
            x: (grids, height*width, dims).
            height: rows of a grid.
            width: columns of a grid.

        Returns:
            (grids*height*width, out_dims), or a quarter of the rows where pooled.
        """
        grids, count, dims = x.shape
        qkv = spread_rows(self.qkv, x.reshape(-1, dims))
        q, k, v = mx.split(rows_to_heads(qkv, count, 3 * self.heads), 3, axis=1)
        if self._pool:
            q = pool2x(q, (grids, self.heads), height, width)
            q = q.reshape(grids, self.heads, -1, k.shape[-1])
        # Heads may be padded with zeros; the scale stays that of their true width.
        seen = attention(q, k, v, scale=self.head_dims**-0.5)
        return spread_rows(self.proj, heads_to_rows(seen))


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

    def __call__(
        self, x: mx.array, normed: mx.array, grid: Grid, following: nn.LayerNorm | None
    ) -> tuple[mx.array, mx.array]:
        """Update the tokens of grids, each of which attends to itself alone.

        Args:
            x: (B*H*W, dims), grids of tokens: whole pictures, or windows.
            normed: `norm1` of x.
            grid: B, H and W.
            following: the norm that reads the result, if any.

        Returns:
            (B*H*W, out_dims), or a quarter of the rows where pooled, and its norm.
        """
        count, height, width = grid
        update = self.attn(normed.reshape(count, height * width, -1), height, width)
        return self._added(x, normed, update, grid, following)

    def with_padding(
        self, x: mx.array, normed: mx.array, grid: Grid, following: nn.LayerNorm | None
    ) -> tuple[mx.array, mx.array]:
        """Update the tokens of pictures whose sides are no whole number of windows.

        Takes and gives what `__call__` does; the windows at the lower and right edge are filled
        with zeros.
        """
        batch, height, width = grid
        windows = grid_to_windows(normed, grid, self.window)
        update = spread_rows(lambda w: self.attn(w, self.window, self.window), windows)
        # A pooling block shrinks its windows, so the grid is joined at the pooled size.
        halves = 2 if self.pool else 1
        joined = (batch, height // halves, width // halves)
        update = windows_to_grid(update, joined, self.window // halves)
        return self._added(x, normed, update, grid, following)

    def _added(
        self,
        x: mx.array,
        normed: mx.array,
        update: mx.array,
        grid: Grid,
        following: nn.LayerNorm | None,
    ) -> tuple[mx.array, mx.array]:
        if "proj" in self:
            x = self.proj(normed)
            if self.pool:
                x = pool2x(x, grid[:1], *grid[1:]).reshape(-1, x.shape[-1])
        return spread_rows(lambda x, y: self._finish(x, y, following), x, update)

    def _finish(
        self, x: mx.array, update: mx.array, following: nn.LayerNorm | None
    ) -> tuple[mx.array, mx.array]:
        x, normed = add_norm(x, update, self.norm2)
        update = self.mlp(normed)
        if following is None:
            return x + update, normed
        return add_norm(x, update, following)
