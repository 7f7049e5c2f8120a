"""Properties that functions are decorated with: the same result, in parts where that pays."""

from __future__ import annotations

import mlx.core as mx
import numpy as np
import pytest

from sam2_mlx.ops.cpu import lanes
from sam2_mlx.ops.independent import by_band, by_grid, by_row
from tests.spread import spread_over

pytestmark = pytest.mark.skipif(mx.default_device().type != mx.cpu, reason="a CPU's form")


@pytest.fixture(autouse=True)
def two_lanes(monkeypatch: pytest.MonkeyPatch) -> None:
    spread_over(monkeypatch, 2)
    monkeypatch.setattr(lanes, "_LEAST_PIXELS", 1)


@pytest.mark.parametrize("leading", [(8,), (1, 8), (2, 6), (1, 4, 6)])
def test_rows(leading: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = mx.random.normal((*leading, 3)), mx.random.normal((*leading, 3))
    monkeypatch.setattr(lanes, "_LEAST_VALUES", x.size // 2)
    parts: list[tuple[int, ...]] = []

    @by_row
    def add(x: mx.array, factor: float, y: mx.array) -> tuple[mx.array, mx.array]:
        parts.append(x.shape[:-1])
        return x + factor * y, x.sum(-1, keepdims=True)

    total, sums = add(x, 2.0, y)
    assert mx.array_equal(total, x + 2 * y) and mx.array_equal(sums, x.sum(-1, keepdims=True))
    # The longest axis is halved.
    half = list(leading)
    half[leading.index(max(leading))] //= 2
    assert parts == [tuple(half)] * 2


def test_rows_that_are_shared_stay_whole() -> None:
    shapes = []

    @by_row
    def add(x: mx.array, y: mx.array) -> mx.array:
        shapes.append(x.shape)
        return x + y

    x, y = mx.random.normal((4, 6, 3)), mx.random.normal((1, 6, 3))
    assert mx.array_equal(add(x, y), x + y) and shapes == [(4, 6, 3)]


@pytest.mark.parametrize("shared", [True, False])
def test_grids(shared: bool) -> None:
    own, memory = mx.random.normal((4 * 6, 2)), mx.random.normal((4, 7, 2))
    x = mx.random.normal((6, 2)) if shared else own
    grids = []

    @by_grid
    def attend(x: mx.array, memory: mx.array, scale: float, grid: tuple[int, int]) -> mx.array:
        grids.append((len(memory), grid))
        tokens = x.reshape(-1, 6, 2)
        return (scale * tokens @ memory.transpose(0, 2, 1) @ memory).reshape(-1, 2)

    got = attend(x, memory, 0.5, (2, 3))
    assert grids == [(2, (2, 3))] * 2
    want = 0.5 * x.reshape(-1, 6, 2) @ memory.transpose(0, 2, 1) @ memory
    np.testing.assert_allclose(np.array(got), np.array(want.reshape(-1, 2)), atol=1e-5)


def test_bands_see_what_is_above() -> None:
    weight = mx.random.normal((3, 3, 3, 2))
    heights = []

    @by_band(2)
    def convolve(x: mx.array) -> mx.array:
        heights.append(x.shape[1])
        return mx.conv2d(x, weight, stride=2, padding=1)

    x = mx.random.normal((1, 12, 8, 2))
    got, want = convolve(x), mx.conv2d(x, weight, stride=2, padding=1)
    assert heights == [6, 8]
    np.testing.assert_allclose(np.array(got), np.array(want), atol=1e-5)
