"""Multi-head attention of the decoder and, with rotated queries and keys, of the memory."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import mlx.core as mx
import mlx.nn as nn

from sam2_mlx.model.layers import Linear, matrix_of
from sam2_mlx.ops.attention import attention
from sam2_mlx.ops.derived import Derived
from sam2_mlx.ops.products import linear
from sam2_mlx.ops.rope import MemoryLayout, axial_rope
from sam2_mlx.ops.windows import Grid


def rows_to_heads(x: mx.array, tokens: int, heads: int) -> mx.array:
    """Rows (B*tokens, C) to (B, heads, tokens, C/heads)."""
    dims = x.shape[1] // heads
    if heads == 1:
        return x.reshape(-1, 1, tokens, dims)
    return x.reshape(-1, tokens, heads, dims).transpose(0, 2, 1, 3)


def heads_to_rows(x: mx.array) -> mx.array:
    """(B, heads, tokens, D) to rows (B*tokens, heads*D)."""
    heads, tokens, dims = x.shape[1:]
    if heads > 1:
        x = x.transpose(0, 2, 1, 3)
    return x.reshape(-1, heads * dims)


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

    def queries(self, x: mx.array, tokens: int) -> mx.array:
        """Heads (B, heads, tokens, D) of rows (B*tokens, dims)."""
        return rows_to_heads(self.q_proj(x), tokens, self._heads)

    def keys_and_values(self, k: mx.array, v: mx.array, tokens: int) -> tuple[mx.array, mx.array]:
        """Heads (B, heads, tokens, D) of rows (B*tokens, dims)."""
        k, v = self.k_proj(k), self.v_proj(v)
        return rows_to_heads(k, tokens, self._heads), rows_to_heads(v, tokens, self._heads)

    def __call__(self, q: mx.array, k: mx.array, v: mx.array) -> mx.array:
        """Attend from q (B or 1, heads, Nq, D) to k and v (B or 1, heads, Nk, D), all projected.

        Returns:
            (B*Nq, dims).
        """
        batch = max(q.shape[0], k.shape[0])
        # Projected once where all share it, and only then repeated; so are queries.
        k, v = (mx.broadcast_to(part, (batch, *part.shape[1:])) for part in (k, v))
        return self.out_proj(heads_to_rows(attention(q, k, v)))


class GridProjections:
    """Linear layers that read the same grid of tokens, most with positions added, as one product.

    As they are linear, the share of the positions can be added last; it never changes.

    Args:
        heads: of what each layer gives.
        placed: for each layer, whether positions are added to what it reads.
    """

    def __init__(self, heads: int, placed: tuple[bool, ...]) -> None:
        self._heads, self._placed = heads, placed
        self._joint: Derived[tuple[mx.array, mx.array]] = Derived()

    def _join(self, layers: Sequence[Linear], places: mx.array) -> tuple[mx.array, mx.array]:
        """What depends on weights and positions alone.

        Args:
            layers: one for each of `placed`; they may be quantised.
            places: (1, N, dims).

        Returns:
            The layers' matrices (dims, outputs of all) side by side, and what is added to the
            product, (N, outputs of all).
        """

        def make() -> tuple[mx.array, mx.array]:
            # Without positions a layer gives its bias.
            none = mx.zeros_like(places[0])
            shares = [
                layer(places[0] if placed else none)
                for layer, placed in zip(layers, self._placed, strict=True)
            ]
            matrices = [matrix_of(layer) for layer in layers]
            return mx.concatenate(matrices, axis=1), mx.concatenate(shares, axis=1)

        return self._joint.get(make, places, *(w for layer in layers for w in layer.values()))

    def __call__(
        self, layers: Sequence[Linear], x: mx.array, places: mx.array
    ) -> tuple[mx.array, ...]:
        """Heads (B, heads, N, D) of each layer for tokens (B, N, dims)."""
        matrix, shares = self._join(layers, places)
        joint = linear(x, matrix, shares)
        heads = joint.reshape(*x.shape[:2], len(layers) * self._heads, -1).transpose(0, 2, 1, 3)
        return tuple(mx.split(heads, len(layers), axis=1))


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

    def __call__(
        self, q: mx.array, k: mx.array, v: mx.array, layout: MemoryLayout, grid: Grid
    ) -> mx.array:
        """Attend from tokens of the frame to keys and values.

        Args:
            q: (B*N, C) or (N, C), the same for all of the batch.
            k: (B*layout.length, kv_dims).
            v: (B*layout.length, kv_dims).
            layout: how the keys are composed.
            grid: rows and columns of the N tokens.

        Returns:
            (B*N, C).
        """
        tokens = prod(grid)
        if "qkv_proj" in self:  # folded: only where q, k and v are the same
            joint = rows_to_heads(self.qkv_proj(q), tokens, 3 * self._heads)
            q, k, v = mx.split(joint, 3, axis=1)
        else:
            q = rows_to_heads(self.q_proj(q), tokens, self._heads)
            k = rows_to_heads(self.k_proj(k), layout.length, self._heads)
            v = v if self.averages_first else self.v_proj(v)
            v = rows_to_heads(v, layout.length, self._heads)
        q, k = axial_rope(q, k, layout, self._theta)
        rows = heads_to_rows(attention(q, k, v, self.score_scale))
        return self.out_proj(self.v_proj(rows) if self.averages_first else rows)
