"""The feature pyramid neck: one width for all stages, and context from the coarsest."""

from __future__ import annotations

import mlx.core as mx
import mlx.nn as nn

from sam2_mlx.model.layers import Pointwise


class Lateral(nn.Module):
    """The 1x1 convolution of one pyramid level."""

    def __init__(self, in_dims: int, out_dims: int) -> None:
        super().__init__()
        self.conv = Pointwise(in_dims, out_dims)

    def __call__(self, x: mx.array) -> mx.array:
        """(B, H, W, in_dims) to (B, H, W, out_dims)."""
        return self.conv(x)


class FpnNeck(nn.Module):
    """Feature pyramid whose two finest levels are lateral only.

    Args:
        stage_dims: channels of the trunk's stages, finest first.
        dims: channels of the pyramid.

    Source: sam2/modeling/backbones/image_encoder.py, FpnNeck with fpn_top_down_levels [2, 3]
    and ImageEncoder with scalp 1: the coarsest level lends its context and is dropped.
    """

    def __init__(self, stage_dims: tuple[int, ...], dims: int) -> None:
        super().__init__()
        # Stored coarse first, as in every checkpoint.
        self.convs = [Lateral(stage, dims) for stage in reversed(stage_dims)]

    def __call__(self, stages: list[mx.array]) -> tuple[mx.array, mx.array, mx.array]:
        """Combine the trunk's four stages, finest first.

        Returns:
            Levels at stride 4, 8 and 16, each (B, H, W, dims).
        """
        fine, middle, coarse, coarsest = stages
        context = _doubled(self.convs[0](coarsest))
        return self.convs[3](fine), self.convs[2](middle), self.convs[1](coarse) + context


def _doubled(x: mx.array) -> mx.array:
    """(B, h, w, C) to (B, 2h, 2w, C), every token four times."""
    batch, height, width, dims = x.shape
    blocks = x.reshape(batch, height, 1, width, 1, dims)
    blocks = mx.broadcast_to(blocks, (batch, height, 2, width, 2, dims))
    return blocks.reshape(batch, 2 * height, 2 * width, dims)
