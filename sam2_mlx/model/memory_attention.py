"""Memory attention: the current frame looks at itself and at what is remembered."""

from __future__ import annotations

import mlx.core as mx
import mlx.nn as nn

from sam2_mlx.config import MemoryConfig
from sam2_mlx.model.attention import RoPEAttention
from sam2_mlx.model.layers import Linear, add_norm
from sam2_mlx.ops.activations import relu
from sam2_mlx.ops.independent import by_grid, by_row
from sam2_mlx.ops.rope import MemoryLayout
from sam2_mlx.ops.windows import Grid


class MemoryAttentionLayer(nn.Module):
    """Self-attention, cross-attention to the memory, MLP; each normalised first.

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

    @by_grid
    def see_itself(self, x: mx.array, update: mx.array, grid: Grid) -> tuple[mx.array, mx.array]:
        """Let the frame's tokens attend to each other.

        Args:
            x: (B*N, C), or (N, C) while the frame looks the same to every object.
            update: what is to be added to x.
            grid: rows and columns of the frame's tokens.

        Returns:
            x with the update added, and the next update.
        """
        x, normed = add_norm(x, update, self.norm1)
        return x, self.self_attn(normed, normed, normed, MemoryLayout(1, grid[0]), grid)

    @by_grid
    def see_memory(
        self,
        x: mx.array,
        update: mx.array,
        memory: mx.array,
        placed_memory: mx.array,
        layout: MemoryLayout,
        grid: Grid,
    ) -> tuple[mx.array, mx.array]:
        """Let the frame's tokens attend to the memory; then the MLP.

        Args:
            x: (B*N, C), or (N, C) while the frame looks the same to every object.
            update: what is to be added to x.
            memory: (B, K, D).
            placed_memory: the same with positions added.
            layout: how the K keys are composed.
            grid: rows and columns of the frame's tokens.

        Returns:
            x with the update and the memory added, (B*N, C), and the next update.
        """
        x, normed = add_norm(x, update, self.norm2)
        values, keys = (tokens.reshape(-1, tokens.shape[2]) for tokens in (memory, placed_memory))
        update = self.cross_attn_image(normed, keys, values, layout, grid)
        x, normed = add_norm(repeated(x, len(update)), update, self.norm3)
        return x, self._feed_forward(normed)

    @by_row
    def _feed_forward(self, x: mx.array) -> mx.array:
        return self.linear2(relu(self.linear1(x)))


def repeated(x: mx.array, rows: int) -> mx.array:
    """Rows that all of a batch share, one behind the other for each of it."""
    return x if len(x) == rows else mx.tile(x, (rows // len(x), 1))


class MemoryAttention(nn.Module):
    """A stack of memory-attention layers.

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
        grid: Grid,
    ) -> mx.array:
        """Condition a frame on its memory.

        Args:
            x: (B*N, C) tokens of the frame, or (N, C) where all objects share it.
            x_positions: (N, C) their sine positions.
            memory: (B, K, D) memory tokens.
            memory_positions: (1 or B, K, D) their positions in space and time.
            layout: which memory tokens are rotated.
            grid: rows and columns of the frame's tokens.

        Returns:
            (B*N, C).
        """
        update = repeated(0.1 * x_positions, len(x))
        placed_memory = memory + memory_positions
        for layer in self.layers:
            x, update = layer.see_itself(x, update, grid)
            x, update = layer.see_memory(x, update, memory, placed_memory, layout, grid)
        return add_norm(x, update, self.norm)[1]
