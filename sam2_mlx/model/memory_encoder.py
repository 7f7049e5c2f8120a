"""The memory encoder: a frame's features and its mask become memory tokens."""

from __future__ import annotations

import mlx.core as mx
import mlx.nn as nn

from sam2_mlx.model.layers import Conv2d, Linear, Pointwise, bias_norm, conv_norm
from sam2_mlx.ops.activations import gelu
from sam2_mlx.ops.independent import by_band, by_row


class MaskDownsampler(nn.Module):
    """Four strided convolutions from the full-size mask to stride 16."""

    def __init__(self, dims: int) -> None:
        super().__init__()
        widths = (1, 4, 16, 64, 256)
        for i, (a, b) in enumerate(zip(widths[:-1], widths[1:], strict=True), start=1):
            self[f"conv{i}"] = Conv2d(a, b, kernel_size=3, stride=2, padding=1)
            self[f"norm{i}"] = nn.LayerNorm(b, eps=1e-6)
        self.conv5 = Pointwise(widths[-1], dims)

    @by_band(16)
    def __call__(self, x: mx.array) -> mx.array:
        """(B, S, S, 1) to (B, S/16, S/16, dims)."""
        for i in range(1, 5):
            x = gelu(conv_norm(x, self[f"conv{i}"], self[f"norm{i}"]))
        return self.conv5(x)


class CXBlock(nn.Module):
    """A ConvNeXt block: depthwise 7x7, then a pointwise MLP, scaled and added.

    Source: Liu et al., "A ConvNet for the 2020s"; sam2/modeling/memory_encoder.py, CXBlock.
    """

    def __init__(self, dims: int) -> None:
        super().__init__()
        self.dwconv = Conv2d(dims, dims, kernel_size=7, padding=3, groups=dims)
        self.norm = nn.LayerNorm(dims, eps=1e-6)
        self.pwconv1 = Linear(dims, 4 * dims)
        self.pwconv2 = Linear(4 * dims, dims)
        self.gamma = mx.zeros((dims,))

    def __call__(self, x: mx.array) -> mx.array:
        """(B, H, W, dims) to the same shape."""
        dims = x.shape[-1]
        update = self.dwconv.without_bias(x).reshape(-1, dims)
        return self._finish(x.reshape(-1, dims), update).reshape(x.shape)

    @by_row
    def _finish(self, x: mx.array, update: mx.array) -> mx.array:
        update = bias_norm(update, self.dwconv.bias, self.norm)
        update = self.pwconv2(gelu(self.pwconv1(update)))
        # Folding puts the layer scale into the last projection.
        return x + (self.gamma * update if "gamma" in self else update)


class Fuser(nn.Module):
    """A stack of ConvNeXt blocks."""

    def __init__(self, dims: int, count: int) -> None:
        super().__init__()
        self.layers = [CXBlock(dims) for _ in range(count)]

    def __call__(self, x: mx.array) -> mx.array:
        """(B, H, W, dims) to the same shape."""
        for layer in self.layers:
            x = layer(x)
        return x


class MemoryEncoder(nn.Module):
    """Fuses image features and a mask.

    Source: sam2/modeling/memory_encoder.py, MemoryEncoder.
    """

    def __init__(self, in_dims: int, out_dims: int, fuser_layers: int) -> None:
        super().__init__()
        self.mask_downsampler = MaskDownsampler(in_dims)
        self.pix_feat_proj = Pointwise(in_dims, in_dims)
        self.fuser = Fuser(in_dims, fuser_layers)
        self.out_proj = Pointwise(in_dims, out_dims)

    def __call__(self, coarse: mx.array, mask: mx.array) -> mx.array:
        """Encode one mask per object.

        Args:
            coarse: (B or 1, S/16, S/16, in_dims) image embedding without memory.
            mask: (B, S, S, 1) mask, already scaled.

        Returns:
            (B, S/16, S/16, out_dims).
        """
        return self.out_proj(self.fuser(self.pix_feat_proj(coarse) + self.mask_downsampler(mask)))
