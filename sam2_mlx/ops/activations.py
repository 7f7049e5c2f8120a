"""The exact GELU, and the positive part."""

from __future__ import annotations

import math

import mlx.core as mx

from sam2_mlx.ops.compiled import compiled
from sam2_mlx.ops.cpu import gelu as cpu
from sam2_mlx.ops.device import on_cpu


def gelu(x: mx.array) -> mx.array:
    """The Gaussian error linear unit of any shape and float dtype, exact to 2e-6."""
    return cpu.gelu(x) if on_cpu() else _gelu(x)


@compiled
def _gelu(x: mx.array) -> mx.array:
    return x * (1 + mx.erf(x / math.sqrt(2))) / 2


@compiled
def relu(x: mx.array) -> mx.array:
    """The positive part."""
    return mx.maximum(x, 0)
