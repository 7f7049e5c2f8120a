"""Memory attention: the current frame looks at itself and at what is remembered."""

from __future__ import annotations

import mlx.core as mx
import mlx.nn as nn

from sam2_mlx.config import MemoryConfig
from sam2_mlx.model.attention import RoPEAttention
from sam2_mlx.model.layers import Linear, add_norm
from sam2_mlx.ops.lanes import spread_members, spread_rows
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

    def see_itself(
        self, x: mx.array, normed: mx.array, layout: MemoryLayout
    ) -> tuple[mx.array, mx.array]:
        """Update the frame's tokens by each other.

        Args:
            x: (B*N, C), or (N, C) while the frame looks the same to every object.
            normed: `norm1` of x.
            layout: N tokens a grid.

        Returns:
            x and its `norm2`.
        """
        update = self.self_attn(normed, normed, normed, MemoryLayout(1, layout.grid))
        return _add_norm(x, update, self.norm2)

    def see_memory(
        self,
        x: mx.array,
        normed: mx.array,
        memory: mx.array,
        placed_memory: mx.array,
        layout: MemoryLayout,
        following: nn.LayerNorm,
    ) -> tuple[mx.array, mx.array]:
        """Update the frame's tokens by the memory, and norm them for what follows.

        Args:
            x: (B*N, C), or (N, C) while the frame looks the same to every object.
            normed: `norm2` of x.
            memory: (B*K, D).
            placed_memory: the same with positions added.
            layout: how the K keys are composed.
            following: the norm that reads the result.

        Returns:
            (B*N, C), and its norm.
        """
        update = self.cross_attn_image(normed, placed_memory, memory, layout)
        x, normed = _add_norm(_repeated(x, len(update)), update, self.norm3)
        return spread_rows(lambda x, y: self._feed_forward(x, y, following), x, normed)

    def _feed_forward(
        self, x: mx.array, normed: mx.array, following: nn.LayerNorm
    ) -> tuple[mx.array, mx.array]:
        return add_norm(x, self.linear2(nn.relu(self.linear1(normed))), following)


def _add_norm(x: mx.array, update: mx.array, norm: nn.LayerNorm) -> tuple[mx.array, mx.array]:
    return spread_rows(lambda x, y: add_norm(x, y, norm), x, update)


def _repeated(x: mx.array, rows: int) -> mx.array:
    """Rows that all of a batch share, one behind the other for each of it."""
    return x if len(x) == rows else mx.tile(x, (rows // len(x), 1))


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
            x: (B*N, C) tokens of the frame, or (N, C) where all objects share it.
            x_positions: (N, C) their sine positions.
            memory: (B, K, D) memory tokens.
            memory_positions: (1 or B, K, D) their positions in space and time.
            layout: which memory tokens are rotated.

        Returns:
            (B*N, C).
        """
        norms = [*(layer.norm1 for layer in self.layers), self.norm]
        x, normed = _add_norm(x, _repeated(0.1 * x_positions, len(x)), norms[0])
        # As long as all objects share the frame, it looks at itself once for all of them.
        x, normed = self.layers[0].see_itself(x, normed, layout)

        def remember(x: mx.array, normed: mx.array, memory: mx.array, placed: mx.array) -> mx.array:
            memory, placed = (array.reshape(-1, array.shape[2]) for array in (memory, placed))
            for index, (layer, following) in enumerate(zip(self.layers, norms[1:], strict=True)):
                if index:
                    x, normed = layer.see_itself(x, normed, layout)
                x, normed = layer.see_memory(x, normed, memory, placed, layout, following)
            return normed

        return spread_members(remember, layout.grid, (x, normed), memory, memory + memory_positions)
