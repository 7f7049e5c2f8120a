"""Whether float32 means float32: MLX shortens the factors of its products on an M5 and on CUDA.

There they keep about ten bits of mantissa (a relative error of 1e-3 instead of 1e-7), unless
`MLX_ENABLE_TF32` is 0 before the first product. Models run in float16 on a GPU by default, so this
is about masks, positions, and models that were asked to be float32.
"""

from __future__ import annotations

import os
import warnings
from functools import lru_cache

import mlx.core as mx

from sam2_mlx.ops.device import on_cpu

VARIABLE = "MLX_ENABLE_TF32"
_PROBE = 256


def hold_float32() -> None:
    """Let products of float32 be exact in this process, unless the environment says otherwise.

    MLX reads the variable at its first product on a GPU. Where that is past, one warning says so.
    """
    if on_cpu():
        return
    os.environ.setdefault(VARIABLE, "0")
    if os.environ[VARIABLE] == "0" and products_are_short():
        warnings.warn(
            "MLX multiplies float32 with about ten bits of mantissa in this process, since it "
            f"computed before a float32 model was asked for; set {VARIABLE}=0 before it starts",
            RuntimeWarning,
            stacklevel=2,
        )


def products_are_short() -> bool:
    """Whether products of float32 lose bits on the default device; found out by one product."""
    return not on_cpu() and _short_on_gpu()


@lru_cache(maxsize=1)
def _short_on_gpu() -> bool:
    # A factor whose thirteenth bit is the last that is set.
    x = mx.full((_PROBE, _PROBE), 1 + 2**-12)
    return bool((mx.matmul(x, mx.eye(_PROBE)) != x).any().item())


def exact_matmul(x: mx.array, y: mx.array) -> mx.array:
    """The product of matrices, in float32 also where MLX would shorten them.

    Args:
        x: (..., N, K).
        y: (..., K, M) of the same dtype.

    Returns:
        (..., N, M); of float32 with a relative error of about 1e-6 at most.
    """
    if x.dtype != mx.float32 or not products_are_short():
        return mx.matmul(x, y)
    # Of the parts behind the first ten bits only their product is left out.
    short_x, short_y = _ten_bits(x), _ten_bits(y)
    rest = mx.matmul(short_x, y - short_y) + mx.matmul(x - short_x, short_y)
    return mx.matmul(short_x, short_y) + rest


def _ten_bits(x: mx.array) -> mx.array:
    return (x.view(mx.uint32) & 0xFFFFE000).view(mx.float32)
