"""The two-way transformer: prompt tokens and image tokens attend to each other."""

from __future__ import annotations

from dataclasses import dataclass

import mlx.core as mx
import mlx.nn as nn

from sam2_mlx.config import DecoderConfig
from sam2_mlx.model.attention import Attention, GridProjections
from sam2_mlx.model.layers import MLP, Linear, add_norm


@dataclass(frozen=True)
class Places:
    """What is added to tokens and image where attention asks where something is.

    Attributes:
        tokens: (B*T, C).
        count: T.
        image: (1, N, C).
    """

    tokens: mx.array
    count: int
    image: mx.array


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
        self._image_side = GridProjections(heads, (True, False, True))

    def _image_layers(self) -> tuple[Linear, Linear, Linear]:
        towards, back = self.cross_attn_token_to_image, self.cross_attn_image_to_token
        return towards.k_proj, towards.v_proj, back.q_proj

    def __call__(
        self, tokens: mx.array, placed: mx.array, image: mx.array, places: Places
    ) -> tuple[mx.array, mx.array, mx.array]:
        """Update tokens and image.

        Args:
            tokens: (B*T, C).
            placed: the same with their places added.
            image: (B or 1, N, C).
            places: of tokens and image.

        Returns:
            Tokens, the same with their places added, and image (B, N, C).
        """
        count = places.count
        update = self._among_tokens(tokens, placed, count)
        tokens = self.norm1(update) if self._first else add_norm(tokens, update, self.norm1)[1]

        k, v, q = self._image_side(self._image_layers(), image, places.image)
        towards, back = self.cross_attn_token_to_image, self.cross_attn_image_to_token
        update = towards(towards.queries(tokens + places.tokens, count), k, v)
        tokens = add_norm(tokens, update, self.norm2)[1]
        tokens = add_norm(tokens, self.mlp(tokens), self.norm3)[1]

        placed = tokens + places.tokens
        update = back(q, *back.keys_and_values(placed, tokens, count))
        update = update.reshape(-1, *image.shape[1:])
        return tokens, placed, add_norm(image, update, self.norm4)[1]

    def _among_tokens(self, tokens: mx.array, placed: mx.array, count: int) -> mx.array:
        read = tokens if self._first else placed
        attention = self.self_attn
        keys, values = attention.keys_and_values(read, tokens, count)
        return attention(attention.queries(read, count), keys, values)


class TwoWayTransformer(nn.Module):
    """All blocks, and a last look of the tokens at the image.

    Source: sam2/modeling/sam/transformer.py, TwoWayTransformer.
    """

    def __init__(self, dims: int, config: DecoderConfig) -> None:
        super().__init__()
        self.layers = [
            TwoWayAttentionBlock(dims, config, first=i == 0) for i in range(config.num_layers)
        ]
        self.final_attn_token_to_image = Attention(dims, config.num_heads, dims // 2)
        self.norm_final_attn = nn.LayerNorm(dims)
        self._image_side = GridProjections(config.num_heads, (True, False))

    def _image_layers(self) -> tuple[Linear, Linear]:
        return self.final_attn_token_to_image.k_proj, self.final_attn_token_to_image.v_proj

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
        shape = tokens.shape
        rows = placed = tokens.reshape(-1, shape[2])
        places = Places(rows, shape[1], image_positions)
        for layer in self.layers:
            rows, placed, image = layer(rows, placed, image, places)
        last = self.final_attn_token_to_image
        k, v = self._image_side(self._image_layers(), image, image_positions)
        update = last(last.queries(placed, shape[1]), k, v)
        return add_norm(rows, update, self.norm_final_attn)[1].reshape(shape), image
