"""Residual sum and LayerNorm: kernel against twin on the emulator, twin against numpy."""

from __future__ import annotations

import mlx.core as mx
import numpy as np
import pytest

from sam2_mlx.ops import residual_norm
from sam2_mlx.ops.metal import oracle
from sam2_mlx.ops.metal.kernel import FLOATS, disagreement
from sam2_mlx.ops.metal.residual_norm import SOURCE
from sam2_mlx.ops.residual_norm import add_layer_norm, norm_example


def both(emulated, arguments):
    return residual_norm.launch(emulated, *arguments), residual_norm._plain(*arguments)


@pytest.mark.parametrize("dtype", FLOATS.values(), ids=FLOATS)
@pytest.mark.parametrize("rows", [1, 13])
def test_kernel_equals_twin(emulate, dtype, rows):
    got, wanted = both(emulate(SOURCE.build()), norm_example(dtype, rows, 96))
    assert not disagreement(got, wanted)
    assert mx.array_equal(got[0], wanted[0])


@pytest.mark.parametrize("channels", [1, 31, 33, 144])
def test_odd_widths(emulate, channels):
    assert not disagreement(*both(emulate(SOURCE.build()), norm_example(mx.float32, 9, channels)))


def test_strided_and_offset_rows(emulate):
    x, y, weight, bias, eps = norm_example(mx.float16, 24, 100)
    arguments = x[1::2, 4:], y[::2, ::-1][:, :96], weight[2:98], bias[::-1][:96], eps
    assert not disagreement(*both(emulate(SOURCE.build()), arguments))


@pytest.mark.parametrize("channels", [4, 256])
def test_one_row_for_all(emulate, channels):
    x, y, weight, bias, eps = norm_example(mx.float16, 24, channels)
    arguments = x, mx.broadcast_to(y[3], x.shape), weight, bias, eps
    assert not disagreement(*both(emulate(SOURCE.build()), arguments))


def test_constant_rows(emulate):
    x, y, weight, bias, eps = norm_example(mx.float32, 8, 96)
    got, wanted = both(emulate(SOURCE.build()), (x * 0 + 5, y * 0, weight, bias, eps))
    assert not disagreement(got, wanted)


def test_twin_equals_oracle():
    x, y, weight, bias, eps = norm_example(mx.float32, 2 * 3, 96)
    total, normed = add_layer_norm(x.reshape(2, 3, 96), y.reshape(2, 3, 96), weight, bias, eps)
    wanted = oracle.add_layer_norm(*map(np.array, (x, y, weight, bias)), eps)
    np.testing.assert_allclose(np.array(normed).reshape(6, 96), wanted, atol=1e-5)
    assert mx.array_equal(total.reshape(6, 96), x + y)


def test_a_batch_may_share_one_of_them():
    x, y, weight, bias, eps = norm_example(mx.float32, 6, 96)
    y = y.reshape(2, 3, 96)
    got = add_layer_norm(x[:3], y, weight, bias, eps)
    wanted = add_layer_norm(mx.tile(x[:3], (2, 1)), y.reshape(6, 96), weight, bias, eps)
    for ours, theirs in zip(got, wanted, strict=True):
        assert mx.allclose(ours.reshape(6, 96), theirs, atol=1e-6)


def test_unsupported_arguments_take_the_twin():
    x, y, weight, bias, eps = norm_example(mx.float32, 4, 96)
    variant = residual_norm.KERNEL.variant
    assert variant(x, y, weight, bias, eps) == ("float32", 96)
    assert variant(x, y.astype(mx.float16), weight, bias, eps) is None
    wide = norm_example(mx.float32, 1, 2000)
    assert variant(*wide) is None
