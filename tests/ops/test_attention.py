"""Attention on the device that there is."""

from __future__ import annotations

import mlx.core as mx
import numpy as np
import pytest

from sam2_mlx.ops.attention import attention


@pytest.mark.parametrize("dtype", [mx.float32, mx.float16])
@pytest.mark.parametrize("queries", [1, 9])
def test_queries_that_a_batch_shares(dtype: mx.Dtype, queries: int) -> None:
    random = np.random.default_rng(3)
    shared = (
        mx.array(random.standard_normal((1, queries, 4, 16))).astype(dtype).transpose(0, 2, 1, 3)
    )
    keys, values = (mx.array(random.standard_normal((5, 4, 7, 16))).astype(dtype) for _ in range(2))
    together = attention(shared, keys, values)
    assert together.shape == (5, 4, queries, 16)
    alone = [attention(shared, keys[i : i + 1], values[i : i + 1]) for i in range(5)]
    np.testing.assert_allclose(np.array(together), np.array(mx.concatenate(alone)), atol=2e-3)
