"""The exact GELU."""

from __future__ import annotations

import mlx.core as mx
import mlx.nn as nn

from sam2_mlx.ops.cpu import gelu as cpu
from sam2_mlx.ops.device import on_cpu


def gelu(x: mx.array) -> mx.array:
    """The Gaussian error linear unit, exact to 2e-6.

    Args:
        x: any shape and float dtype.

    Returns:
        The same shape and dtype.
    """
    result: mx.array = (cpu.gelu if on_cpu() else nn.gelu)(x)
    return result
