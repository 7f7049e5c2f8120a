from __future__ import annotations

import mlx.core as mx
import numpy as np
import pytest
from PIL import Image

from sam2_mlx.ops.resize import resize_maps, resize_matrix


@pytest.mark.parametrize("kind", ["bilinear", "antialias", "bicubic"])
@pytest.mark.parametrize(("n_in", "n_out"), [(7, 64), (64, 17), (5, 5), (1, 9), (256, 720)])
def test_rows_sum_to_one(kind: str, n_in: int, n_out: int) -> None:
    matrix = np.array(resize_matrix(n_in, n_out, kind))
    assert matrix.shape == (n_out, n_in)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-6)


def test_same_size_is_the_identity() -> None:
    for kind in ("bilinear", "antialias", "bicubic"):
        np.testing.assert_allclose(np.array(resize_matrix(6, 6, kind)), np.eye(6), atol=1e-7)


def test_bilinear_by_hand() -> None:
    want = [[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]]
    np.testing.assert_allclose(np.array(resize_matrix(2, 4, "bilinear")), want)


def test_bicubic_by_hand() -> None:
    # Halfway between two pixels and a = -0.75: (-3, 19, 19, -3) / 32; the border is repeated.
    got = np.array(resize_matrix(4, 2, "bicubic"))
    np.testing.assert_allclose(got[0], [16 / 32, 19 / 32, -3 / 32, 0], atol=1e-7)
    np.testing.assert_allclose(got[1], [0, -3 / 32, 19 / 32, 16 / 32], atol=1e-7)


@pytest.mark.parametrize("size", [(24, 31), (200, 90), (64, 96)])
def test_antialias_equals_pillow(size: tuple[int, int]) -> None:
    values = np.random.default_rng(0).random((64, 96)).astype(np.float32)
    want = Image.fromarray(values).resize(size[::-1], Image.Resampling.BILINEAR)
    got = resize_maps(mx.array(values), size, "antialias")
    np.testing.assert_allclose(np.array(got), np.asarray(want), atol=2e-6)


def test_leading_axes_and_dtype() -> None:
    maps = mx.random.normal((2, 3, 8, 8)).astype(mx.float16)
    out = resize_maps(maps, (12, 20))
    assert out.shape == (2, 3, 12, 20)
    assert out.dtype == mx.float32
    assert mx.allclose(out[1, 2], resize_maps(maps[1, 2], (12, 20)), atol=1e-6)
