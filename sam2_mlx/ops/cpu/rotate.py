"""Rotary positions on MLX's CPU backend, which calls a function for each complex product."""

from __future__ import annotations

import mlx.core as mx
import numpy as np

from sam2_mlx.ops.compiled import compiled
from sam2_mlx.ops.cpu.lanes import spread
from sam2_mlx.ops.derived import Derived


def rotate(x: mx.array, table: mx.array) -> mx.array:
    """As `ops.rope.rotate`, 1.2 ns a value instead of 7.1."""
    result: mx.array = spread(_rotate, x, *_real_table(table), axis=-2)
    return result


def _rotate(x: mx.array, cosines: mx.array, sines: mx.array) -> mx.array:
    # A pair of floats is one integer here, whose halves change places.
    x32 = x.astype(mx.float32)
    other = _neighbours(x32.view(mx.uint64)).view(mx.float32)
    return _turned(x32, other, cosines, sines).astype(x.dtype)


@compiled
def _neighbours(pairs: mx.array) -> mx.array:
    return (pairs << 32) | (pairs >> 32)


@compiled
def _turned(x: mx.array, other: mx.array, cosines: mx.array, sines: mx.array) -> mx.array:
    return x * cosines + other * sines


_REAL_TABLES: Derived[tuple[mx.array, mx.array]] = Derived()


def _real_table(table: mx.array) -> tuple[mx.array, mx.array]:
    """Cosines and signed sines of a table, (grid, D) each: what a channel and its neighbour get."""

    def make() -> tuple[mx.array, mx.array]:
        pairs = np.array(table)
        cosines = np.repeat(pairs.real, 2, axis=1)
        sines = np.stack([-pairs.imag, pairs.imag], axis=-1).reshape(cosines.shape)
        return mx.array(cosines), mx.array(sines)

    return _REAL_TABLES.get(make, table, key=table.shape)
