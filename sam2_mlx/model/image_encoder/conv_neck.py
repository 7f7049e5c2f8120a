"""The neck of an encoder with one level."""

from __future__ import annotations

import mlx.core as mx
import mlx.nn as nn

from sam2_mlx.model.layers import Conv2d


class ConvNeck(nn.Module):
    """Two convolutions with norms, to the width of the image embedding.

    Source: segment_anything/modeling/image_encoder.py, ImageEncoderViT.neck.
    """

    def __init__(self, in_dims: int, dims: int) -> None:
        super().__init__()
        self.conv1 = Conv2d(in_dims, dims, kernel_size=1, bias=False)
        self.norm1 = nn.LayerNorm(dims, eps=1e-6)
        self.conv2 = Conv2d(dims, dims, kernel_size=3, padding=1, bias=False)
        self.norm2 = nn.LayerNorm(dims, eps=1e-6)

    def __call__(self, stages: list[mx.array]) -> tuple[mx.array]:
        """The last stage of a trunk, (B, h, w, in_dims), to (B, h, w, dims)."""
        x = self.norm1(self.conv1(stages[-1]))
        return (self.norm2(self.conv2(x)),)
