"""Axial rotary position encoding over a square grid of tokens, tiled over memory frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import mlx.core as mx
import numpy as np

from sam2_mlx.ops.cpu.lanes import spread
from sam2_mlx.ops.derived import Derived, constant
from sam2_mlx.ops.metal.axial_rope import SOURCE, launch
from sam2_mlx.ops.metal.kernel import FLOATS, Kernel, MetalFunction, Variant, dtype_name


@dataclass(frozen=True)
class MemoryLayout:
    """Which key tokens are rotated: `frames` grids, one after the other, then a plain tail.

    Attributes:
        frames: spatial memories; each is a full grid that repeats the same table.
        grid: tokens of one grid, row by row.
        tail: trailing tokens without a place in the picture (object pointers).
    """

    frames: int
    grid: int
    tail: int = 0

    @property
    def length(self) -> int:
        """Number of key tokens."""
        return self.frames * self.grid + self.tail


@constant
def axial_table(side: int, head_dim: int, theta: float = 10000.0) -> mx.array:
    """Unit complex numbers that rotate each channel pair at each position of a square grid.

    Args:
        side: tokens per row and column.
        head_dim: channels per head; a multiple of 4. The first half turns with x, the rest with y.
        theta: base of the frequencies.

    Returns:
        complex64 (side*side, head_dim/2), tokens row by row.

    Source: sam2/modeling/position_encoding.py, compute_axial_cis.
    """
    exponent = np.arange(0, head_dim, 4, dtype=np.float32)[: head_dim // 4] / np.float32(head_dim)
    frequencies = (1.0 / np.float32(theta) ** exponent).astype(np.float32)
    token = np.arange(side * side, dtype=np.float32)
    x, y = token % side, np.floor(token / side)
    angles = np.concatenate([np.outer(x, frequencies), np.outer(y, frequencies)], axis=1)
    return mx.array((np.cos(angles) + 1j * np.sin(angles)).astype(np.complex64))


def _rotate(x: mx.array, table: mx.array) -> mx.array:
    # Neighbouring channels are one complex number, so a complex view needs no shuffling.
    rotated = x.astype(mx.float32).view(mx.complex64) * table
    return rotated.view(mx.float32).astype(x.dtype)


@partial(mx.compile, shapeless=True)
def _neighbours(pairs: mx.array) -> mx.array:
    return (pairs << 32) | (pairs >> 32)


@partial(mx.compile, shapeless=True)
def _turned(x: mx.array, other: mx.array, cosines: mx.array, sines: mx.array) -> mx.array:
    return x * cosines + other * sines


def _rotate_cpu(x: mx.array, cosines: mx.array, sines: mx.array) -> mx.array:
    # MLX's CPU backend calls a function for each complex product, 7.1 ns a value instead of 1.2.
    # A pair of floats is one integer here, whose halves change places.
    x32 = x.astype(mx.float32)
    other = _neighbours(x32.view(mx.uint64)).view(mx.float32)
    return _turned(x32, other, cosines, sines).astype(x.dtype)


_REAL_TABLES: Derived[tuple[mx.array, mx.array]] = Derived()


def _real_table(table: mx.array) -> tuple[mx.array, mx.array]:
    """Cosines and signed sines of a table, (grid, D) each: what a channel and its neighbour get."""

    def make() -> tuple[mx.array, mx.array]:
        pairs = np.array(table)
        cosines = np.repeat(pairs.real, 2, axis=1)
        sines = np.stack([-pairs.imag, pairs.imag], axis=-1).reshape(cosines.shape)
        return mx.array(cosines), mx.array(sines)

    return _REAL_TABLES.get(make, table, key=table.shape)


def _rotate_grid(x: mx.array, table: mx.array) -> mx.array:
    """Turn grids of tokens, (..., grid, D)."""
    if mx.default_device().type == mx.cpu:
        return spread(_rotate_cpu, x, *_real_table(table), axis=-2)
    return _rotate(x, table)


def axial_rope_plain(
    q: mx.array, k: mx.array, table: mx.array, layout: MemoryLayout
) -> tuple[mx.array, mx.array]:
    """`axial_rope` in plain MLX; arguments and result are the same."""
    batch, heads, _, dim = k.shape
    rotated = layout.frames * layout.grid
    frames = k[:, :, :rotated].reshape(batch, heads, layout.frames, layout.grid, dim)
    frames = _rotate_grid(frames, table).reshape(batch, heads, rotated, dim)
    if layout.tail:
        frames = mx.concatenate([frames, k[:, :, rotated:]], axis=2)
    return _rotate_grid(q, table), frames


def _launch(
    function: MetalFunction, q: mx.array, k: mx.array, table: mx.array, layout: MemoryLayout
) -> tuple[mx.array, ...]:
    return launch(function, q, k, table, layout.frames * layout.grid)


def _variant(q: mx.array, k: mx.array, table: mx.array, layout: MemoryLayout) -> Variant | None:
    dtype, dim, side = dtype_name(q.dtype), q.shape[3], round(table.shape[0] ** 0.5)
    fits = dtype in FLOATS and k.dtype == q.dtype and dim % 4 == 0 and side * side == layout.grid
    return (dtype, dim, side) if fits else None


def rope_example(
    dtype: mx.Dtype, dim: int, side: int, layout: MemoryLayout, heads: int = 1
) -> tuple[mx.array, mx.array, mx.array, MemoryLayout]:
    """Arguments for `axial_rope` with strided heads, the same at every call.

    Args:
        dtype: of queries and keys.
        dim: channels per head.
        side: tokens per row of the grid.
        layout: how the keys are composed.
        heads: heads; their channels lie side by side, as projections leave them.

    Returns:
        q (1, heads, grid, dim), k (1, heads, layout.length, dim), the table and the layout.
    """
    random = np.random.default_rng(7)

    def heads_of(tokens: int) -> mx.array:
        x = random.standard_normal((1, tokens, heads, dim), dtype=np.float32)
        return mx.array(x).astype(dtype).transpose(0, 2, 1, 3)

    return heads_of(layout.grid), heads_of(layout.length), axial_table(side, dim), layout


def _trials(variant: Variant) -> Iterator[tuple[Any, ...]]:
    dtype, dim, side = FLOATS[str(variant[0])], int(variant[1]), int(variant[2])
    # Two frames show a table that is repeated the wrong way, a tail one that is too long.
    yield rope_example(dtype, dim, side, MemoryLayout(2, side * side, 5), heads=2)
    yield rope_example(dtype, dim, side, MemoryLayout(1, side * side))


KERNEL = Kernel(SOURCE, _launch, axial_rope_plain, _variant, _trials)


def axial_rope(
    q: mx.array, k: mx.array, table: mx.array, layout: MemoryLayout
) -> tuple[mx.array, mx.array]:
    """Rotate queries by their place in the grid, and keys by their place in their own frame.

    Args:
        q: (B, heads, grid, D) queries.
        k: (B, heads, layout.length, D) keys: frames of grid tokens, then the unrotated tail.
        table: `axial_table` of the grid.
        layout: how the keys are composed.

    Returns:
        Rotated q and k, in their own shapes and dtypes.

    Source: sam2/modeling/position_encoding.py, apply_rotary_enc. The table is tiled over the
    frames (0, 1, 2, ..., 0, 1, 2, ...), not repeated row by row.
    """
    assert k.shape[2] == layout.length and q.shape[2] == layout.grid == table.shape[0]
    rotated_q, rotated_k = KERNEL(q, k, table, layout)
    return rotated_q, rotated_k
