from __future__ import annotations

import mlx.core as mx
import numpy as np
import pytest

from sam2_mlx.ops.rope import MemoryLayout, axial_rope

SIDE, DIM = 4, 8


def _turned(x: np.ndarray, place: int, side: int = SIDE) -> np.ndarray:
    """One token turned by hand: the first half of the pairs with x, the second with y."""
    out = x.astype(np.float64).copy()
    quarter = DIM // 4
    for pair in range(DIM // 2):
        axis = place % side if pair < quarter else place // side
        angle = axis * 10000.0 ** (-4 * (pair % quarter) / DIM)
        a, b = out[2 * pair], out[2 * pair + 1]
        out[2 * pair] = a * np.cos(angle) - b * np.sin(angle)
        out[2 * pair + 1] = a * np.sin(angle) + b * np.cos(angle)
    return out


def _inputs(layout: MemoryLayout) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    q = rng.standard_normal((1, 1, SIDE**2, DIM)).astype(np.float32)
    return q, rng.standard_normal((1, 1, layout.length, DIM)).astype(np.float32)


@pytest.mark.parametrize(
    "layout",
    [
        MemoryLayout(1, SIDE),
        MemoryLayout(2, SIDE),
        MemoryLayout(3, SIDE, tail=8),
        MemoryLayout(2, 3, plain=5, tail=8),
        MemoryLayout(2, 6, plain=1),
    ],
)
def test_keys_are_turned_frame_by_frame_and_the_tail_is_left(layout: MemoryLayout) -> None:
    q, k = _inputs(layout)
    got_q, got_k = axial_rope(mx.array(q), mx.array(k), layout)
    for place in range(SIDE**2):
        np.testing.assert_allclose(got_q[0, 0, place], _turned(q[0, 0, place], place), atol=1e-6)
    for token in range(layout.length):
        place = token % (layout.plain + layout.side**2) - layout.plain
        tail = token >= layout.length - layout.tail
        want = k[0, 0, token]
        if not tail and place >= 0:
            want = _turned(want, place, layout.side)
        np.testing.assert_allclose(got_k[0, 0, token], want, atol=1e-6)


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16])
def test_half_precision_is_rounded_once(dtype: mx.Dtype) -> None:
    layout = MemoryLayout(2, SIDE, tail=4)
    q, k = (mx.array(x).astype(dtype) for x in _inputs(layout))
    exact = axial_rope(q.astype(mx.float32), k.astype(mx.float32), layout)
    for got, want in zip(axial_rope(q, k, layout), exact, strict=True):
        assert got.dtype == dtype
        assert mx.array_equal(got, want.astype(dtype))
