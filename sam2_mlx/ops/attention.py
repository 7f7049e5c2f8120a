"""Scaled dot-product attention."""

from __future__ import annotations

import re
from importlib.metadata import version

import mlx.core as mx

from sam2_mlx.ops.cpu import attention as cpu
from sam2_mlx.ops.device import on_cpu
from sam2_mlx.ops.flash import wide_attention

FUSED_WIDTHS = {64: (0,), 72: (0, 32, 2), 80: (0,), 96: (0, 32, 1), 128: (0,)}
"""Head widths that MLX's fused GPU attention takes, and MLX's version that first did.

Wider heads are fused only where it is forced. `benchmarks/fused_widths.py` looks into a wheel.
"""


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
    if v.shape[-1] == q.shape[-1] <= max(FUSED_WIDTHS):
        q = _repeated(q, k.shape[0])
        return mx.fast.scaled_dot_product_attention(q, k, v, scale=scale)
    # Wider heads have no fused kernel in MLX.
    return wide_attention(q, k, v, scale)


def _repeated(q: mx.array, batch: int) -> mx.array:
    if q.shape[0] < batch and mx.cuda.is_available():
        # MLX gives the result the layout of the queries, and cuDNN refuses that of a view (0.32.4).
        return mx.repeat(q, batch, axis=0)
    return mx.broadcast_to(q, (batch, *q.shape[1:]))


def fused_width(dims: int) -> int:
    """The width at which heads of `dims` channels are fastest here, filled up with zeros."""
    if on_cpu():
        return dims
    fused = fused_widths(version("mlx"))
    return next((width for width in fused if width >= dims), dims)


def fused_widths(release: str) -> list[int]:
    """The widths that a version of MLX fuses, the narrowest first."""
    numbers = tuple(int(number) for number in re.findall(r"\d+", release)[:3])
    return [width for width, first in FUSED_WIDTHS.items() if numbers >= first]
