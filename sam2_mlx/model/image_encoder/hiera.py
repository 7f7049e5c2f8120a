"""Hiera: a hierarchical vision transformer with window attention and query pooling."""

from __future__ import annotations

import mlx.core as mx
import mlx.nn as nn

from sam2_mlx.config import HieraConfig
from sam2_mlx.model.attention import heads_to_rows, rows_to_heads
from sam2_mlx.model.layers import MLP, Conv2d, Linear, add_norm
from sam2_mlx.ops.activations import gelu
from sam2_mlx.ops.attention import attention
from sam2_mlx.ops.lanes import spread_rows
from sam2_mlx.ops.pooling import pool2x
from sam2_mlx.ops.resize import resize_maps
from sam2_mlx.ops.windows import Grid, grid_to_windows, windows_to_grid


class PatchEmbed(nn.Module):
    """Overlapping 7x7 patches at stride 4.

    Args:
        dims: output channels.
    """

    def __init__(self, dims: int) -> None:
        super().__init__()
        self.proj = Conv2d(3, dims, kernel_size=7, stride=4, padding=3)

    def __call__(self, x: mx.array) -> mx.array:
        """(B, S, S, 3) to (B, S/4, S/4, dims)."""
        return self.proj(x)


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

    Source: sam2/modeling/backbones/hieradet.py, MultiScaleBlock.
    """

    def __init__(self, dims: int, out_dims: int, heads: int, window: int, pool: bool) -> None:
        super().__init__()
        self._window, self._pool = window, pool
        self.norm1 = nn.LayerNorm(dims, eps=1e-6)
        self.attn = MultiScaleAttention(dims, out_dims, heads, pool)
        self.norm2 = nn.LayerNorm(out_dims, eps=1e-6)
        self.mlp = MLP((out_dims, 4 * out_dims, out_dims), gelu)
        if dims != out_dims:
            self.proj = Linear(dims, out_dims)

    def __call__(
        self, x: mx.array, normed: mx.array, grid: Grid, following: nn.LayerNorm | None
    ) -> tuple[mx.array, mx.array]:
        """Update the tokens of a batch of grids, and norm them for the block that follows.

        Args:
            x: (B*H*W, dims).
            normed: `norm1` of x.
            grid: B, H and W.
            following: the norm that reads the result, if any.

        Returns:
            (B*H*W, out_dims), or a quarter of the rows where pooled, and its norm.
        """
        batch, height, width = grid
        if "proj" in self:
            x = self._pooled(self.proj(normed), grid)
        if self._window:
            windows = grid_to_windows(normed, grid, self._window)
            update = spread_rows(lambda w: self.attn(w, self._window, self._window), windows)
            # A pooling block shrinks its windows, so the grid is joined at the pooled size.
            halves = 2 if self._pool else 1
            joined = (batch, height // halves, width // halves)
            update = windows_to_grid(update, joined, self._window // halves)
        else:
            update = self.attn(normed.reshape(batch, height * width, -1), height, width)
        return spread_rows(lambda x, y: self._finish(x, y, following), x, update)

    def _pooled(self, x: mx.array, grid: Grid) -> mx.array:
        batch, height, width = grid
        return pool2x(x, (batch,), height, width).reshape(-1, x.shape[-1]) if self._pool else x

    def _finish(
        self, x: mx.array, update: mx.array, following: nn.LayerNorm | None
    ) -> tuple[mx.array, mx.array]:
        x, normed = add_norm(x, update, self.norm2)
        update = self.mlp(normed)
        if following is None:
            return x + update, normed
        return add_norm(x, update, following)


class Hiera(nn.Module):
    """The image encoder's trunk.

    Args:
        config: dimensions.

    Source: Ryali et al., "Hiera" (arXiv 2306.00989); sam2/modeling/backbones/hieradet.py, Hiera.
    """

    def __init__(self, config: HieraConfig) -> None:
        super().__init__()
        self._config = config
        dims, window = config.embed_dim, config.window_sizes[0]
        self.patch_embed = PatchEmbed(dims)
        self.pos_embed = mx.zeros((1, *config.background_size, dims))
        self.pos_embed_window = mx.zeros((1, window, window, dims))
        self.blocks = _blocks(config)
        self._position: tuple[mx.array, mx.array] | None = None

    def constants(self, side: int) -> list[mx.array]:
        """What depends on the weights and the side of the input in pixels alone."""
        return [self.position_embedding(side // 4, side // 4)]

    def position_embedding(self, height: int, width: int) -> mx.array:
        """The position embedding of a grid, (height, width, C), in the weights' dtype."""
        # Depends on the weights and the size alone: made once, and again if either changes.
        if self._position is None or self._position[0] is not self.pos_embed:
            background = self.pos_embed[0].transpose(2, 0, 1)
            whole = resize_maps(background, (height, width), "bicubic").transpose(1, 2, 0)
            window = self.pos_embed_window[0]
            tiles = (-(-height // window.shape[0]), -(-width // window.shape[1]), 1)
            whole = whole + mx.tile(window.astype(mx.float32), tiles)[:height, :width]
            self._position = (self.pos_embed, mx.stop_gradient(whole.astype(self.pos_embed.dtype)))
        if self._position[1].shape[:2] != (height, width):
            self._position = None
            return self.position_embedding(height, width)
        return self._position[1]

    def __call__(self, pixels: mx.array) -> list[mx.array]:
        """Encode a normalised picture.

        Args:
            pixels: (B, S, S, 3), normalised by mean and deviation.

        Returns:
            The output of each stage, finest first: (B, S/4, S/4, C), (B, S/8, S/8, 2C), ...
        """
        patches = self.patch_embed(pixels)
        batch, height, width, dims = patches.shape
        places = mx.broadcast_to(self.position_embedding(height, width), patches.shape)
        first = self.blocks[0].norm1
        x, normed = spread_rows(
            lambda x, y: add_norm(x, y, first), patches.reshape(-1, dims), places.reshape(-1, dims)
        )
        starts, outputs = self._config.stage_starts[1:], []
        for index, block in enumerate(self.blocks):
            last = index + 1 == len(self.blocks)
            following = None if last else self.blocks[index + 1].norm1
            x, normed = block(x, normed, (batch, height, width), following)
            if index in starts:
                height, width = height // 2, width // 2
            if last or index + 1 in starts:
                outputs.append(x.reshape(batch, height, width, -1))
        return outputs


def _blocks(config: HieraConfig) -> list[MultiScaleBlock]:
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
        blocks.append(MultiScaleBlock(dims, out_dims, heads, window, pool))
        dims = out_dims
    return blocks
