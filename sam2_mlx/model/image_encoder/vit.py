"""The plain vision transformer of the first Segment Anything."""

from __future__ import annotations

import mlx.core as mx
import mlx.nn as nn

from sam2_mlx.config import ViTConfig
from sam2_mlx.model.attention import heads_to_rows, rows_to_heads
from sam2_mlx.model.layers import MLP, Conv2d, Linear
from sam2_mlx.ops.activations import gelu
from sam2_mlx.ops.derived import Derived
from sam2_mlx.ops.relative_attention import distance_table, grid_attention
from sam2_mlx.ops.resize import resize_maps
from sam2_mlx.ops.windows import partition, unpartition

PATCH = 16


class ViTPatchEmbed(nn.Module):
    """Patches of 16x16 pixels, side by side.

    Args:
        dims: output channels.
    """

    def __init__(self, dims: int) -> None:
        super().__init__()
        self.proj = Conv2d(3, dims, kernel_size=PATCH, stride=PATCH)

    def __call__(self, x: mx.array) -> mx.array:
        """(B, S, S, 3) to (B, S/16, S/16, dims)."""
        return self.proj(x)


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

    def __call__(self, x: mx.array) -> mx.array:
        """(B, H, W, dims) to the same shape."""
        batch, height, width, dims = x.shape
        joint = rows_to_heads(self.qkv(x.reshape(-1, dims)), height * width, 3 * self._heads)
        q, k, v = mx.split(joint, 3, axis=1)
        rows = distance_table(self.rel_pos_h, height)
        columns = distance_table(self.rel_pos_w, width)
        update = self.proj(heads_to_rows(grid_attention(q, k, v, rows, columns)))
        return update.reshape(batch, height, width, dims)


class Block(nn.Module):
    """One transformer block, with attention in windows or over the whole grid.

    Args:
        config: dimensions.
        window: side of the attention window in tokens; 0 attends to the whole grid.

    Source: segment_anything/modeling/image_encoder.py, Block.
    """

    def __init__(self, config: ViTConfig, window: int) -> None:
        super().__init__()
        dims = config.embed_dim
        self._window = window
        self.norm1 = nn.LayerNorm(dims, eps=1e-6)
        self.attn = RelativeAttention(dims, config.num_heads, window or config.grid)
        self.norm2 = nn.LayerNorm(dims, eps=1e-6)
        self.mlp = MLP((dims, 4 * dims, dims), gelu)

    def __call__(self, x: mx.array) -> mx.array:
        """(B, H, W, dims) to the same shape."""
        update = self.norm1(x)
        if self._window:
            update = unpartition(self.attn(partition(update, self._window)), *x.shape[1:3])
        else:
            update = self.attn(update)
        x = x + update
        return x + self.mlp(self.norm2(x))


class ViT(nn.Module):
    """The image encoder's trunk.

    Args:
        config: dimensions.

    Source: Kirillov et al., "Segment Anything" (arXiv 2304.02643), after Li et al. (arXiv
    2203.16527); segment_anything/modeling/image_encoder.py, ImageEncoderViT.
    """

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.patch_embed = ViTPatchEmbed(config.embed_dim)
        self.pos_embed = mx.zeros((1, config.grid, config.grid, config.embed_dim))
        self.blocks = [
            Block(config, 0 if index in config.global_blocks else config.window_size)
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
        x = self.patch_embed(pixels)
        x = x + self.position_embedding(x.shape[1])
        for block in self.blocks:
            x = block(x)
        return [x]
