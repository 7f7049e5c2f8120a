"""The block of plain and hierarchical vision transformers: attention in windows, and an MLP."""

from __future__ import annotations

import mlx.core as mx
import mlx.nn as nn

from sam2_mlx.model.layers import MLP, Linear, add_norm
from sam2_mlx.ops.activations import gelu
from sam2_mlx.ops.pooling import pool2x
from sam2_mlx.ops.windows import Grid, grid_to_windows, windows_to_grid


class WindowBlock(nn.Module):
    """One transformer block.

    Args:
        attn: maps tokens of grids (grids*rows*columns, dims) to (..., out_dims), each grid by
            itself, called with them and the grid's rows and columns.
        dims: input channels.
        out_dims: output channels.
        window: side of the attention window in input tokens; 0 attends to the whole grid.
        pool: whether attention halves the grid.

    Attributes:
        window: as given.
        pool: as given.

    Source: sam2/modeling/backbones/hieradet.py, MultiScaleBlock;
    segment_anything/modeling/image_encoder.py, Block.
    """

    def __init__(
        self, attn: nn.Module, dims: int, out_dims: int, window: int, pool: bool = False
    ) -> None:
        super().__init__()
        self.window, self.pool = window, pool
        self.norm1 = nn.LayerNorm(dims, eps=1e-6)
        self.attn = attn
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
