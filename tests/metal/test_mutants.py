"""Mistakes in the kernels' own text: each must be noticed by the comparison of the first use."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sam2_mlx.ops import flash, residual_norm, rope, upsample
from sam2_mlx.ops.metal.kernel import Kernel
from sam2_mlx.ops.metal.upsample import SIGMOID, THRESHOLD
from tests.metal.emulator import EmulationError

ROPE = (rope.KERNEL, ("float32", 32, 4, 4, 0))
EDGE_ROPE = (rope.KERNEL, ("float32", 32, 4, 3, 5))
MASKS = (upsample.KERNEL, ("float32", "uint8", THRESHOLD))
MEMORY = (upsample.KERNEL, ("float32", "float32", SIGMOID))
NORM = (residual_norm.KERNEL, ("float32", 33))
FLASH = (flash.KERNEL, ("float32", 16, 8))

MUTANTS = [
    (*ROPE, "n % (P + V * V) - P", "n / 2"),
    (*ROPE, "along_x ? column : row", "along_x ? row : column"),
    (*ROPE, "n < framed", "n < framed + 2"),
    (*ROPE, "n < framed", "n < k_shape[2]"),
    (*EDGE_ROPE, "&& place >= 0", ""),
    (*EDGE_ROPE, "place >= 0", "place < V * V - P"),
    (*EDGE_ROPE, "place % W : place % V", "place % W : place % W"),
    (*EDGE_ROPE, "place / W : place / V", "place / W : place / W"),
    (*ROPE, "a * c - b * s", "a * c + b * s"),
    (*ROPE, "head * k_strides[1]", "head * k_strides[2]"),
    (*ROPE, "heads + head) * queries + n", "heads + item) * queries + n"),
    (*MASKS, "logit > 0.0f ? 1.0f", "logit >= 0.0f ? 1.0f"),
    (*MASKS, "top + 1 < maps_shape[1] ? top + 1 : top", "top"),
    (*MASKS, "column < width", "column + 1 < width"),
    (*MEMORY, "upper * static_cast<float>(maps[top_row + b])", "upper * maps[top_row + a]"),
    (*MEMORY, "exp(-logit)", "exp(logit)"),
    (*NORM, "c < C", "c < C - 1"),
    (*NORM, "lane + 32 * i < C ? v[i] * v[i] : 0.0f", "v[i] * v[i]"),
    (*NORM, "+ eps", "+ 0.0f * eps - 0.1f"),
    (*NORM, "* scale * w + b", "* scale * w - b"),
    (*FLASH, "first + b * 8 + column + j < count", "first + b * 8 + column < count"),
    (*FLASH, "const bool there = first", "const bool there = 0 * first"),
    (*FLASH, "ushort(8)));\n      const float shrink", "ushort(4)));\n      const float shrink"),
    (*FLASH, "weight_sum *= shrink", "weight_sum *= 1.0f"),
    (*FLASH, "thread_elements()[0] *= shrink", "thread_elements()[0] *= 1.0f"),
    (*FLASH, "weight_sum += simd_shuffle_xor(weight_sum, ushort(8));", ""),
    (*FLASH, "ulong2(0), true", "ulong2(0), false"),
    (*FLASH, "threadgroup_barrier(mem_flags::mem_threadgroup);\n      for", "for"),
    (*FLASH, "(n < queries ? n : queries - 1)", "n"),
    (*FLASH, "    if (n < queries) {", "    {"),
    (*FLASH, "q_shape[0] > 1 ? item : 0", "item"),
    (*FLASH, "item * v_strides[0]", "head * v_strides[0]"),
    (*FLASH, "* scale : -1e30f", ": -1e30f"),
]


@pytest.mark.parametrize(
    "given, variant, text, wrong", MUTANTS, ids=[f"{m[2]} to {m[3]}" for m in MUTANTS]
)
def test_mistakes_are_noticed(emulate, given, variant, text, wrong):
    source = given.source
    assert text in source.body
    body = source.body.replace(text, wrong, 1)
    mutant = replace(source, body=body)
    kernel = Kernel(mutant, given.launch, given.twin, given.variant, given.trials)
    kernel._function = emulate(mutant.build())
    try:
        verdict = kernel.check(variant)
    except EmulationError as error:
        verdict = str(error)
    assert verdict and "compile" not in verdict
