"""Attention on MLX's CPU backend: chunks of scores on all lanes, softmax weights as loops."""

from __future__ import annotations

import math

import mlx.core as mx
import numpy as np

from sam2_mlx.ops.cpu.exponential import softmax_weights
from sam2_mlx.ops.cpu.halves import in_float32
from sam2_mlx.ops.cpu.lanes import join, run_in_turn
from sam2_mlx.ops.derived import constant
from sam2_mlx.ops.profile import active

SCORES = 4 * 2**20
"""Scores held at once, which bounds memory."""
_WIDE = 256  # queries


@in_float32
def attention(q: mx.array, k: mx.array, v: mx.array, scale: float) -> mx.array:
    """As `ops.attention.attention`."""
    # Scores in powers of two. A column of ones sums the weights in the same product.
    q, v = q * (math.log2(math.e) * scale), mx.concatenate([v, mx.ones((*v.shape[:-1], 1))], -1)
    (batch, heads, keys), queries = k.shape[:3], q.shape[2]
    # Groups of the batch, or where one alone is too much, chunks of its queries.
    held = active().scores or SCORES
    group = max(held // (heads * queries * keys), 1)
    step = queries if group > 1 else _query_step(heads * keys, held)
    if step < queries:
        # Heads are views of one array; a product would lay the keys out anew for every chunk.
        k = k.reshape(-1).reshape(k.shape)
    pieces = []
    for i in range(0, batch, group):
        some = slice(i, i + group)
        one_q, one_k, one_v = q if q.shape[0] == 1 else q[some], k[some], v[some]
        pieces += [(one_q[:, :, j : j + step], one_k, one_v) for j in range(0, queries, step)]
    chunks = run_in_turn(_weigh, pieces)
    each = -(-queries // step)
    rows = [join(chunks[i : i + each], 2) for i in range(0, len(chunks), each)]
    result: mx.array = join(rows, 0)
    return result


@in_float32
def grid_attention(
    q: mx.array, k: mx.array, v: mx.array, by_row: mx.array, by_column: mx.array, scale: float
) -> mx.array:
    """As `ops.relative_attention.grid_attention`, with what is added to the scores.

    Args:
        q: (B, heads, H*W, D), places row by row.
        k: (B, heads, H*W, D).
        v: (B, heads, H*W, D).
        by_row: (B, heads, H*W, H), for each row of keys.
        by_column: (B, heads, H*W, W), for each column of keys.
        scale: of the scores.
    """
    # A product with a row's and a column's unit vector picks the two terms: no bias is made.
    places = _unit_vectors(by_row.shape[-1], by_column.shape[-1])
    places = mx.broadcast_to(places, (*k.shape[:2], *places.shape))
    q = mx.concatenate([q * scale, by_row, by_column], axis=-1)
    return attention(q, mx.concatenate([k, places], axis=-1), v, 1.0)


def _query_step(row: int, held: int) -> int:
    """Queries at once where each has `row` scores."""
    # Every product of a chunk goes over all keys to lay them out anew, so wide chunks are cheaper.
    usual, most = held // row, 2 * held // row
    return max(min(max(usual, _WIDE), most) // 64 * 64, 64)


def _weigh(q: mx.array, k: mx.array, v: mx.array) -> mx.array:
    summed = softmax_weights(q @ k.transpose(0, 1, 3, 2)) @ v
    return summed[..., :-1] / summed[..., -1:]


@constant
def _unit_vectors(height: int, width: int) -> mx.array:
    """float32 (height*width, height+width): ones at each place's row and column."""
    rows = np.repeat(np.eye(height, dtype=np.float32), width, axis=0)
    columns = np.tile(np.eye(width, dtype=np.float32), (height, 1))
    return mx.array(np.concatenate([rows, columns], axis=1))
