"""Attention without a score matrix: kernel against twin on the emulator, twin against numpy."""

from __future__ import annotations

import mlx.core as mx
import numpy as np
import pytest

from sam2_mlx.ops import attention, flash
from sam2_mlx.ops.flash import flash_example
from sam2_mlx.ops.metal import oracle
from sam2_mlx.ops.metal.flash_attention import SOURCE
from sam2_mlx.ops.metal.kernel import FLOATS, disagreement, relative_error


def both(emulated, arguments):
    return flash._launch(emulated, *arguments), flash.in_chunks(*arguments)


@pytest.fixture
def kernel(emulate):
    return emulate(SOURCE.build())


@pytest.mark.parametrize("dtype", FLOATS.values(), ids=FLOATS)
def test_kernel_equals_twin_at_the_widths_of_the_memory(kernel, dtype):
    assert not disagreement(*both(kernel, flash_example(dtype, 1, 40, 37, 256, 64)))


@pytest.mark.parametrize("queries, keys", [(1, 1), (8, 16), (32, 17), (33, 15), (70, 100)])
def test_odd_numbers_of_queries_and_keys(kernel, queries, keys):
    arguments = flash_example(mx.float32, 2, queries, keys, 24, 16)
    assert not disagreement(*both(kernel, arguments))


@pytest.mark.parametrize("dims, width", [(8, 8), (128, 64), (40, 24)])
def test_widths(kernel, dims, width):
    assert not disagreement(*both(kernel, flash_example(mx.float16, 1, 9, 20, dims, width)))


def test_each_item_and_head_has_its_own_keys(kernel):
    random = np.random.default_rng(1)

    def normal(*shape):
        return mx.array(random.standard_normal(shape, dtype=np.float32))

    arguments = normal(2, 3, 35, 16), normal(2, 3, 18, 16), normal(2, 3, 18, 8), 0.3
    assert not disagreement(*both(kernel, arguments))


def test_strided_and_offset_views(kernel):
    """Heads as slices of a joint projection, keys backwards, values from the middle of an array."""
    random = np.random.default_rng(2)

    def normal(*shape):
        return mx.array(random.standard_normal(shape, dtype=np.float32)).astype(mx.float16)

    joint = normal(2, 21, 5, 16).transpose(0, 2, 1, 3)
    values = normal(2, 4, 30, 20)[:, 1:3, 3:24, 4:12]
    arguments = joint[:, 1:3], joint[:, 3:5, ::-1], values, 0.25
    assert not disagreement(*both(kernel, arguments))


def test_scores_far_apart(kernel):
    """A late key that outweighs all before it, and scores that would overflow without a shift."""
    q, k, v, _ = flash_example(mx.float32, 1, 9, 50, 16, 8)
    got, wanted = both(kernel, (q, k, v, 60.0))
    assert float(mx.abs(wanted[0]).max()) > 0.5
    assert not disagreement(got, wanted)


def test_kernel_and_twin_equal_the_oracle(kernel):
    arguments = flash_example(mx.float32, 2, 33, 41, 32, 16)
    wanted = oracle.attention(*map(np.array, arguments[:3]), arguments[3])
    for found in both(kernel, arguments):
        assert relative_error(found[0], mx.array(wanted.astype(np.float32))) < 2e-6


def test_chunks_equal_the_whole(monkeypatch):
    arguments = flash_example(mx.float32, 2, 200, 30, 32, 16)
    whole = flash.in_chunks(*arguments)[0]
    monkeypatch.setattr(flash, "SCORES", 64 * 60)
    assert mx.allclose(flash.in_chunks(*arguments)[0], whole, atol=1e-6)


def test_attention_asks_for_it_on_a_gpu_only(monkeypatch):
    asked = []
    monkeypatch.setattr(
        flash, "RACE", lambda *a: (asked.append(a[0].shape), *flash.in_chunks(*a))[1:]
    )
    q, k, v, scale = flash_example(mx.float32, 1, 8, 8, 256, 64)
    plain = attention.attention(q, k, v, scale)
    assert not asked
    monkeypatch.setattr(attention.mx, "default_device", lambda: mx.Device(mx.gpu))
    assert mx.allclose(attention.attention(q, k, v, scale), plain, atol=1e-5)
    assert asked == [q.shape]


def test_unsupported_arguments_take_the_twin():
    variant = flash.KERNEL.variant
    q, k, v, scale = flash_example(mx.float16, 2, 8, 8, 256, 64)
    assert variant(q, k, v, scale) == ("float16", 256, 64)
    assert variant(q, k, k, scale) is None  # values as wide as keys
    assert variant(q[..., :20], k[..., :20], v, scale) is None
    assert variant(q.astype(mx.float32), k, v, scale) is None
    assert variant(mx.concatenate([q] * 3), k, v, scale) is None
    assert variant(q, k, v[:, :, :4], scale) is None
