"""Axial rotary position encoding over a square grid of tokens, tiled over memory frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import numpy as np

from sam2_mlx.ops.cpu import rotate as cpu
from sam2_mlx.ops.derived import constant
from sam2_mlx.ops.device import on_cpu
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


def rotate(x: mx.array, table: mx.array) -> mx.array:
    """Turn grids of tokens, (..., grid, D)."""
    if on_cpu():
        return cpu.rotate(x, table)
    # Neighbouring channels are one complex number, so a complex view needs no shuffling.
    rotated = x.astype(mx.float32).view(mx.complex64) * table
    return rotated.view(mx.float32).astype(x.dtype)


def axial_rope_plain(
    q: mx.array, k: mx.array, table: mx.array, layout: MemoryLayout
) -> tuple[mx.array, mx.array]:
    """`axial_rope` in plain MLX; arguments and result are the same."""
    batch, heads, _, dim = k.shape
    rotated = layout.frames * layout.grid
    frames = k[:, :, :rotated].reshape(batch, heads, layout.frames, layout.grid, dim)
    frames = rotate(frames, table).reshape(batch, heads, rotated, dim)
    if layout.tail:
        frames = mx.concatenate([frames, k[:, :, rotated:]], axis=2)
    return rotate(q, table), frames


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
