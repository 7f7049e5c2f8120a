"""The image encoder: pictures in, a feature pyramid out."""

from __future__ import annotations

from dataclasses import dataclass

import mlx.core as mx
import mlx.nn as nn

from sam2_mlx.config import HieraConfig, ModelConfig, RepViTConfig, TinyViTConfig
from sam2_mlx.model.image_encoder.conv_neck import ConvNeck
from sam2_mlx.model.image_encoder.fpn import FpnNeck
from sam2_mlx.model.image_encoder.hiera import Hiera
from sam2_mlx.model.image_encoder.repvit import RepViT
from sam2_mlx.model.image_encoder.tiny_vit import TinyViT
from sam2_mlx.model.image_encoder.vit import ViT


@dataclass(frozen=True)
class ImageFeatures:
    """What the rest of the network sees of a picture.

    Attributes:
        coarse: (B, S/16, S/16, C) image embedding, before any memory.
        fine: features for the decoder at stride 4 (B, S/4, S/4, C/8) and 8 (B, S/8, S/8, C/4);
            none if the decoder reads none.
    """

    coarse: mx.array
    fine: tuple[mx.array, ...]

    def __getitem__(self, index: int) -> ImageFeatures:
        """The features of one picture of a batch, with batch size 1."""
        pick = slice(index, index + 1)
        return ImageFeatures(self.coarse[pick], tuple(level[pick] for level in self.fine))

    def arrays(self) -> list[mx.array]:
        """All arrays, for evaluation."""
        return [self.coarse, *self.fine]


class ImageEncoder(nn.Module):
    """Trunk and neck."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        encoder, dims = config.encoder, config.hidden_dim
        self.trunk: nn.Module
        self.neck: nn.Module
        if isinstance(encoder, HieraConfig):
            self.trunk, self.neck = Hiera(encoder), FpnNeck(encoder.stage_dims, dims)
        elif isinstance(encoder, RepViTConfig):
            self.trunk, self.neck = RepViT(encoder), FpnNeck(encoder.stage_dims, dims)
        elif isinstance(encoder, TinyViTConfig):
            self.trunk, self.neck = TinyViT(encoder), ConvNeck(encoder.stage_dims[-1], dims)
        else:
            self.trunk, self.neck = ViT(encoder), ConvNeck(encoder.embed_dim, dims)

    def __call__(self, pixels: mx.array) -> tuple[mx.array, ...]:
        """(B, S, S, 3) normalised pixels to levels at stride 4, 8 and 16, or 16 alone."""
        levels: tuple[mx.array, ...] = self.neck(self.trunk(pixels))
        return levels
