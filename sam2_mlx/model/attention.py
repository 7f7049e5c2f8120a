"""Multi-head attention of the decoder and, with rotated queries and keys, of the memory."""

from __future__ import annotations

import mlx.core as mx
import mlx.nn as nn

from sam2_mlx.model.layers import Linear
from sam2_mlx.ops.attention import attention
from sam2_mlx.ops.lanes import spread_tokens
from sam2_mlx.ops.rope import MemoryLayout, axial_rope, axial_table


def split_heads(x: mx.array, heads: int) -> mx.array:
    """(B, N, C) to (B, heads, N, C/heads)."""
    batch, tokens, channels = x.shape
    return x.reshape(batch, tokens, heads, channels // heads).transpose(0, 2, 1, 3)


def join_heads(x: mx.array) -> mx.array:
    """(B, heads, N, D) to (B, N, heads*D)."""
    batch, heads, tokens, dims = x.shape
    return x.transpose(0, 2, 1, 3).reshape(batch, tokens, heads * dims)


class Attention(nn.Module):
    """Attention with separate projections, and a narrower inside where asked.

    Args:
        dims: width of queries and output.
        heads: attention heads.
        inner_dims: width inside; `dims` by default.

    Source: sam2/modeling/sam/transformer.py, Attention.
    """

    def __init__(self, dims: int, heads: int, inner_dims: int | None = None) -> None:
        super().__init__()
        inner = inner_dims or dims
        self._heads = heads
        self.q_proj = Linear(dims, inner)
        self.k_proj = Linear(dims, inner)
        self.v_proj = Linear(dims, inner)
        self.out_proj = Linear(inner, dims)

    def __call__(self, q: mx.array, k: mx.array, v: mx.array) -> mx.array:
        """Attend from q (B or 1, Nq, C) to k and v (B or 1, Nk, C); returns (B, Nq, C)."""
        q = split_heads(self.q_proj(q), self._heads)
        k = split_heads(self.k_proj(k), self._heads)
        v = split_heads(self.v_proj(v), self._heads)
        batch = max(q.shape[0], k.shape[0])
        # Projected once where all share it, and only then repeated.
        q, k, v = (mx.broadcast_to(part, (batch, *part.shape[1:])) for part in (q, k, v))
        return self.out_proj(join_heads(attention(q, k, v)))


class RoPEAttention(nn.Module):
    """Attention of image tokens to image or memory tokens with axial rotary positions.

    Args:
        dims: width of queries and output.
        heads: attention heads.
        kv_dims: width of the keys' and values' input.
        theta: base of the rotary frequencies.

    Source: sam2/modeling/sam/transformer.py, RoPEAttention.
    """

    def __init__(self, dims: int, heads: int, kv_dims: int, theta: float) -> None:
        super().__init__()
        self._heads, self._theta = heads, theta
        # Of the scores; folding puts it into the queries' weights and leaves 1 here.
        self.score_scale = (dims // heads) ** -0.5
        # The weights of each query sum to one, so projecting the average of the values is the
        # same as averaging projected ones, and here the average is over fewer channels.
        self.averages_first = heads == 1 and kv_dims < dims
        self.q_proj = Linear(dims, dims)
        self.k_proj = Linear(kv_dims, dims)
        self.v_proj: nn.Module = Linear(kv_dims, dims)
        self.out_proj = Linear(dims, dims)

    def __call__(self, q: mx.array, k: mx.array, v: mx.array, layout: MemoryLayout) -> mx.array:
        """Attend from q (B or 1, N, C) to k and v (B, layout.length, kv_dims)."""
        if "qkv_proj" in self:  # folded: only where q, k and v are the same
            q, k, v = mx.split(spread_tokens(self.qkv_proj, q), 3, axis=-1)
        else:
            q, k = spread_tokens(self.q_proj, q), spread_tokens(self.k_proj, k)
            v = v if self.averages_first else self.v_proj(v)
        q, k = split_heads(q, self._heads), split_heads(k, self._heads)
        side = round(layout.grid**0.5)
        q, k = axial_rope(q, k, axial_table(side, q.shape[-1], self._theta), layout)
        if self.averages_first:
            attended = attention(q, k, v[:, None], self.score_scale)[:, 0]
            return spread_tokens(lambda x: self.out_proj(self.v_proj(x)), attended)
        v = split_heads(v, self._heads)
        attended = join_heads(attention(q, k, v, self.score_scale))
        return spread_tokens(self.out_proj, attended)
