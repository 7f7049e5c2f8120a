"""The prompt encoder: points, boxes and masks as tokens and as a dense embedding."""

from __future__ import annotations

import math

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from sam2_mlx.model.layers import Conv2d, Pointwise, Table, conv_norm
from sam2_mlx.ops.activations import gelu
from sam2_mlx.ops.derived import Derived
from sam2_mlx.ops.precision import exact_matmul
from sam2_mlx.prompts import PADDING

_MASK_CHANNELS = 16


class RandomPositions(nn.Module):
    """Positions as sines of random projections; half of the channels are cosines.

    Source: sam2/modeling/position_encoding.py, PositionEmbeddingRandom.
    """

    def __init__(self, dims: int) -> None:
        super().__init__()
        self.positional_encoding_gaussian_matrix = mx.zeros((2, dims // 2))

    def __call__(self, places: mx.array) -> mx.array:
        """Encode places (..., 2) as (x, y) in [0, 1]; returns float32 (..., dims).

        Always float32: the angles reach tens of radians, which half precision cannot hold.
        """
        matrix = self.positional_encoding_gaussian_matrix.astype(mx.float32)
        angles = (2 * math.pi) * exact_matmul(2 * places.astype(mx.float32) - 1, matrix)
        return mx.concatenate([mx.sin(angles), mx.cos(angles)], axis=-1)


class MaskDownscaling(nn.Module):
    """Mask logits at stride 4 to an embedding at stride 16."""

    def __init__(self, dims: int) -> None:
        super().__init__()
        quarter = _MASK_CHANNELS // 4
        self.conv1 = Conv2d(1, quarter, kernel_size=2, stride=2)
        self.norm1 = nn.LayerNorm(quarter, eps=1e-6)
        self.conv2 = Conv2d(quarter, _MASK_CHANNELS, kernel_size=2, stride=2)
        self.norm2 = nn.LayerNorm(_MASK_CHANNELS, eps=1e-6)
        self.conv3 = Pointwise(_MASK_CHANNELS, dims)

    def __call__(self, x: mx.array) -> mx.array:
        """(B, 4h, 4w, 1) to (B, h, w, dims)."""
        x = gelu(conv_norm(x, self.conv1, self.norm1))
        return self.conv3(gelu(conv_norm(x, self.conv2, self.norm2)))


class PromptEncoder(nn.Module):
    """Embeds prompts given in the pixels of the model's square input.

    Args:
        dims: channels of the embeddings.
        image_size: side of the model input in pixels.

    Source: sam2/modeling/sam/prompt_encoder.py, PromptEncoder.
    """

    def __init__(self, dims: int, image_size: int) -> None:
        super().__init__()
        self._image_size = image_size
        self.pe_layer = RandomPositions(dims)
        self.point_embeddings = [Table(1, dims) for _ in range(4)]
        self.not_a_point_embed = Table(1, dims)
        self.no_mask_embed = Table(1, dims)
        self.mask_downscaling = MaskDownscaling(dims)
        self._grid_positions: Derived[mx.array] = Derived()

    def grid_positions(self) -> mx.array:
        """The position embedding of the image grid, (1, grid*grid, dims), in the model's dtype."""
        matrix = self.pe_layer.positional_encoding_gaussian_matrix

        def make() -> mx.array:
            side = self._image_size // 16
            place = (np.arange(side, dtype=np.float32) + np.float32(0.5)) / np.float32(side)
            places = np.stack(np.meshgrid(place, place), axis=-1).reshape(1, side * side, 2)
            return self.pe_layer(mx.array(places)).astype(matrix.dtype)

        return self._grid_positions.get(make, matrix)

    def points(self, coords: mx.array, labels: mx.array, padded: bool = True) -> mx.array:
        """Embed points; a box is its two corners with labels 2 and 3.

        Args:
            coords: (B, P, 2) as (x, y) in pixels of the model input.
            labels: (B, P) integers: 1 positive, 0 negative, 2 and 3 box corners, -1 padding.
            padded: close the prompt with a padding token.

        Returns:
            (B, P+1, dims), or (B, P, dims) if not padded.
        """
        batch = coords.shape[0]
        coords = coords.astype(mx.float32)
        if padded:
            coords = mx.concatenate([coords, mx.zeros((batch, 1, 2))], axis=1)
            labels = mx.concatenate([labels, mx.full((batch, 1), PADDING, labels.dtype)], axis=1)
        kinds = mx.concatenate([table.weight for table in self.point_embeddings], axis=0)
        places = self.pe_layer((coords + 0.5) / self._image_size).astype(kinds.dtype)
        embedded = places + kinds[mx.maximum(labels, 0)]
        return mx.where((labels == PADDING)[..., None], self.not_a_point_embed.weight, embedded)

    def nothing(self, batch: int) -> mx.array:
        """The prompt tokens of no prompt, (batch, 2, dims): a padding point and the token after it.

        What `points` gives for one point that is padding.
        """
        weight = self.not_a_point_embed.weight
        return mx.broadcast_to(weight, (batch, 2, weight.shape[1]))

    def dense(self, mask_logits: mx.array | None) -> mx.array:
        """Embed mask logits (B, 1, S/4, S/4) as (B, S/16, S/16, dims); without any, (1, dims)."""
        if mask_logits is None:
            weight: mx.array = self.no_mask_embed.weight
            return weight
        dtype = self.no_mask_embed.weight.dtype
        # One channel: moving it from second to last place is only a reshape.
        batch, _, height, width = mask_logits.shape
        return self.mask_downscaling(mask_logits.reshape(batch, height, width, 1).astype(dtype))
