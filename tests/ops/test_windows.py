from __future__ import annotations

import mlx.core as mx
import pytest

from sam2_mlx.ops.windows import grid_to_windows, padded, reorder, windows_to_grid


@pytest.mark.parametrize(("height", "width", "window"), [(8, 8, 4), (9, 6, 4), (3, 5, 8)])
def test_round_trip(height: int, width: int, window: int) -> None:
    x = mx.random.normal((2 * height * width, 3))
    windows = grid_to_windows(x, (height, width), window)
    assert windows.shape == (2 * padded(height, window) * padded(width, window), 3)
    assert mx.array_equal(windows_to_grid(windows, (height, width), window), x)


def test_order_and_padding() -> None:
    windows = grid_to_windows(mx.arange(1, 7)[:, None], (2, 3), 2)
    assert windows.reshape(2, 2, 2).tolist() == [[[1, 2], [4, 5]], [[3, 0], [6, 0]]]


@pytest.mark.parametrize("before", [0, 2, 4])
@pytest.mark.parametrize("after", [0, 2, 4])
def test_reordering(before: int, after: int) -> None:
    grid = (8, 4)
    rows = mx.arange(2 * 8 * 4 * 3).reshape(-1, 3)

    def ordered(window: int) -> mx.array:
        return reorder(rows, grid, 0, window)

    assert mx.array_equal(reorder(ordered(before), grid, before, after), ordered(after))
    if after:
        first = ordered(after)[: after**2].reshape(after, after, 3)
        assert mx.array_equal(first, rows.reshape(2, *grid, 3)[0, :after, :after])
