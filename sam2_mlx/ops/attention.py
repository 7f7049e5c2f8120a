"""Scaled dot-product attention, with the form that suits the device."""

from __future__ import annotations

import math

import mlx.core as mx

from sam2_mlx.ops.cpu.lanes import join, run_in_turn
from sam2_mlx.ops.exponential import weights_cpu
from sam2_mlx.ops.flash import wide_attention
from sam2_mlx.ops.products import in_float32

# Scores held at once, which bounds memory.
_CPU_SCORES = 4 * 2**20
_WIDE = 256  # queries
_FUSED_DIMS = 128


def attention(q: mx.array, k: mx.array, v: mx.array, scale: float | None = None) -> mx.array:
    """Attend from every query to all keys.

    Args:
        q: (B or 1, heads, Nq, D).
        k: (B, heads, Nk, D).
        v: (B, heads, Nk, Dv); Dv may differ from D.
        scale: of the scores; 1/sqrt(D) by default.

    Returns:
        (B, heads, Nq, Dv) in the dtype of q.
    """
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    if in_float32(q):
        q32, k, v = (array.astype(mx.float32) for array in (q, k, v))
        return attention(q32, k, v, scale).astype(q.dtype)
    if mx.default_device() == mx.Device(mx.cpu) and q.dtype == mx.float32:
        # Scores in powers of two. A column of ones sums the weights in the same product.
        v = mx.concatenate([v, mx.ones((*v.shape[:-1], 1))], axis=-1)
        return _on_lanes(q * (math.log2(math.e) * scale), k, v)
    if v.shape[-1] == q.shape[-1] <= _FUSED_DIMS and q.shape[0] == k.shape[0]:
        return mx.fast.scaled_dot_product_attention(q, k, v, scale=scale)
    # Wider heads have no fused kernel in MLX.
    return wide_attention(q, k, v, scale)


def _on_lanes(q: mx.array, k: mx.array, v: mx.array) -> mx.array:
    """Groups of the batch side by side, or where one alone is too much, chunks of its queries."""
    (batch, heads, keys), queries = k.shape[:3], q.shape[2]
    group = max(_CPU_SCORES // (heads * queries * keys), 1)
    step = queries if group > 1 else _query_step(heads * keys)
    if step < queries:
        # Heads are views of one array; a product would lay the keys out anew for every chunk.
        k = k.reshape(-1).reshape(k.shape)
    pieces = []
    for i in range(0, batch, group):
        some = slice(i, i + group)
        one_q, one_k, one_v = q if q.shape[0] == 1 else q[some], k[some], v[some]
        pieces += [(one_q[:, :, j : j + step], one_k, one_v) for j in range(0, queries, step)]
    chunks = run_in_turn(_weigh_cpu, pieces)
    each = -(-queries // step)
    rows = [join(chunks[i : i + each], 2) for i in range(0, len(chunks), each)]
    return join(rows, 0)


def _query_step(row: int) -> int:
    """Queries at once where each has so many scores."""
    # Every product of a chunk goes over all keys to lay them out anew, so wide chunks are cheaper.
    usual, most = _CPU_SCORES // row, 2 * _CPU_SCORES // row
    return max(min(max(usual, _WIDE), most) // 64 * 64, 64)


def _weigh_cpu(q: mx.array, k: mx.array, v: mx.array) -> mx.array:
    summed = weights_cpu(q @ k.transpose(0, 1, 3, 2)) @ v
    return summed[..., :-1] / summed[..., -1:]
