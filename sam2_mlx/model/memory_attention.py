"""Memory attention: the current frame looks at itself and at what is remembered."""

from __future__ import annotations

import mlx.core as mx
import mlx.nn as nn

from sam2_mlx.config import MemoryConfig
from sam2_mlx.model.attention import RoPEAttention
from sam2_mlx.model.layers import Linear
from sam2_mlx.ops.lanes import spread_tokens
from sam2_mlx.ops.rope import MemoryLayout


class MemoryAttentionLayer(nn.Module):
    """Self-attention, cross-attention to the memory, MLP; each normalised first.

    Args:
        dims: channels of the frame's tokens.
        config: the memory's dimensions.

    Source: sam2/modeling/memory_attention.py, MemoryAttentionLayer.
    """

    def __init__(self, dims: int, config: MemoryConfig) -> None:
        super().__init__()
        heads, theta = config.num_heads, config.rope_theta
        self.self_attn = RoPEAttention(dims, heads, dims, theta)
        self.cross_attn_image = RoPEAttention(dims, heads, config.dim, theta)
        self.linear1 = Linear(dims, config.feedforward_dim)
        self.linear2 = Linear(config.feedforward_dim, dims)
        self.norm1 = nn.LayerNorm(dims)
        self.norm2 = nn.LayerNorm(dims)
        self.norm3 = nn.LayerNorm(dims)

    def __call__(
        self, x: mx.array, memory: mx.array, placed_memory: mx.array, layout: MemoryLayout
    ) -> mx.array:
        """Update x (B or 1, N, C) with memory (B, K, D) and the same with positions added."""
        normed = spread_tokens(self.norm1, x)
        x = x + self.self_attn(normed, normed, normed, MemoryLayout(1, x.shape[1]))
        # Before the first cross-attention a frame looks the same to every object, so x may
        # still have batch 1 here and grows to the memory's batch in the sum.
        x = x + self.cross_attn_image(spread_tokens(self.norm2, x), placed_memory, memory, layout)
        return spread_tokens(self._feed_forward, x)

    def _feed_forward(self, x: mx.array) -> mx.array:
        return x + self.linear2(nn.relu(self.linear1(self.norm3(x))))


class MemoryAttention(nn.Module):
    """A stack of memory-attention layers.

    Args:
        dims: channels of the frame's tokens.
        config: the memory's dimensions.

    Source: sam2/modeling/memory_attention.py, MemoryAttention.
    """

    def __init__(self, dims: int, config: MemoryConfig) -> None:
        super().__init__()
        self.layers = [MemoryAttentionLayer(dims, config) for _ in range(config.num_layers)]
        self.norm = nn.LayerNorm(dims)

    def __call__(
        self,
        x: mx.array,
        x_positions: mx.array,
        memory: mx.array,
        memory_positions: mx.array,
        layout: MemoryLayout,
    ) -> mx.array:
        """Condition a frame on its memory.

        Args:
            x: (B or 1, N, C) tokens of the frame.
            x_positions: (1, N, C) their sine positions.
            memory: (B, K, D) memory tokens.
            memory_positions: (1 or B, K, D) their positions in space and time.
            layout: which memory tokens are rotated.

        Returns:
            (B, N, C).
        """
        x = x + 0.1 * x_positions
        placed = memory + memory_positions
        for layer in self.layers:
            x = layer(x, memory, placed, layout)
        return self.norm(x)
