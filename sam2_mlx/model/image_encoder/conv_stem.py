"""The stem of the convolutional encoders."""

from __future__ import annotations

import mlx.core as mx
import mlx.nn as nn

from sam2_mlx.model.layers import Conv2d
from sam2_mlx.ops.activations import gelu


class ConvStem(nn.Module):
    """Two strided convolutions: one token for 4x4 pixels."""

    def __init__(self, dims: int) -> None:
        super().__init__()
        self.conv1 = Conv2d(3, dims // 2, kernel_size=3, stride=2, padding=1)
        self.conv2 = Conv2d(dims // 2, dims, kernel_size=3, stride=2, padding=1)

    def __call__(self, x: mx.array) -> mx.array:
        """(B, S, S, 3) to (B, S/4, S/4, dims)."""
        return self.conv2(gelu(self.conv1(x)))
