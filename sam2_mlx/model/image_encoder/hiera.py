"""Hiera: a hierarchical vision transformer with window attention and query pooling."""

from __future__ import annotations

import mlx.core as mx
import mlx.nn as nn

from sam2_mlx.config import HieraConfig
from sam2_mlx.model.attention import join_heads
from sam2_mlx.model.layers import MLP, Conv2d, Linear
from sam2_mlx.ops.activations import gelu
from sam2_mlx.ops.attention import attention
from sam2_mlx.ops.lanes import spread, spread_tokens
from sam2_mlx.ops.residual_norm import add_layer_norm
from sam2_mlx.ops.resize import resize_maps
from sam2_mlx.ops.windows import partition, unpartition


def pool2x(x: mx.array) -> mx.array:
    """Maximum over 2x2 blocks of (B, H, W, C); an odd last row or column is dropped."""
    batch, height, width, channels = x.shape
    x = x[:, : height // 2 * 2, : width // 2 * 2]
    return x.reshape(batch, height // 2, 2, width // 2, 2, channels).max(axis=(2, 4))


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

    def __call__(self, x: mx.array) -> mx.array:
        """(B, H, W, dims) to (B, H, W, out_dims), or half of H and W where pooled."""
        batch, height, width, _ = x.shape
        q, k, v = mx.split(spread_tokens(self.qkv, x), 3, axis=-1)
        if self._pool:
            q = pool2x(q)
        rows, columns, dims = q.shape[1:]
        q, k, v = (
            t.reshape(batch, -1, self.heads, dims // self.heads).transpose(0, 2, 1, 3)
            for t in (q, k, v)
        )
        # Heads may be padded with zeros; the scale stays that of their true width.
        x = join_heads(attention(q, k, v, scale=self.head_dims**-0.5))
        return spread_tokens(self.proj, x.reshape(batch, rows, columns, dims))


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

    def __call__(self, x: mx.array) -> mx.array:
        """(B, H, W, dims) to (B, H, W, out_dims), or half of H and W where pooled."""
        shortcut = x
        x = spread_tokens(self.norm1, x)
        if "proj" in self:
            shortcut = self.proj(x)
            shortcut = pool2x(shortcut) if self._pool else shortcut
        if self._window:
            # A pooling block shrinks its windows, so the grid is joined at the pooled size.
            x = spread(self.attn, partition(x, self._window), axis=0)
            x = unpartition(x, *shortcut.shape[1:3])
        else:
            x = self.attn(x)
        return spread_tokens(self._finish, shortcut, x)

    def _finish(self, shortcut: mx.array, update: mx.array) -> mx.array:
        norm = self.norm2
        x, normed = add_layer_norm(shortcut, update, norm.weight, norm.bias, norm.eps)
        return x + self.mlp(normed)


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
        x = self.patch_embed(pixels)
        x = x + self.position_embedding(*x.shape[1:3])
        ends = [start - 1 for start in self._config.stage_starts[1:]] + [len(self.blocks) - 1]
        outputs = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in ends:
                outputs.append(x)
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
