"""TinyViT, the small image encoder of MobileSAM: convolutions, then attention in windows.

Convolutions have the batch norms of a checkpoint in them; see `checkpoints.merge`.
"""

from __future__ import annotations

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from sam2_mlx.config import TinyViTConfig
from sam2_mlx.model.attention import heads_to_rows
from sam2_mlx.model.image_encoder.conv_stem import ConvStem
from sam2_mlx.model.layers import Depthwise, Linear, Pointwise
from sam2_mlx.ops.activations import gelu
from sam2_mlx.ops.derived import constant
from sam2_mlx.ops.windows import grid_to_windows, windows_to_grid

_EXPANSION = 4


class MBConv(nn.Module):
    """An inverted bottleneck: wider, convolved channel by channel, and back."""

    def __init__(self, dims: int) -> None:
        super().__init__()
        wide = dims * _EXPANSION
        self.conv1 = Pointwise(dims, wide)
        self.conv2 = Depthwise(wide)
        self.conv3 = Pointwise(wide, dims)

    def __call__(self, x: mx.array) -> mx.array:
        """(B, H, W, dims) to the same shape."""
        update = gelu(self.conv2(gelu(self.conv1(x))))
        return gelu(x + self.conv3(update))


class PatchMerging(nn.Module):
    """The step between two stages: another width, and half of the grid.

    Args:
        dims: input channels.
        out_dims: output channels.
        stride: 2 halves the grid, 1 keeps it.
    """

    def __init__(self, dims: int, out_dims: int, stride: int) -> None:
        super().__init__()
        self.conv1 = Pointwise(dims, out_dims)
        self.conv2 = Depthwise(out_dims, stride)
        self.conv3 = Pointwise(out_dims, out_dims)

    def __call__(self, x: mx.array) -> mx.array:
        """(B, H, W, dims) to (B, H/stride, W/stride, out_dims)."""
        return self.conv3(gelu(self.conv2(gelu(self.conv1(x)))))


class WindowAttention(nn.Module):
    """Self-attention within windows; scores have a learned bias for each distance.

    Args:
        dims: channels.
        heads: attention heads.
        window: side of a window in tokens.
    """

    def __init__(self, dims: int, heads: int, window: int) -> None:
        super().__init__()
        self._heads, self._window = heads, window
        self.norm = nn.LayerNorm(dims)
        self.qkv = Linear(dims, 3 * dims)
        self.proj = Linear(dims, dims)
        self.attention_biases = mx.zeros((heads, window * window))

    def __call__(self, x: mx.array) -> mx.array:
        """Attend within windows, (windows*window*window, dims)."""
        shape = (-1, self._window**2, self._heads, 3 * x.shape[1] // self._heads)
        # Each head's queries, keys and values lie side by side.
        qkv = self.qkv(self.norm(x)).reshape(shape)
        q, k, v = mx.split(qkv.transpose(0, 2, 1, 3), 3, axis=-1)
        bias = self.attention_biases[:, _distances(self._window)]
        scale = q.shape[-1] ** -0.5
        heads = mx.fast.scaled_dot_product_attention(q, k, v, scale=scale, mask=bias[None])
        return self.proj(heads_to_rows(heads))


@constant
def _distances(window: int) -> mx.array:
    """int32 (window**2, window**2): number of the distance between two places of a window."""
    y, x = (axis.ravel() for axis in np.mgrid[0:window, 0:window])
    down, across = np.abs(y[:, None] - y[None]), np.abs(x[:, None] - x[None])
    return mx.array((down * window + across).astype(np.int32))


class TokenMLP(nn.Module):
    """A norm and two linear layers."""

    def __init__(self, dims: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dims)
        self.fc1 = Linear(dims, _EXPANSION * dims)
        self.fc2 = Linear(_EXPANSION * dims, dims)

    def __call__(self, x: mx.array) -> mx.array:
        """(..., dims) to the same shape."""
        return self.fc2(gelu(self.fc1(self.norm(x))))


class TinyViTBlock(nn.Module):
    """Attention in windows, a convolution that joins them, and an MLP.

    Args:
        dims: channels.
        heads: attention heads.
        window: side of the attention window in tokens.

    Source: mobile_sam/modeling/tiny_vit_sam.py, TinyViTBlock.
    """

    def __init__(self, dims: int, heads: int, window: int) -> None:
        super().__init__()
        self._window = window
        self.attn = WindowAttention(dims, heads, window)
        self.local_conv = Depthwise(dims)
        self.mlp = TokenMLP(dims)

    def __call__(self, x: mx.array) -> mx.array:
        """(B, H, W, dims) to the same shape."""
        # The padding is added before the norm, so it does not stay zero.
        grid = (x.shape[1], x.shape[2])
        update = self.attn(grid_to_windows(x, grid, self._window))
        x = self.local_conv(x + windows_to_grid(update, grid, self._window).reshape(x.shape))
        return x + self.mlp(x)


class Stage(nn.Module):
    """The blocks of one width, and the step to the next.

    Args:
        blocks: what the stage computes.
        downsample: the step, or None after the last stage.
    """

    def __init__(self, blocks: list[nn.Module], downsample: PatchMerging | None) -> None:
        super().__init__()
        self.blocks = blocks
        if downsample is not None:
            self.downsample = downsample

    def __call__(self, x: mx.array) -> mx.array:
        """(B, H, W, C) to the input of the next stage."""
        for block in self.blocks:
            x = block(x)
        return self.downsample(x) if "downsample" in self else x


class TinyViT(nn.Module):
    """The image encoder's trunk.

    Source: Wu et al., "TinyViT" (arXiv 2207.10666); Zhang et al., "Faster Segment Anything"
    (arXiv 2306.14289); mobile_sam/modeling/tiny_vit_sam.py, TinyViT.
    """

    def __init__(self, config: TinyViTConfig) -> None:
        super().__init__()
        self.patch_embed = ConvStem(config.stage_dims[0])
        self.layers = [_stage(config, index) for index in range(len(config.stages))]

    def __call__(self, pixels: mx.array) -> list[mx.array]:
        """Encode a normalised picture, (B, S, S, 3), to [(B, S/16, S/16, C)]."""
        x = self.patch_embed(pixels)
        for layer in self.layers:
            x = layer(x)
        return [x]


def _stage(config: TinyViTConfig, index: int) -> Stage:
    dims, last = config.stage_dims[index], len(config.stages) - 1
    heads, window = config.num_heads[index], config.window_sizes[index]
    blocks: list[nn.Module] = [
        # The first stage has no attention.
        TinyViTBlock(dims, heads, window) if index else MBConv(dims)
        for _ in range(config.stages[index])
    ]
    if index == last:
        return Stage(blocks, None)
    # The last stage keeps the grid of the one before: stride 16, as the decoder wants it.
    stride = 1 if index == last - 1 else 2
    return Stage(blocks, PatchMerging(dims, config.stage_dims[index + 1], stride))
