"""Mistakes in the kernels' own text: each must be noticed by the comparison of the first use."""

from __future__ import annotations

import pytest
from emulator import EmulationError

from sam2_mlx.ops import residual_norm, rope, upsample
from sam2_mlx.ops.metal.kernel import Kernel, KernelSource
from sam2_mlx.ops.metal.upsample import SIGMOID, THRESHOLD

ROPE = (rope.KERNEL, ("float32", 32, 4))
MASKS = (upsample.KERNEL, ("float32", "uint8", THRESHOLD))
MEMORY = (upsample.KERNEL, ("float32", "float32", SIGMOID))
NORM = (residual_norm.KERNEL, ("float32", 33))

MUTANTS = [
    (*ROPE, "n % (W * W)", "n / 2"),
    (*ROPE, "place % W : place / W", "place / W : place % W"),
    (*ROPE, "n < rotated", "n < rotated + 2"),
    (*ROPE, "n < rotated", "n < k_shape[2]"),
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
]


@pytest.mark.parametrize(
    "given, variant, text, wrong", MUTANTS, ids=[f"{m[2]} to {m[3]}" for m in MUTANTS]
)
def test_mistakes_are_noticed(emulate, given, variant, text, wrong):
    source = given.source
    assert text in source.body
    body = source.body.replace(text, wrong, 1)
    mutant = KernelSource(source.name, source.inputs, source.outputs, body)
    kernel = Kernel(mutant, given.launch, given.twin, given.variant, given.trials)
    kernel._function = emulate(mutant.build())
    try:
        verdict = kernel.check(variant)
    except EmulationError as error:
        verdict = str(error)
    assert verdict and "compile" not in verdict
