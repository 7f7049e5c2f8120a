"""The exact GELU, with a faster error function on MLX's CPU backend."""

from __future__ import annotations

from functools import partial

import mlx.core as mx
import mlx.nn as nn

# erf(z) = z * P(z*z) / Q(z*z) for |z| <= 4, absolute error below 1e-6 (as in Eigen and XLA).
_P = (
    -2.72614225801306e-10,
    2.77068142495902e-08,
    -2.10102402082508e-06,
    -5.69250639462346e-05,
    -7.34990630326855e-04,
    -2.95459980854025e-03,
    -1.60960333262415e-02,
)
_Q = (
    -1.45660718464996e-05,
    -2.13374055278905e-04,
    -1.68282697438203e-03,
    -7.37332916720468e-03,
    -1.42647390514189e-02,
)


@partial(mx.compile, shapeless=True)
def _gelu_cpu(x: mx.array) -> mx.array:
    z = mx.clip(x * 0.7071067811865476, -4.0, 4.0)
    square = z * z
    over: mx.array | float = _P[0]
    for coefficient in _P[1:]:
        over = over * square + coefficient
    under: mx.array | float = _Q[0]
    for coefficient in _Q[1:]:
        under = under * square + coefficient
    return 0.5 * x * (1.0 + z * over / under)


def gelu(x: mx.array) -> mx.array:
    """The Gaussian error linear unit, exact to 2e-6.

    Args:
        x: any shape and float dtype.

    Returns:
        The same shape and dtype.
    """
    if x.dtype == mx.float32 and mx.default_device() == mx.Device(mx.cpu):
        return _gelu_cpu(x)
    result: mx.array = nn.gelu(x)
    return result
