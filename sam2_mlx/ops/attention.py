"""Scaled dot-product attention."""

from __future__ import annotations

import mlx.core as mx

from sam2_mlx.ops.cpu import attention as cpu
from sam2_mlx.ops.device import on_cpu
from sam2_mlx.ops.flash import wide_attention

# Head widths that MLX's fused GPU attention takes.
_FUSED_WIDTHS = (64, 80, 128)


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
    if on_cpu():
        return cpu.attention(q, k, v, scale)
    if v.shape[-1] == q.shape[-1] <= _FUSED_WIDTHS[-1] and q.shape[0] == k.shape[0]:
        return mx.fast.scaled_dot_product_attention(q, k, v, scale=scale)
    # Wider heads have no fused kernel in MLX.
    return wide_attention(q, k, v, scale)


def fused_width(dims: int) -> int:
    """The width at which heads of `dims` channels are fastest here, filled up with zeros."""
    if on_cpu():
        return dims
    return next((width for width in _FUSED_WIDTHS if width >= dims), dims)
