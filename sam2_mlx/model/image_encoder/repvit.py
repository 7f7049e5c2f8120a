"""RepViT, the image encoder of EdgeTAM: depthwise convolutions and pointwise MLPs, no attention.

In training each 3x3 convolution has a 1x1 and an identity beside it, and every convolution a batch
norm. Here they are the one convolution that they amount to; a checkpoint is read that way.
"""

from __future__ import annotations

import mlx.core as mx
import mlx.nn as nn

from sam2_mlx.config import RepViTConfig
from sam2_mlx.model.image_encoder.conv_stem import ConvStem
from sam2_mlx.model.layers import Depthwise, Pointwise
from sam2_mlx.ops.activations import gelu, relu
from sam2_mlx.ops.independent import by_row


class SqueezeExcite(nn.Module):
    """Channels weighted by what the picture holds as a whole."""

    def __init__(self, dims: int, hidden_dims: int) -> None:
        super().__init__()
        self.fc1 = Pointwise(dims, hidden_dims)
        self.fc2 = Pointwise(hidden_dims, dims)

    def __call__(self, x: mx.array) -> mx.array:
        """(B, H, W, dims) to the same shape."""
        mean = x.astype(mx.float32).mean(axis=(1, 2), keepdims=True).astype(x.dtype)
        return x * mx.sigmoid(self.fc2(relu(self.fc1(mean))))


class ChannelMixer(nn.Module):
    """A pointwise MLP, added to what it reads."""

    def __init__(self, dims: int, hidden_dims: int) -> None:
        super().__init__()
        self.conv1 = Pointwise(dims, hidden_dims)
        self.conv2 = Pointwise(hidden_dims, dims)

    @by_row
    def __call__(self, x: mx.array) -> mx.array:
        """(..., dims) to the same shape."""
        return x + self.conv2(gelu(self.conv1(x)))


class RepViTBlock(nn.Module):
    """Tokens mixed with their neighbours, then channels with each other.

    Args:
        dims: channels.
        expansion: hidden width of the MLP over `dims`.
        squeeze_dims: hidden width of the weighting of channels in between; None is none.

    Source: timm/models/repvit.py, RepViTBlock with `legacy`.
    """

    def __init__(self, dims: int, expansion: int, squeeze_dims: int | None = None) -> None:
        super().__init__()
        self.token_mixer = Depthwise(dims)
        if squeeze_dims is not None:
            self.se = SqueezeExcite(dims, squeeze_dims)
        self.channel_mixer = ChannelMixer(dims, expansion * dims)

    def __call__(self, x: mx.array) -> mx.array:
        """(B, H, W, dims) to the same shape."""
        x = self.token_mixer(x)
        return self.channel_mixer(self.se(x) if "se" in self else x)


class Downsample(nn.Module):
    """The step between two stages: half of the grid, and another width.

    Args:
        dims: input channels.
        out_dims: output channels.
        expansion: hidden width of the MLPs over their channels.
    """

    def __init__(self, dims: int, out_dims: int, expansion: int) -> None:
        super().__init__()
        self.pre_block = RepViTBlock(dims, expansion)
        self.spatial_downsample = Depthwise(dims, stride=2)
        self.channel_downsample = Pointwise(dims, out_dims)
        self.ffn = ChannelMixer(out_dims, expansion * out_dims)

    def __call__(self, x: mx.array) -> mx.array:
        """(B, H, W, dims) to (B, H/2, W/2, out_dims)."""
        x = self.spatial_downsample(self.pre_block(x))
        return self.ffn(self.channel_downsample(x))


class RepViTStage(nn.Module):
    """Blocks of one width, and the step that leads to them."""

    def __init__(self, config: RepViTConfig, index: int) -> None:
        super().__init__()
        dims, expansion = config.stage_dims[index], config.expansion
        if index:
            self.downsample = Downsample(config.stage_dims[index - 1], dims, expansion)
        # Every other block weights its channels.
        self.blocks = [
            RepViTBlock(dims, expansion, config.squeeze_dims[index] if number % 2 == 0 else None)
            for number in range(config.stages[index])
        ]

    def __call__(self, x: mx.array) -> mx.array:
        """(B, H, W, dims of the stage before) to this stage's map."""
        if "downsample" in self:
            x = self.downsample(x)
        for block in self.blocks:
            x = block(x)
        return x


class RepViT(nn.Module):
    """A stem and stages of blocks, each with half of the grid of the one before.

    Source: Wang et al., "RepViT: Revisiting Mobile CNN From ViT Perspective" (CVPR 2024);
    timm/models/repvit.py, RepVit, as repvit_m1.
    """

    def __init__(self, config: RepViTConfig) -> None:
        super().__init__()
        self.stem = ConvStem(config.stage_dims[0])
        self.stages = [RepViTStage(config, index) for index in range(len(config.stages))]

    def __call__(self, pixels: mx.array) -> list[mx.array]:
        """(B, S, S, 3) normalised pixels to the maps of all stages, finest first."""
        x, maps = self.stem(pixels), []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps
