"""The Gaussian error linear unit on MLX's CPU backend, whose error function is slow."""

from __future__ import annotations

import mlx.core as mx

from sam2_mlx.ops.compiled import compiled
from sam2_mlx.ops.cpu.halves import in_float32

# erf(z) = z * P(z*z) / Q(z*z) for |z| <= 4, absolute error below 1e-6 (as in Eigen and XLA).
_REACH = 4.0
# The 1/sqrt(2) of the Gaussian is multiplied into P.
_P = tuple(
    coefficient * 0.7071067811865476
    for coefficient in (
        -2.72614225801306e-10,
        2.77068142495902e-08,
        -2.10102402082508e-06,
        -5.69250639462346e-05,
        -7.34990630326855e-04,
        -2.95459980854025e-03,
        -1.60960333262415e-02,
    )
)
_Q = (
    -1.45660718464996e-05,
    -2.13374055278905e-04,
    -1.68282697438203e-03,
    -7.37332916720468e-03,
    -1.42647390514189e-02,
)


# Four loops over the array. An expression any deeper, or a constant used twice, would be cut into
# more and slower ones.
@compiled
def _square(x: mx.array) -> mx.array:
    return mx.minimum(0.5 * (x * x), _REACH * _REACH)


@compiled
def _over(s: mx.array) -> mx.array:
    square = s * s
    low = (_P[6] + _P[5] * s) + (_P[4] + _P[3] * s) * square
    return low + ((_P[2] + _P[1] * s) + _P[0] * square) * (square * square)


@compiled
def _under(s: mx.array) -> mx.array:
    square = s * s
    return ((_Q[4] + _Q[3] * s) + (_Q[2] + _Q[1] * s) * square) + _Q[0] * (square * square)


@compiled
def _joined(x: mx.array, over: mx.array, under: mx.array) -> mx.array:
    # The magnitude of x * erf(x / sqrt(2)) is at most that of x.
    return 0.5 * (x + mx.minimum((x * x) * (over / under), mx.abs(x)))


@in_float32
def gelu(x: mx.array) -> mx.array:
    """As `ops.activations.gelu`, exact to 2e-6."""
    square = _square(x)
    return _joined(x, _over(square), _under(square))
