"""The two-way transformer: prompt tokens and image tokens attend to each other."""

from __future__ import annotations

import mlx.core as mx
import mlx.nn as nn

from sam2_mlx.config import DecoderConfig
from sam2_mlx.model.attention import Attention
from sam2_mlx.model.layers import MLP


class TwoWayAttentionBlock(nn.Module):
    """Tokens to themselves, tokens to image, token MLP, image to tokens.

    Args:
        dims: channels of tokens and image.
        config: heads and widths.
        first: the first block's self-attention adds no positions.

    Source: sam2/modeling/sam/transformer.py, TwoWayAttentionBlock.
    """

    def __init__(self, dims: int, config: DecoderConfig, first: bool) -> None:
        super().__init__()
        self._first = first
        heads = config.num_heads
        self.self_attn = Attention(dims, heads)
        self.norm1 = nn.LayerNorm(dims)
        self.cross_attn_token_to_image = Attention(dims, heads, dims // 2)
        self.norm2 = nn.LayerNorm(dims)
        self.mlp = MLP((dims, config.mlp_dim, dims))
        self.norm3 = nn.LayerNorm(dims)
        self.cross_attn_image_to_token = Attention(dims, heads, dims // 2)
        self.norm4 = nn.LayerNorm(dims)

    def __call__(
        self,
        tokens: mx.array,
        image: mx.array,
        token_positions: mx.array,
        image_positions: mx.array,
    ) -> tuple[mx.array, mx.array]:
        """Update tokens (B, T, C) and image (B, N, C)."""
        if self._first:
            tokens = self.self_attn(tokens, tokens, tokens)
        else:
            placed = tokens + token_positions
            tokens = tokens + self.self_attn(placed, placed, tokens)
        tokens = self.norm1(tokens)
        placed_image = image + image_positions
        tokens = tokens + self.cross_attn_token_to_image(
            tokens + token_positions, placed_image, image
        )
        tokens = self.norm2(tokens)
        tokens = self.norm3(tokens + self.mlp(tokens))
        placed = tokens + token_positions
        image = image + self.cross_attn_image_to_token(placed_image, placed, tokens)
        return tokens, self.norm4(image)


class TwoWayTransformer(nn.Module):
    """All blocks, and a last look of the tokens at the image.

    Args:
        dims: channels of tokens and image.
        config: number of blocks, heads and widths.

    Source: sam2/modeling/sam/transformer.py, TwoWayTransformer.
    """

    def __init__(self, dims: int, config: DecoderConfig) -> None:
        super().__init__()
        self.layers = [
            TwoWayAttentionBlock(dims, config, first=i == 0) for i in range(config.num_layers)
        ]
        self.final_attn_token_to_image = Attention(dims, config.num_heads, dims // 2)
        self.norm_final_attn = nn.LayerNorm(dims)

    def __call__(
        self, image: mx.array, image_positions: mx.array, tokens: mx.array
    ) -> tuple[mx.array, mx.array]:
        """Run the blocks.

        Args:
            image: (B, N, C) image tokens.
            image_positions: (1, N, C).
            tokens: (B, T, C) output and prompt tokens; also their own positions.

        Returns:
            Updated tokens (B, T, C) and image tokens (B, N, C).
        """
        positions = tokens
        for layer in self.layers:
            tokens, image = layer(tokens, image, positions, image_positions)
        seen = self.final_attn_token_to_image(tokens + positions, image + image_positions, image)
        return self.norm_final_attn(tokens + seen), image
