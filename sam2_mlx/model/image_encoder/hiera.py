"""Hiera: a hierarchical vision transformer with window attention and query pooling."""

from __future__ import annotations

from dataclasses import dataclass

import mlx.core as mx
import mlx.nn as nn

from sam2_mlx.config import HieraConfig
from sam2_mlx.model.attention import heads_to_rows, rows_to_heads
from sam2_mlx.model.image_encoder.block import WindowBlock
from sam2_mlx.model.layers import Linear, PatchEmbed
from sam2_mlx.ops.attention import attention
from sam2_mlx.ops.derived import Derived
from sam2_mlx.ops.independent import by_grid
from sam2_mlx.ops.pooling import pool2x
from sam2_mlx.ops.resize import resize_maps
from sam2_mlx.ops.windows import Grid, reorder


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


class Hiera(nn.Module):
    """The image encoder's trunk.

    Source: Ryali et al., "Hiera" (arXiv 2306.00989); sam2/modeling/backbones/hieradet.py, Hiera.
    """

    def __init__(self, config: HieraConfig) -> None:
        super().__init__()
        dims, window = config.embed_dim, config.window_sizes[0]
        self.patch_embed = PatchEmbed(dims, kernel=7, stride=4, padding=3)
        self.pos_embed = mx.zeros((1, *config.background_size, dims))
        self.pos_embed_window = mx.zeros((1, window, window, dims))
        self.blocks = _blocks(config)
        self._ordered: Derived[mx.array] = Derived()

    def position_embedding(self, height: int, width: int) -> mx.array:
        """The position embedding of a grid, (height, width, C), in the weights' dtype."""
        background = self.pos_embed[0].transpose(2, 0, 1)
        whole = resize_maps(background, (height, width), "bicubic").transpose(1, 2, 0)
        window = self.pos_embed_window[0]
        tiles = (-(-height // window.shape[0]), -(-width // window.shape[1]), 1)
        whole = whole + mx.tile(window.astype(mx.float32), tiles)[:height, :width]
        return whole.astype(self.pos_embed.dtype)

    def _places(self, grid: Grid, order: int) -> mx.array:
        """The position embedding in the order of the first block, (rows*columns, C)."""

        def make() -> mx.array:
            places = self.position_embedding(*grid)
            return reorder(places.reshape(-1, places.shape[2]), grid, 0, order)

        return self._ordered.get(make, self.pos_embed, self.pos_embed_window, key=(grid, order))

    def __call__(self, pixels: mx.array) -> list[mx.array]:
        """Encode a normalised picture.

        Args:
            pixels: (B, S, S, 3), normalised by mean and deviation.

        Returns:
            The output of each stage, finest first: (B, S/4, S/4, C), (B, S/8, S/8, 2C), ...
        """
        patches = self.patch_embed(pixels)
        batch, *sides, dims = patches.shape
        grid = (sides[0], sides[1])
        runs = _runs(self.blocks, grid)
        # The side of the windows that tokens are ordered by, or 0 for row by row.
        order = runs[0].order
        x = reorder(patches.reshape(-1, dims), grid, 0, order)
        places = self._places(grid, order)
        update = mx.broadcast_to(places, (batch, *places.shape)).reshape(-1, dims)
        stages = []

        def finish_stage(x: mx.array) -> None:
            stages.append(reorder(x, grid, order, 0).reshape(batch, *grid, -1))

        for run in runs:
            x, update = (reorder(part, grid, order, run.order) for part in (x, update))
            order = run.order
            x, update, *pooled = run(x, update, run.grid)
            for end in pooled:
                finish_stage(end)
                grid, order = (grid[0] // 2, grid[1] // 2), order // 2
        finish_stage(x + update)
        return stages


@dataclass(frozen=True)
class _Run:
    """Consecutive blocks none of which looks beyond a window of the first, or one that does.

    A window that was pooled holds the tokens of a window of the next stage.

    Attributes:
        blocks: one at least.
        order: side of the windows that their tokens are ordered by, or 0 for row by row.
        grid: rows and columns that the first block attends within: such a window, or all.
    """

    blocks: list[WindowBlock]
    order: int
    grid: Grid

    @by_grid
    def __call__(self, x: mx.array, update: mx.array, grid: Grid) -> tuple[mx.array, ...]:
        """Update the tokens of grids (grids*rows*columns, C).

        Returns:
            x, what is to be added to it, and the sums that blocks pooled: the ends of stages.
        """
        pooled = []
        for block in self.blocks:
            if block.pool:
                pooled.append(x + update)
            x, update = block(x, update, grid)
            if block.pool:
                grid = (grid[0] // 2, grid[1] // 2)
        return x, update, *pooled


def _runs(blocks: list[WindowBlock], grid: Grid) -> list[_Run]:
    """Cut the trunk into runs, for a grid of tokens."""
    runs: list[_Run] = []
    order, within = 0, False
    for block in blocks:
        side = block.window
        whole = side > 0 and not (grid[0] % side or grid[1] % side)
        if whole and within and side == order:
            runs[-1].blocks.append(block)
        else:
            # To a block that attends to all tokens, and pools none, their order is the same.
            order = side if whole else order if side == 0 and not block.pool else 0
            runs.append(_Run([block], order, (side, side) if whole else grid))
        within = whole
        if block.pool:
            grid, order = (grid[0] // 2, grid[1] // 2), order // 2
    return runs


def _blocks(config: HieraConfig) -> list[WindowBlock]:
    blocks = []
    stage, dims, heads = 0, config.embed_dim, config.num_heads
    starts = config.stage_starts[1:]
    for index in range(sum(config.stages)):
        # A block that pools still cuts its windows at the size of the stage before.
        window = 0 if index in config.global_blocks else config.window_sizes[stage]
        pool = index in starts
        if pool:
            stage, heads = stage + 1, heads * 2
        out_dims = config.stage_dims[stage]
        attn = MultiScaleAttention(dims, out_dims, heads, pool)
        blocks.append(WindowBlock(attn, dims, out_dims, window, pool))
        dims = out_dims
    return blocks
