"""Axial RoPE: kernel against twin on the emulator, twin against numpy."""

from __future__ import annotations

from dataclasses import replace

import mlx.core as mx
import numpy as np
import pytest

from sam2_mlx.ops import rope
from sam2_mlx.ops.metal import oracle
from sam2_mlx.ops.metal.axial_rope import SOURCE
from sam2_mlx.ops.metal.kernel import FLOATS
from sam2_mlx.ops.rope import MemoryLayout, axial_rope_plain, rope_example
from tests.metal.emulator.capture import capture, capture_obstacle

DTYPES = list(FLOATS.values())


def run(emulated, q, k, layout):
    return rope.KERNEL.launch(emulated, q, k, layout)


def assert_same(got, wanted):
    for ours, theirs in zip(got, wanted, strict=True):
        assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
        # The emulator does not contract, so the two round alike to the last bit.
        assert mx.array_equal(ours, theirs)


@pytest.mark.parametrize("dtype", DTYPES, ids=list(FLOATS))
@pytest.mark.parametrize("frames, tail", [(1, 0), (3, 5), (2, 64)])
def test_kernel_equals_twin(emulate, dtype, frames, tail):
    emulated = emulate(SOURCE.build())
    arguments = rope_example(dtype, 32, 4, MemoryLayout(frames, 4, tail=tail), heads=2)
    assert_same(run(emulated, *arguments), axial_rope_plain(*arguments))


@pytest.mark.parametrize("dim, side", [(4, 2), (12, 3), (8, 5)])
def test_odd_sizes(emulate, dim, side):
    arguments = rope_example(mx.float32, dim, side, MemoryLayout(2, side, tail=3), heads=3)
    assert_same(run(emulate(SOURCE.build()), *arguments), axial_rope_plain(*arguments))


@pytest.mark.parametrize("dtype", DTYPES, ids=list(FLOATS))
@pytest.mark.parametrize("side, key_side, plain", [(4, 2, 3), (2, 3, 0), (3, 3, 5)])
def test_a_grid_of_keys_of_its_own(emulate, dtype, side, key_side, plain):
    layout = MemoryLayout(3, key_side, plain, tail=5)
    arguments = rope_example(dtype, 32, side, layout, heads=2)
    assert_same(run(emulate(SOURCE.build()), *arguments), axial_rope_plain(*arguments))


@pytest.mark.parametrize("dtype", DTYPES, ids=list(FLOATS))
def test_slices_of_a_joint_projection(emulate, dtype):
    joint = mx.array(np.random.default_rng(0).standard_normal((2, 16, 3 * 32))).astype(dtype)
    q, k = joint[..., 32:64][:, None], joint[..., 64:][:, None]
    arguments = q, k, MemoryLayout(1, 4)
    assert_same(run(emulate(SOURCE.build()), *arguments), axial_rope_plain(*arguments))


def test_reversed_and_shared_inputs(emulate):
    x = mx.array(np.random.default_rng(0).standard_normal((3, 1, 37, 33)), mx.float32)
    q = mx.broadcast_to(x[:1, :, :16, 1:], (3, 1, 16, 32))
    k = x[:, :, ::-1, :32][..., ::-1]
    arguments = q, k, MemoryLayout(2, 4, tail=5)
    assert_same(run(emulate(SOURCE.build()), *arguments), axial_rope_plain(*arguments))


@pytest.mark.parametrize("q_batch, k_batch", [(1, 3), (3, 1)])
def test_one_of_the_two_may_be_shared_by_the_batch(emulate, q_batch, k_batch):
    q, k, layout = rope_example(mx.float32, 32, 4, MemoryLayout(2, 4, tail=5))
    q, k = mx.repeat(q, q_batch, 0), mx.repeat(k, k_batch, 0)
    got = run(emulate(SOURCE.build()), q, k, layout)
    assert_same(got, axial_rope_plain(q, k, layout))


def test_the_tail_is_copied(emulate):
    q, k, layout = rope_example(mx.bfloat16, 32, 4, MemoryLayout(2, 4, tail=5))
    _, turned = run(emulate(SOURCE.build()), q, k, layout)
    assert mx.array_equal(turned[:, :, 32:], k[:, :, 32:])
    assert not mx.array_equal(turned[:, :, :32], k[:, :, :32])


@pytest.mark.skipif(bool(capture_obstacle()), reason=str(capture_obstacle()))
def test_longer_memories_share_one_compiled_kernel():
    def source(frames: int) -> tuple[str, str]:
        seen = []

        def show(*, inputs, **call):
            seen.append(capture(SOURCE.build(), inputs, **call))
            return call["output_shapes"]

        run(show, *rope_example(mx.float16, 32, 4, MemoryLayout(frames, 4, tail=frames)))
        return seen[0].name, seen[0].source

    assert source(1) == source(7)


def test_keys_tiled_the_wrong_way_are_noticed(emulate):
    # The classic mistake: every row of the table repeated for each frame.
    assert "n % (P + V * V)" in SOURCE.body
    wrong = replace(
        SOURCE, body=SOURCE.body.replace("n % (P + V * V)", "n * (P + V * V) / k_shape[2]")
    )
    arguments = rope_example(mx.float32, 32, 4, MemoryLayout(2, 4))
    got = run(emulate(wrong.build()), *arguments)
    assert not mx.allclose(got[1], axial_rope_plain(*arguments)[1], atol=1e-2)


@pytest.mark.slow
def test_full_size(emulate):
    arguments = rope_example(mx.float16, 256, 64, MemoryLayout(7, 64, tail=64))
    assert_same(run(emulate(SOURCE.build()), *arguments), axial_rope_plain(*arguments))


@pytest.mark.parametrize("dim, side, frames, tail", [(32, 8, 3, 5), (64, 5, 1, 0), (4, 2, 2, 1)])
def test_twin_equals_oracle(dim, side, frames, tail):
    layout = MemoryLayout(frames, side, tail=tail)
    q, k, _ = rope_example(mx.float32, dim, side, layout, heads=2)
    got_q, got_k = axial_rope_plain(q, k, layout)
    np.testing.assert_allclose(got_q, oracle.rope(np.array(q), side, side * side), atol=3e-6)
    wanted = oracle.rope(np.array(k), side, frames * side * side)
    np.testing.assert_allclose(got_k, wanted, atol=3e-6)


def test_twin_equals_oracle_on_two_grids():
    layout = MemoryLayout(3, 4, plain=5, tail=7)
    q, k, _ = rope_example(mx.float32, 32, 8, layout, heads=2)
    got_q, got_k = axial_rope_plain(q, k, layout)
    np.testing.assert_allclose(got_q, oracle.rope(np.array(q), 8, 64), atol=3e-6)
    for frame in range(3):
        start = 21 * frame
        np.testing.assert_array_equal(got_k[:, :, start : start + 5], k[:, :, start : start + 5])
        grid = slice(start + 5, start + 21)
        wanted = oracle.rope(np.array(k[:, :, grid]), 4, 16)
        np.testing.assert_allclose(got_k[:, :, grid], wanted, atol=3e-6)
    np.testing.assert_array_equal(got_k[:, :, 63:], k[:, :, 63:])


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16])
def test_twin_rounds_once(dtype):
    q, k, layout = rope_example(dtype, 32, 8, MemoryLayout(2, 8, tail=5))
    exact = axial_rope_plain(q.astype(mx.float32), k.astype(mx.float32), layout)
    for ours, theirs in zip(axial_rope_plain(q, k, layout), exact, strict=True):
        assert mx.array_equal(ours, theirs.astype(dtype))


def test_unsupported_arguments_take_the_twin():
    q, k, layout = rope_example(mx.float32, 32, 4, MemoryLayout(1, 4))
    assert rope.KERNEL.variant(q, k, layout) == ("float32", 32, 4, 4, 0)
    assert rope.KERNEL.variant(q, k.astype(mx.float16), layout) is None
    assert rope.KERNEL.variant(q[..., :6], k[..., :6], layout) is None
