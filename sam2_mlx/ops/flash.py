"""Attention of wide heads to narrow values: a memory is found by 256 channels, 64 are read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import mlx.core as mx
import numpy as np

from sam2_mlx.ops.cpu.lanes import join
from sam2_mlx.ops.metal.flash_attention import MAX_KEY_DIMS, MAX_VALUE_DIMS, SOURCE, launch
from sam2_mlx.ops.metal.kernel import FLOATS, Kernel, Variant, dtype_name
from sam2_mlx.ops.metal.race import Race
from sam2_mlx.ops.precision import exact_matmul
from sam2_mlx.ops.profile import active

SCORES = 32 * 2**20
"""Scores held at once, which bounds memory."""
_LOG2_E = math.log2(math.e)
SEVERAL = 8
"""Objects in a race, where there is more than one."""


def in_chunks(q: mx.array, k: mx.array, v: mx.array, scale: float) -> tuple[mx.array]:
    """Chunks of queries, which keep the score matrix small."""
    q = q if scale == 1 else q * scale
    row = k.shape[0] * k.shape[1] * k.shape[2]
    step = max((active().scores or SCORES) // row // 64 * 64, 64)
    turned = k.transpose(0, 1, 3, 2)
    parts = [q] if step >= q.shape[2] else mx.split(q, range(step, q.shape[2], step), axis=2)
    scores = (exact_matmul(part, turned) for part in parts)
    chunks = [exact_matmul(mx.softmax(s, axis=-1, precise=True), v) for s in scores]
    return (join(chunks, 2),)


def fused(q: mx.array, k: mx.array, v: mx.array, scale: float) -> tuple[mx.array]:
    """MLX's own kernel, for which values are filled up to the width of the keys with zeros."""
    dims, width = q.shape[-1], v.shape[-1]
    q = mx.broadcast_to(q, (k.shape[0], *q.shape[1:]))
    v = mx.pad(v, [(0, 0)] * 3 + [(0, dims - width)])
    # MLX prefers products where there are many queries, unless it is told.
    attended = mx.fast.scaled_dot_product_attention(q, k, v, scale=scale, force_fused=True)
    return (attended[..., :width],)


def _launch(
    function: Any, q: mx.array, k: mx.array, v: mx.array, scale: float
) -> tuple[mx.array, ...]:
    return launch(function, q, k, v, scale * _LOG2_E)


def _variant(q: mx.array, k: mx.array, v: mx.array, scale: float) -> Variant | None:
    del scale
    dtype, dims, width = dtype_name(q.dtype), q.shape[-1], v.shape[-1]
    fits = (
        dtype in FLOATS
        and q.dtype == k.dtype == v.dtype
        and q.shape[0] in (1, k.shape[0])
        and k.shape[:3] == v.shape[:3]
        and dims % 8 == 0 == width % 8
        and 0 < dims <= MAX_KEY_DIMS
        and 0 < width <= MAX_VALUE_DIMS
        and min(q.size, k.size) > 0
    )
    return (dtype, dims, width) if fits else None


def flash_example(
    dtype: mx.Dtype, batch: int, queries: int, keys: int, dims: int, width: int
) -> tuple[mx.array, mx.array, mx.array, float]:
    """Arguments for the kernel, the same at every call.

    Args:
        dtype: of all arrays.
        batch: of keys and values; they share the queries.
        queries: how many.
        keys: how many.
        dims: channels of queries and keys.
        width: channels of values.

    Returns:
        q (1, 1, queries, dims), k (batch, 1, keys, dims), v (batch, 1, keys, width), scale.
    """
    random = np.random.default_rng(7)

    def normal(*shape: int) -> mx.array:
        return mx.array(random.standard_normal(shape, dtype=np.float32)).astype(dtype)

    q, k = normal(1, 1, queries, dims), normal(batch, 1, keys, dims)
    # Later keys find more: the largest score so far changes from tile to tile.
    k = k * mx.linspace(0.2, 2.0, keys).astype(dtype)[:, None]
    return q, k, normal(batch, 1, keys, width), dims**-0.5


def _trials(variant: Variant) -> Iterator[tuple[Any, ...]]:
    dtype, dims, width = FLOATS[str(variant[0])], int(variant[1]), int(variant[2])
    yield flash_example(dtype, 2, 45, 53, dims, width)


KERNEL = Kernel(SOURCE, _launch, in_chunks, _variant, _trials)


def _track(q: mx.array, k: mx.array, v: mx.array, scale: float) -> Variant:
    del scale
    objects = 1 if k.shape[0] == 1 else SEVERAL
    return (dtype_name(q.dtype), q.shape[-1], v.shape[-1], objects, q.shape[2])


def _race_arguments(track: Variant) -> tuple[Any, ...]:
    dims, width, objects, queries = map(int, track[1:])
    # Two memories of the frame that looks.
    return flash_example(FLOATS[str(track[0])], objects, queries, 2 * queries, dims, width)


RACE = Race(KERNEL, {"fused": fused}, _track, _race_arguments)


def wide_attention(q: mx.array, k: mx.array, v: mx.array, scale: float) -> mx.array:
    """Attention for which MLX has no fused kernel.

    Args:
        q: (B or 1, heads, Nq, D).
        k: (B, heads, Nk, D).
        v: (B, heads, Nk, Dv).
        scale: of the scores.

    Returns:
        (B, heads, Nq, Dv) in the dtype of q.
    """
    return RACE(q, k, v, scale)[0]
