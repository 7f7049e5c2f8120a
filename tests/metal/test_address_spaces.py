"""Pointers keep to their address spaces; needs clang, for example `pip install ziglang`."""

from __future__ import annotations

import mlx.core as mx
import pytest

from sam2_mlx.ops import flash, residual_norm, rope, upsample
from sam2_mlx.ops.metal.kernel import FLOATS
from sam2_mlx.ops.metal.upsample import BINARISE, SIGMOID, THRESHOLD
from tests.metal.emulator.address_spaces import address_errors, clang_obstacle
from tests.metal.emulator.capture import capture

pytestmark = pytest.mark.skipif(bool(clang_obstacle()), reason=str(clang_obstacle()))

VARIANTS = [
    *((rope.KERNEL, (dtype, 32, 4, 2, 3)) for dtype in FLOATS),
    *((upsample.KERNEL, (dtype, "uint8", THRESHOLD)) for dtype in FLOATS),
    *((upsample.KERNEL, ("float32", dtype, SIGMOID)) for dtype in FLOATS),
    (upsample.KERNEL, ("float32", "float32", BINARISE)),
    *((residual_norm.KERNEL, (dtype, 96)) for dtype in FLOATS),
    *((flash.KERNEL, (dtype, 256, 64)) for dtype in FLOATS),
]


@pytest.mark.parametrize(
    "kernel, variant", VARIANTS, ids=[f"{k.source.name}-{v[0]}-{v[1]}" for k, v in VARIANTS]
)
def test_kernels(kernel, variant, tmp_path):
    found = []

    def look(*, inputs, **call):
        launch = capture(kernel.function(), [mx.array(x) for x in inputs], **call)
        found.extend(address_errors(launch, tmp_path))
        return [mx.zeros(shape) for shape in call["output_shapes"]]

    for trial in kernel.trials(variant):
        kernel.launch(look, *trial)
    assert not found


FAULTS = {
    "pointer to a thread's memory": ("const thread float* p = a; out[0] = p[0];", 64),
    "a few values are constant, not device": ("const device float* p = a; out[0] = p[0];", 4),
    "write to an input": ("a[0] = 1.0f; out[0] = 0.0f;", 64),
    "threadgroup memory taken for device memory": (
        "threadgroup float s[4]; device float* p = s; out[0] = p[0];",
        64,
    ),
}


@pytest.mark.parametrize("body, size", FAULTS.values(), ids=FAULTS)
def test_faults_are_caught(body, size, tmp_path):
    function = mx.fast.metal_kernel(
        name="faulty", input_names=["a"], output_names=["out"], source=body
    )
    launch = capture(
        function,
        [mx.zeros((size,))],
        grid=(1, 1, 1),
        threadgroup=(1, 1, 1),
        output_shapes=[(1,)],
        output_dtypes=[mx.float32],
    )
    assert address_errors(launch, tmp_path)
