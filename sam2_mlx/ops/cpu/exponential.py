"""Softmax weights on MLX's CPU backend, whose own exponential takes one value at a time.

A compiled expression becomes one loop over the array, which the compiler vectorises, as long as it
is shallow and uses no constant twice; each loop costs a pass over memory.
"""

from __future__ import annotations

import mlx.core as mx

from sam2_mlx.ops.compiled import compiled

# 2**r for |r| <= 1/2, relative error below 2e-7 (Cephes, exp2f).
_P = (
    1.535336188319500e-4,
    1.339887440266574e-3,
    9.618437357674640e-3,
    5.550332471162809e-2,
    2.402264791363012e-1,
    6.931472028550421e-1,
)
# Adding it pushes the fraction out of a float32 and leaves the rounded integer in the low bits.
_ROUNDER = 12582912.0
_LOWEST = -126.0


@compiled
def _below(scores: mx.array, top: mx.array) -> mx.array:
    return mx.maximum(scores - top, _LOWEST)


@compiled
def _fraction(x: mx.array) -> tuple[mx.array, mx.array]:
    rounded = x + _ROUNDER
    r = x - (rounded - _ROUNDER)
    # Paired terms keep the expression shallow enough to become one loop.
    square = r * r
    low, middle, high = 1.0 + _P[5] * r, _P[4] + _P[3] * r, _P[2] + _P[1] * r
    return (low + middle * square) + (high + _P[0] * square) * (square * square), rounded


@compiled
def _scaled(fraction: mx.array, rounded: mx.array) -> mx.array:
    # Adding to the exponent bits multiplies by a power of two.
    return fraction + (rounded << 23)


def softmax_weights(scores: mx.array) -> mx.array:
    """Softmax weights up to a common factor for each row.

    Args:
        scores: float32 (..., N), in powers of two.

    Returns:
        float32 (..., N): 1 where a row has its largest score, 2**-126 at the least; relative error
        below 4e-7.
    """
    fraction, rounded = _fraction(_below(scores, row_maximum(scores)))
    return _scaled(fraction.view(mx.int32), rounded.view(mx.int32)).view(mx.float32)


def row_maximum(x: mx.array) -> mx.array:
    """The largest value of each row, (..., N) to (..., 1).

    MLX's CPU backend compares whole rows with each other many values at a time, but the values of
    one row one by one; so long rows are cut and their pieces compared first.
    """
    length = x.shape[-1]
    piece = next((n for n in (64, 32, 16) if length % n == 0 and length >= 4 * n), None)
    if piece is not None:
        x = x.reshape(*x.shape[:-1], length // piece, piece).max(axis=-2)
    return x.max(axis=-1, keepdims=True)
