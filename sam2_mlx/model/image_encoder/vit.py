"""The plain vision transformer of the first Segment Anything."""

from __future__ import annotations

import mlx.core as mx
import mlx.nn as nn

from sam2_mlx.config import ViTConfig
from sam2_mlx.model.attention import heads_to_rows, rows_to_heads
from sam2_mlx.model.image_encoder.block import WindowBlock
from sam2_mlx.model.layers import Linear, PatchEmbed
from sam2_mlx.ops.derived import Derived
from sam2_mlx.ops.relative_attention import distance_table, grid_attention
from sam2_mlx.ops.resize import resize_maps
from sam2_mlx.ops.windows import Grid

PATCH = 16


class RelativeAttention(nn.Module):
    """Self-attention over a grid with learned row and column distances.

    Args:
        dims: channels.
        heads: attention heads.
        side: side of the grid that the distances are learned for.
    """

    def __init__(self, dims: int, heads: int, side: int) -> None:
        super().__init__()
        self._heads = heads
        self.qkv = Linear(dims, 3 * dims)
        self.proj = Linear(dims, dims)
        self.rel_pos_h = mx.zeros((2 * side - 1, dims // heads))
        self.rel_pos_w = mx.zeros((2 * side - 1, dims // heads))

    def __call__(self, x: mx.array, grid: Grid) -> mx.array:
        """Attend within each of a number of grids, (grids*rows*columns, dims)."""
        height, width = grid
        joint = rows_to_heads(self.qkv(x), height * width, 3 * self._heads)
        q, k, v = mx.split(joint, 3, axis=1)
        rows = distance_table(self.rel_pos_h, height)
        columns = distance_table(self.rel_pos_w, width)
        return self.proj(heads_to_rows(grid_attention(q, k, v, rows, columns)))


class ViT(nn.Module):
    """The image encoder's trunk.

    Source: Kirillov et al., "Segment Anything" (arXiv 2304.02643), after Li et al. (arXiv
    2203.16527); segment_anything/modeling/image_encoder.py, ImageEncoderViT.
    """

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(config.embed_dim, PATCH, PATCH)
        self.pos_embed = mx.zeros((1, config.grid, config.grid, config.embed_dim))
        self.blocks = [
            _block(config, 0 if index in config.global_blocks else config.window_size)
            for index in range(config.depth)
        ]
        self._resized: Derived[mx.array] = Derived()

    def position_embedding(self, side: int) -> mx.array:
        """The position embedding of a grid, (1, side, side, C), in the weights' dtype.

        Resized where the input is not of the size that the weights were trained at.
        """
        weight: mx.array = self.pos_embed
        if weight.shape[1] == side:
            return weight

        def make() -> mx.array:
            resized = resize_maps(weight.transpose(0, 3, 1, 2), (side, side), "bicubic")
            return resized.transpose(0, 2, 3, 1).astype(weight.dtype)

        return self._resized.get(make, weight, key=side)

    def __call__(self, pixels: mx.array) -> list[mx.array]:
        """Encode a normalised picture, (B, S, S, 3), to [(B, S/16, S/16, C)]."""
        patches = self.patch_embed(pixels)
        batch, *sides, dims = patches.shape
        grid = (sides[0], sides[1])
        x = patches.reshape(-1, dims)
        update = mx.broadcast_to(self.position_embedding(grid[0]), patches.shape).reshape(-1, dims)
        for block in self.blocks:
            x, update = block(x, update, grid)
        return [(x + update).reshape(batch, *grid, dims)]


def _block(config: ViTConfig, window: int) -> WindowBlock:
    dims = config.embed_dim
    attn = RelativeAttention(dims, config.num_heads, window or config.grid)
    return WindowBlock(attn, dims, dims, window)
