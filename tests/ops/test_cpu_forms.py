"""The forms chosen on a CPU against the plain ones."""

from __future__ import annotations

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest

from sam2_mlx.ops import attention as attention_module
from sam2_mlx.ops.activations import gelu
from sam2_mlx.ops.attention import attention
from sam2_mlx.ops.exponential import exp2_cpu


def test_exp2() -> None:
    x = np.linspace(-126, 40, 200_001).astype(np.float32)
    want = np.exp2(x.astype(np.float64))
    got = np.array(exp2_cpu(mx.array(x)), np.float64)
    assert np.abs(got / want - 1).max() < 4e-7
    edges = exp2_cpu(mx.array([0.0, 1.0, -1.0, -1e9, -float("inf")]))
    np.testing.assert_allclose(edges, [1, 2, 0.5, 2.0**-126, 2.0**-126], rtol=1e-6)


def test_gelu() -> None:
    x = mx.array(np.linspace(-30, 30, 100_001).astype(np.float32))
    assert mx.abs(gelu(x) - nn.gelu(x)).max().item() < 3e-6
    assert gelu(x.astype(mx.float16)).dtype == mx.float16


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
    for name in ("_CPU_SCORES", "_GPU_SCORES"):
        monkeypatch.setattr(attention_module, name, limit)
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
