"""The image encoder: pictures in, a feature pyramid out."""

from __future__ import annotations

from dataclasses import dataclass

import mlx.core as mx
import mlx.nn as nn

from sam2_mlx.config import ModelConfig
from sam2_mlx.model.image_encoder.fpn import FpnNeck
from sam2_mlx.model.image_encoder.hiera import Hiera


@dataclass(frozen=True)
class ImageFeatures:
    """What the rest of the network sees of a picture.

    Attributes:
        coarse: (B, S/16, S/16, C) image embedding, before any memory.
        fine: features for the decoder at stride 4 (B, S/4, S/4, C/8) and 8 (B, S/8, S/8, C/4).
    """

    coarse: mx.array
    fine: tuple[mx.array, mx.array]

    def __getitem__(self, index: int) -> ImageFeatures:
        """The features of one picture of a batch, with batch size 1."""
        pick = slice(index, index + 1)
        return ImageFeatures(self.coarse[pick], (self.fine[0][pick], self.fine[1][pick]))

    def arrays(self) -> list[mx.array]:
        """All arrays, for evaluation."""
        return [self.coarse, *self.fine]


class ImageEncoder(nn.Module):
    """Trunk and neck.

    Args:
        config: the model's dimensions.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.trunk = Hiera(config.encoder)
        self.neck = FpnNeck(config.encoder.stage_dims, config.hidden_dim)

    def __call__(self, pixels: mx.array) -> tuple[mx.array, mx.array, mx.array]:
        """(B, S, S, 3) normalised pixels to levels at stride 4, 8 and 16."""
        return self.neck(self.trunk(pixels))
