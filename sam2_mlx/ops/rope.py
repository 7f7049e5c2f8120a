"""Axial rotary position encoding of a grid of queries, and of keys composed of frames."""

from __future__ import annotations

import math
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
    """How a sequence of keys is composed: frames of one make, one after the other, and a tail.

    Attributes:
        frames: spatial memories.
        side: rows and columns of the square grid of tokens that ends each frame. They are rotated
            by their place in it, row by row.
        plain: tokens of each frame ahead of its grid, without a place in the picture.
        tail: tokens after the last frame, without a place either (object pointers).
    """

    frames: int
    side: int
    plain: int = 0
    tail: int = 0

    @property
    def per_frame(self) -> int:
        """Tokens of one frame."""
        return self.plain + self.side**2

    @property
    def length(self) -> int:
        """Number of keys."""
        return self.frames * self.per_frame + self.tail


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
    q: mx.array, k: mx.array, layout: MemoryLayout, theta: float = 10000.0
) -> tuple[mx.array, mx.array]:
    """`axial_rope` in plain MLX; arguments and result are the same."""
    batch, heads, _, dim = k.shape
    table = axial_table(layout.side, dim, theta)
    framed, plain = layout.frames * layout.per_frame, layout.plain
    frames = k[:, :, :framed].reshape(batch, heads, layout.frames, layout.per_frame, dim)
    turned = rotate(frames[..., plain:, :], table)
    if plain:
        turned = mx.concatenate([frames[..., :plain, :], turned], axis=3)
    keys = turned.reshape(batch, heads, framed, dim)
    if layout.tail:
        keys = mx.concatenate([keys, k[:, :, framed:]], axis=2)
    return rotate(q, axial_table(_side(q), dim, theta)), keys


def _side(q: mx.array) -> int:
    """Rows and columns of the square grid of queries."""
    return math.isqrt(q.shape[2])


def _launch(
    function: MetalFunction, q: mx.array, k: mx.array, layout: MemoryLayout, theta: float = 10000.0
) -> tuple[mx.array, ...]:
    sides = _side(q), layout.side
    # The first row of the larger grid has the turns of both.
    table = axial_table(max(sides), q.shape[3], theta)
    return launch(function, q, k, table, sides, (layout.plain, layout.frames * layout.per_frame))


def _variant(
    q: mx.array, k: mx.array, layout: MemoryLayout, theta: float = 10000.0
) -> Variant | None:
    dtype, dim = dtype_name(q.dtype), q.shape[3]
    fits = dtype in FLOATS and k.dtype == q.dtype and dim % 4 == 0
    return (dtype, dim, _side(q), layout.side, layout.plain) if fits else None


def rope_example(
    dtype: mx.Dtype, dim: int, side: int, layout: MemoryLayout, heads: int = 1
) -> tuple[mx.array, mx.array, MemoryLayout]:
    """Arguments for `axial_rope` with strided heads, the same at every call.

    Args:
        dtype: of queries and keys.
        dim: channels per head.
        side: queries per row of their grid.
        layout: how the keys are composed.
        heads: heads; their channels lie side by side, as projections leave them.

    Returns:
        q (1, heads, side*side, dim), k (1, heads, layout.length, dim) and the layout.
    """
    random = np.random.default_rng(7)

    def heads_of(tokens: int) -> mx.array:
        x = random.standard_normal((1, tokens, heads, dim), dtype=np.float32)
        return mx.array(x).astype(dtype).transpose(0, 2, 1, 3)

    return heads_of(side * side), heads_of(layout.length), layout


def _trials(variant: Variant) -> Iterator[tuple[Any, ...]]:
    name, *sizes = variant
    dim, side, key_side, plain = map(int, sizes)
    # Two frames show a table that is repeated the wrong way, a tail one that is too long.
    for frames, tail, heads in ((2, 5, 2), (1, 0, 1)):
        layout = MemoryLayout(frames, key_side, plain, tail)
        yield rope_example(FLOATS[str(name)], dim, side, layout, heads)


KERNEL = Kernel(SOURCE, _launch, axial_rope_plain, _variant, _trials)


def axial_rope(
    q: mx.array, k: mx.array, layout: MemoryLayout, theta: float = 10000.0
) -> tuple[mx.array, mx.array]:
    """Rotate queries by their place in their grid, and keys by their place in their frame's grid.

    Places are counted in tokens of the grid, whatever part of the picture a token is.

    Args:
        q: (B, heads, N, D) queries of a square grid.
        k: (B, heads, layout.length, D) keys.
        layout: how the keys are composed.
        theta: base of the frequencies.

    Returns:
        Rotated q and k, in their own shapes and dtypes.

    Source: sam2/modeling/position_encoding.py, apply_rotary_enc. The table is tiled over the
    frames (0, 1, 2, ..., 0, 1, 2, ...), not repeated row by row. With plain tokens: EdgeTAM's
    apply_rotary_enc_v2.
    """
    assert k.shape[2] == layout.length and q.shape[2] == _side(q) ** 2
    rotated_q, rotated_k = KERNEL(q, k, layout, theta)
    return rotated_q, rotated_k
