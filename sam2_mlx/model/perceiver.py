"""The perceiver of EdgeTAM: a frame's memory, a map of tokens, becomes a few hundred tokens."""

from __future__ import annotations

import mlx.core as mx
import mlx.nn as nn

from sam2_mlx.config import PerceiverConfig
from sam2_mlx.model.layers import Linear
from sam2_mlx.ops.activations import gelu
from sam2_mlx.ops.attention import attention
from sam2_mlx.ops.independent import by_row
from sam2_mlx.ops.positions import grid_encoding
from sam2_mlx.ops.windows import grid_to_windows


class FeedForward(nn.Module):
    """A norm and an MLP without biases."""

    def __init__(self, dims: int, hidden_dims: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dims)
        self.linear1 = Linear(dims, hidden_dims, bias=False)
        self.linear2 = Linear(hidden_dims, dims, bias=False)

    @by_row
    def __call__(self, x: mx.array) -> mx.array:
        """(..., dims) to an update of the same shape."""
        return self.linear2(gelu(self.linear1(self.norm(x))))


class Projections(nn.Module):
    """The linear layers around an attention of one head, without biases."""

    def __init__(self, dims: int) -> None:
        super().__init__()
        self.to_q = Linear(dims, dims, bias=False)
        self.to_kv = Linear(dims, 2 * dims, bias=False)
        self.to_out = Linear(dims, dims, bias=False)

    def keys_and_values(self, x: mx.array) -> tuple[mx.array, mx.array]:
        """(..., dims) each, of tokens (..., dims)."""
        keys, values = mx.split(self.to_kv(x), 2, axis=-1)
        return keys, values


class CrossAttention(Projections):
    """Latents look at the map: some at all of it, the others at a window of their own each."""

    def __init__(self, dims: int) -> None:
        super().__init__(dims)
        self.norm_latents = nn.LayerNorm(dims)
        self.norm_x = nn.LayerNorm(dims)

    def __call__(self, latents: mx.array, x: mx.array, places: mx.array, side: int) -> mx.array:
        """Look at the map.

        Args:
            latents: (B, L + side*side, dims), those that see all of it first.
            x: (B, N, dims) tokens of a square map, row by row.
            places: (N, dims), added to the keys and the values of the whole map.
            side: windows per row and column.

        Returns:
            An update of the latents.
        """
        batch, tokens, dims = x.shape
        grid = round(tokens**0.5)
        q = self.to_q(self.norm_latents(latents))
        keys, values = self.keys_and_values(self.norm_x(x))
        split = latents.shape[1] - side * side
        whole = _attend(q[:, :split], keys + places, values + places)
        windows = [
            grid_to_windows(y, (grid, grid), grid // side).reshape(batch * side * side, -1, dims)
            for y in (keys, values)
        ]
        own = _attend(q[:, split:].reshape(-1, 1, dims), *windows).reshape(batch, -1, dims)
        return self.to_out(mx.concatenate([whole, own], axis=1))


class SelfAttention(Projections):
    """Latents that see the whole map look at each other; the others at themselves alone."""

    def __init__(self, dims: int) -> None:
        super().__init__(dims)
        self.norm = nn.LayerNorm(dims)

    def __call__(self, latents: mx.array, whole: int) -> mx.array:
        """(B, L, dims), of which the first `whole` see the whole map, to an update."""
        normed = self.norm(latents)
        keys, values = self.keys_and_values(normed)
        joint = _attend(self.to_q(normed[:, :whole]), keys[:, :whole], values[:, :whole])
        # What looks at itself alone gets its own value.
        return self.to_out(mx.concatenate([joint, values[:, whole:]], axis=1))


def _attend(q: mx.array, k: mx.array, v: mx.array) -> mx.array:
    """Attention of one head: (B, L, dims) to (B, N, dims)."""
    return attention(q[:, None], k[:, None], v[:, None])[:, 0]


class PerceiverLayer(nn.Module):
    """Latents look at the map and at each other, with an MLP after each."""

    def __init__(self, dims: int, config: PerceiverConfig) -> None:
        super().__init__()
        self.attn = CrossAttention(dims)
        self.ff = FeedForward(dims, config.expansion * dims)
        self.self_attn = SelfAttention(dims)
        self.self_ff = FeedForward(dims, config.expansion * dims)

    def __call__(self, latents: mx.array, x: mx.array, places: mx.array, side: int) -> mx.array:
        """See `CrossAttention`; returns the latents."""
        whole = latents.shape[1] - side * side
        latents = latents + self.attn(latents, x, places, side)
        latents = latents + self.ff(latents)
        latents = latents + self.self_attn(latents, whole)
        return latents + self.self_ff(latents)


class Perceiver(nn.Module):
    """Latents that see the whole map, without a place; and a grid of them that see a window each.

    Args:
        dims: channels.
        config: how many of them, and layers.

    Source: Zhou et al., "EdgeTAM: On-Device Track Anything Model" (CVPR 2025, arXiv 2501.07256),
    section 3.2; sam2/modeling/perceiver.py, PerceiverResampler.
    """

    def __init__(self, dims: int, config: PerceiverConfig) -> None:
        super().__init__()
        self._side = config.side
        self.latents = mx.zeros((config.latents, dims))
        self.latents_2d = mx.zeros((config.side**2, dims))
        self.layers = [PerceiverLayer(dims, config) for _ in range(config.num_layers)]
        self.norm = nn.LayerNorm(dims)

    def __call__(self, x: mx.array) -> mx.array:
        """Compress memories.

        Args:
            x: (B, h, h, dims) memory maps; h a multiple of the grid's side.

        Returns:
            (B, latents + side*side, dims), the grid row by row at the end.
        """
        batch, height, _, dims = x.shape
        places = grid_encoding(height, dims).astype(x.dtype)
        latents = mx.concatenate([self.latents, self.latents_2d])
        latents = mx.broadcast_to(latents, (batch, *latents.shape))
        for layer in self.layers:
            latents = layer(latents, x.reshape(batch, -1, dims), places, self._side)
        return self.norm(latents)
