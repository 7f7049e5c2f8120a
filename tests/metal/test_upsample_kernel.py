"""Enlarging masks: kernel against twin on the emulator, twin against numpy."""

from __future__ import annotations

import mlx.core as mx
import numpy as np
import pytest

from sam2_mlx.ops import upsample
from sam2_mlx.ops.metal import oracle
from sam2_mlx.ops.metal.kernel import FLOATS, disagreement
from sam2_mlx.ops.metal.upsample import BINARISE, SIGMOID, SOURCE, THRESHOLD

MODES = {"threshold": THRESHOLD, "sigmoid": SIGMOID, "binarise": BINARISE}
SIZES = [((16, 16), (45, 61)), ((9, 7), (8, 8)), ((8, 12), (24, 12)), ((5, 5), (33, 8))]


def logits(*shape: int, dtype: mx.Dtype = mx.float32) -> mx.array:
    return mx.array(np.random.default_rng(2).standard_normal(shape) * 8).astype(dtype)


def both(emulated, maps, size, mode, dtype):
    got = upsample._launch(emulated, maps, size, mode, dtype)
    return got, upsample._upsample_plain(maps, size, mode, dtype)


def near_zero(maps, size):
    """Where rounding decides on which side of zero a value is."""
    return np.abs(oracle.bilinear(np.array(maps.astype(mx.float32)), size)) < 1e-4


@pytest.mark.parametrize("given, size", SIZES)
@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
def test_kernel_equals_twin(emulate, given, size, mode):
    maps = logits(3, *given)
    dtype = mx.uint8 if mode == THRESHOLD else mx.float32
    got, wanted = both(emulate(SOURCE.build()), maps, size, mode, dtype)
    if mode == SIGMOID:
        assert not disagreement(got, wanted)
    else:
        different = np.array(got[0]) != np.array(wanted[0])
        assert not (different & ~near_zero(maps, size)).any()


@pytest.mark.parametrize("dtype", FLOATS.values(), ids=FLOATS)
@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
def test_dtypes(emulate, dtype, mode):
    written = mx.uint8 if mode == THRESHOLD else dtype
    for maps, size, _, _ in upsample._trials((str(dtype)[9:], str(written)[9:], mode)):
        # Strided: every second map of a stack, and transposed.
        stack = mx.repeat(maps, 2, axis=0).transpose(0, 2, 1)[::2]
        for x in (maps, stack):
            assert not disagreement(*both(emulate(SOURCE.build()), x, size, mode, written))


def test_absent_objects_and_large_logits(emulate):
    maps = mx.concatenate([mx.full((1, 8, 8), -1024.0), logits(1, 8, 8) * 1e4])
    got, wanted = both(emulate(SOURCE.build()), maps, (32, 32), SIGMOID, mx.float32)
    assert not disagreement(got, wanted)
    assert mx.all(got[0][0] == -10)


@pytest.mark.parametrize("given, size", SIZES)
def test_threshold_twin_equals_oracle(given, size):
    maps = logits(2, 1, *given)
    got = upsample.upsample_threshold(maps, size)
    wanted = oracle.bilinear(np.array(maps), size) > 0
    assert got.dtype == mx.uint8 and got.shape == (2, 1, *size)
    assert not ((np.array(got) != wanted) & ~near_zero(maps, size)).any()


@pytest.mark.parametrize("binarise", [False, True])
def test_memory_twin_equals_oracle(binarise):
    maps = logits(2, 1, 16, 16)
    got = upsample.upsample_for_memory(maps, (64, 64), binarise, mx.float32)
    wanted = oracle.memory_mask(np.array(maps), (64, 64), binarise)
    assert got.shape == (2, 1, 64, 64)
    close = np.abs(np.array(got) - wanted) < 2e-5
    assert (close | (near_zero(maps, (64, 64)) & binarise)).all()


@pytest.mark.parametrize("n_in, n_out", [(1, 4), (2, 2), (5, 5), (256, 1080), (7, 3), (3, 64)])
def test_taps_are_all_there_is_of_a_row(n_in, n_out):
    first, weights = (np.array(a) for a in upsample.bilinear_taps(n_in, n_out))
    rebuilt = np.zeros((n_out, n_in + 1), np.float32)
    rebuilt[np.arange(n_out), first] += weights[:, 0]
    rebuilt[np.arange(n_out), first + 1] += weights[:, 1]
    matrix = np.array(upsample.resize_matrix(n_in, n_out, "bilinear"))
    np.testing.assert_array_equal(rebuilt[:, :n_in], matrix)
    assert not rebuilt[:, n_in].any()


def test_trials_leave_no_doubt_about_zero():
    for maps, size, _, _ in upsample._trials(("float32", "uint8", THRESHOLD)):
        exact = oracle.bilinear(np.array(maps), size)
        # Either exactly zero, which both see, or clear of it.
        assert (np.abs(exact[exact != 0]) > 1e-3).all()
        assert {0, 1} == set(np.unique(exact > 0))
