from __future__ import annotations

import mlx.core as mx
import numpy as np
import pytest

from sam2_mlx.ops.rope import MemoryLayout, axial_rope, axial_table

SIDE, DIM = 4, 8


def _turned(x: np.ndarray, place: int) -> np.ndarray:
    """One token turned by hand: the first half of the pairs with x, the second with y."""
    out = x.astype(np.float64).copy()
    quarter = DIM // 4
    for pair in range(DIM // 2):
        axis = place % SIDE if pair < quarter else place // SIDE
        angle = axis * 10000.0 ** (-4 * (pair % quarter) / DIM)
        a, b = out[2 * pair], out[2 * pair + 1]
        out[2 * pair] = a * np.cos(angle) - b * np.sin(angle)
        out[2 * pair + 1] = a * np.sin(angle) + b * np.cos(angle)
    return out


def _inputs(layout: MemoryLayout) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    q = rng.standard_normal((1, 1, layout.grid, DIM)).astype(np.float32)
    return q, rng.standard_normal((1, 1, layout.length, DIM)).astype(np.float32)


@pytest.mark.parametrize(("frames", "tail"), [(1, 0), (2, 0), (3, 8)])
def test_keys_are_tiled_and_the_tail_is_left(frames: int, tail: int) -> None:
    layout = MemoryLayout(frames, SIDE * SIDE, tail)
    q, k = _inputs(layout)
    got_q, got_k = axial_rope(mx.array(q), mx.array(k), axial_table(SIDE, DIM), layout)
    for place in range(layout.grid):
        np.testing.assert_allclose(got_q[0, 0, place], _turned(q[0, 0, place], place), atol=1e-6)
    for token in range(frames * layout.grid):
        want = _turned(k[0, 0, token], token % layout.grid)
        np.testing.assert_allclose(got_k[0, 0, token], want, atol=1e-6)
    np.testing.assert_array_equal(
        got_k[0, 0, frames * layout.grid :], k[0, 0, -tail or None :][:tail]
    )


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16])
def test_half_precision_is_rounded_once(dtype: mx.Dtype) -> None:
    layout = MemoryLayout(2, SIDE * SIDE, 4)
    q, k = (mx.array(x).astype(dtype) for x in _inputs(layout))
    table = axial_table(SIDE, DIM)
    exact = axial_rope(q.astype(mx.float32), k.astype(mx.float32), table, layout)
    for got, want in zip(axial_rope(q, k, table, layout), exact, strict=True):
        assert got.dtype == dtype
        assert mx.array_equal(got, want.astype(dtype))
