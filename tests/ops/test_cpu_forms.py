"""The forms chosen on a CPU against the plain ones."""

from __future__ import annotations

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest

from sam2_mlx.ops.activations import gelu
from sam2_mlx.ops.attention import attention
from sam2_mlx.ops.cpu import attention as cpu_attention
from sam2_mlx.ops.cpu.exponential import row_maximum, softmax_weights
from sam2_mlx.ops.pooling import pool2x
from sam2_mlx.ops.products import conv2d


@pytest.mark.parametrize("length", [5, 64, 192, 1000])
def test_softmax_weights(length: int) -> None:
    rng = np.random.default_rng(0)
    scores = rng.uniform(-150, 20, (50, length)).astype(np.float32)
    below = (scores - scores.max(-1, keepdims=True)).astype(np.float64)
    got = np.array(softmax_weights(mx.array(scores)), np.float64)
    assert np.abs(got / np.exp2(np.maximum(below, -126)) - 1).max() < 4e-7
    edges = softmax_weights(mx.array([[3.0, 2.0, -1e9, -float("inf")]]))
    np.testing.assert_allclose(np.array(edges), [[1, 0.5, 2.0**-126, 2.0**-126]], rtol=1e-6)


@pytest.mark.parametrize("length", [1, 5, 48, 64, 256, 1000, 4096])
def test_row_maximum(length: int) -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, length)).astype(np.float32)
    np.testing.assert_array_equal(np.array(row_maximum(mx.array(x))), x.max(-1, keepdims=True))


def test_gelu() -> None:
    x = mx.array(np.linspace(-30, 30, 100_001).astype(np.float32))
    assert mx.abs(gelu(x) - nn.gelu(x)).max().item() < 3e-6
    assert gelu(x.astype(mx.float16)).dtype == mx.float16
    large = mx.array([-1e30, -1e10, -100.0, 0.0, 100.0, 1e10, 1e30])
    np.testing.assert_array_equal(np.array(gelu(large)), np.maximum(np.array(large), 0))


@pytest.mark.parametrize(
    ("queries", "keys", "dims", "value_dims"), [(70, 50, 16, 16), (33, 200, 32, 8)]
)
@pytest.mark.parametrize("limit", [1, 2**22])
def test_attention(
    monkeypatch: pytest.MonkeyPatch,
    queries: int,
    keys: int,
    dims: int,
    value_dims: int,
    limit: int,
) -> None:
    monkeypatch.setattr(cpu_attention, "SCORES", limit)
    rng = np.random.default_rng(0)
    q = 3 * rng.standard_normal((1, 2, queries, dims))
    k, v = rng.standard_normal((2, 2, keys, dims)), rng.standard_normal((2, 2, keys, value_dims))
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(dims)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    want = weights / weights.sum(-1, keepdims=True) @ v
    for dtype, tolerance in ((mx.float32, 3e-6), (mx.float16, 8e-3), (mx.bfloat16, 6e-2)):
        got = attention(*(mx.array(x).astype(dtype) for x in (q, k, v)))
        assert got.dtype == dtype
        np.testing.assert_allclose(np.array(got.astype(mx.float32)), want, atol=tolerance)


@pytest.mark.parametrize("limit", [1, 300, 2**10, 2**22])
@pytest.mark.parametrize("shared", [True, False])
def test_batches_in_attention(monkeypatch: pytest.MonkeyPatch, limit: int, shared: bool) -> None:
    monkeypatch.setattr(cpu_attention, "SCORES", limit)
    rng = np.random.default_rng(0)
    q = rng.standard_normal((1 if shared else 5, 2, 70, 8))
    k, v = rng.standard_normal((5, 2, 3, 8)), rng.standard_normal((5, 2, 3, 4))
    weights = np.exp(q @ k.swapaxes(-1, -2) / np.sqrt(8))
    want = weights / weights.sum(-1, keepdims=True) @ v
    got = attention(*(mx.array(x.astype(np.float32)) for x in (q, k, v)))
    np.testing.assert_allclose(np.array(got), want, atol=2e-6)


@pytest.mark.parametrize("batch", [1, 2])
def test_depthwise(batch: int) -> None:
    rng = np.random.default_rng(0)
    x, weight = (
        mx.array(rng.standard_normal(shape).astype(np.float32))
        for shape in ((batch, 9, 12, 6), (6, 7, 7, 1))
    )

    def ours(x: mx.array, weight: mx.array) -> mx.array:
        return conv2d(x, weight, (1, 1), (3, 3), 6)

    plain = mx.conv2d(x, weight, padding=3, groups=6)
    np.testing.assert_allclose(np.array(ours(x, weight)), np.array(plain), atol=1e-5)
    half = ours(x.astype(mx.float16), weight.astype(mx.float16))
    assert half.dtype == mx.float16
    np.testing.assert_allclose(np.array(half), np.array(plain), atol=5e-2)


@pytest.mark.parametrize("size", [(4, 6), (5, 7)])
def test_pooling(size: tuple[int, int]) -> None:
    x = mx.random.normal((2, *size, 3))
    want = nn.MaxPool2d(2, 2)(x)
    assert mx.array_equal(pool2x(x.reshape(-1, 3), size), want.reshape(-1, 3))


def test_pooling_a_view() -> None:
    joint = mx.random.normal((2, 4 * 6, 9))
    heads = joint.reshape(2, 4 * 6, 3, 3).transpose(0, 2, 1, 3)[:, 1:]
    want = nn.MaxPool2d(2, 2)(mx.contiguous(heads).reshape(4, 4, 6, 3))
    got = pool2x(heads, (4, 6))
    assert got.shape == (2, 2, 6, 3)
    assert mx.array_equal(got.reshape(want.shape), want)


@pytest.mark.parametrize(
    ("stride", "padding", "groups"), [(2, 1, 6), (1, 0, 6), (1, 1, 1), (1, 1, 2), (2, 1, 1)]
)
def test_other_convolutions(stride: int, padding: int, groups: int) -> None:
    x, weight = mx.random.normal((2, 9, 12, 6)), mx.random.normal((6, 3, 3, 6 // groups))
    got = conv2d(x, weight, (stride, stride), (padding, padding), groups)
    want = mx.conv2d(x, weight, stride, padding, 1, groups)
    np.testing.assert_allclose(np.array(got), np.array(want), atol=1e-5)
