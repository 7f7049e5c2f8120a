"""Scaled dot-product attention, with the form that suits the device."""

from __future__ import annotations

import math

import mlx.core as mx

from sam2_mlx.ops.exponential import exp2_cpu

# Scores held at once, which bounds memory.
_GPU_SCORES = 32 * 2**20
_CPU_SCORES = 4 * 2**20
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
    if mx.default_device() == mx.Device(mx.cpu) and q.dtype == mx.float32:
        return _in_chunks(q * (math.log2(math.e) * scale), k, v, fast=True)
    if v.shape[-1] == q.shape[-1] <= _FUSED_DIMS and q.shape[0] == k.shape[0]:
        return mx.fast.scaled_dot_product_attention(q, k, v, scale=scale)
    # Wider heads have no fused kernel; chunks of queries keep the score matrix small.
    return _in_chunks(q * scale, k, v, fast=False)


def _in_chunks(q: mx.array, k: mx.array, v: mx.array, *, fast: bool) -> mx.array:
    keys = k.transpose(0, 1, 3, 2)
    row = k.shape[0] * k.shape[1] * k.shape[2]
    limit = _CPU_SCORES if fast else _GPU_SCORES
    step = max(limit // row // 64 * 64, 64)
    weigh = _weigh_cpu if fast else _weigh
    chunks = [weigh(q[:, :, i : i + step] @ keys, v) for i in range(0, q.shape[2], step)]
    return chunks[0] if len(chunks) == 1 else mx.concatenate(chunks, axis=2)


def _weigh(scores: mx.array, v: mx.array) -> mx.array:
    return mx.softmax(scores, axis=-1, precise=True) @ v


def _weigh_cpu(scores: mx.array, v: mx.array) -> mx.array:
    # Scores are in powers of two here. Dividing after the product spares a pass over them.
    weights = exp2_cpu(scores - scores.max(axis=-1, keepdims=True))
    return (weights @ v) / weights.sum(axis=-1, keepdims=True)
