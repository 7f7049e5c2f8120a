"""The emulator runs right kernels right, and seeded faults do not get past it."""

from __future__ import annotations

import mlx.core as mx
import numpy as np
import pytest

from tests.metal.emulator import EmulationError

COPY = "const int i = int(thread_position_in_grid.x);\n"


@pytest.fixture
def kernel(emulate):
    """Builds and runs a kernel of one input on the emulator."""

    def run(body, x, shape=None, threads=64, group=64, dtype=mx.float32, strided=False, **options):
        function = mx.fast.metal_kernel(
            name="sample",
            input_names=["a"],
            output_names=["out"],
            source=body,
            ensure_row_contiguous=not strided,
        )
        (result,) = emulate(function, **options)(
            inputs=[x],
            template=[("T", dtype)],
            grid=(threads, 1, 1),
            threadgroup=(group, 1, 1),
            output_shapes=[shape or (threads,)],
            output_dtypes=[dtype],
        )
        return result

    return run


@pytest.fixture
def x():
    return mx.array(np.random.default_rng(0).standard_normal(64).astype(np.float32))


# ---- right kernels


@pytest.mark.parametrize("dtype", [mx.float32, mx.float16, mx.bfloat16, mx.int32, mx.uint8])
def test_every_dtype_arrives(kernel, dtype):
    x = mx.array(np.arange(70) % 11).astype(dtype)
    twice = kernel(COPY + "out[i] = a[i] + a[i];", x, threads=70, dtype=dtype)
    assert twice.dtype == dtype and mx.array_equal(twice, x + x)


def test_half_rounds_at_every_operation(kernel):
    x = mx.array([2048.0] * 64, mx.float16)
    body = COPY + "out[i] = (a[i] + T(1.0f)) - a[i];"
    assert mx.all(kernel(body, x, dtype=mx.float16) == 0)


def test_strides_and_offsets(kernel):
    x = mx.array(np.random.default_rng(0).standard_normal((9, 20)).astype(np.float32))
    body = COPY + "out[i] = a[elem_to_loc(int64_t(i), a_shape, a_strides, a_ndim)];"
    for view in (x.T, x[1:, 3:], x[::-2, ::3], x[:, ::-1], mx.broadcast_to(x[3:4], (5, 20))):
        got = kernel(body, view, threads=view.size, group=32, strided=True)
        assert mx.array_equal(got, view.reshape(-1))


def test_barriers_simdgroups_and_ragged_groups(kernel):
    body = """
    threadgroup float part[8];
    const uint row = threadgroup_position_in_grid.x;
    float s = 0.0f;
    for (uint c = thread_position_in_threadgroup.x; c < uint(a_shape[1]); c += 256) {
      s += a[row * a_shape[1] + c];
    }
    s = simd_sum(s);
    if (thread_index_in_simdgroup == 0) {
      part[simdgroup_index_in_threadgroup] = s;
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (thread_position_in_threadgroup.x == 0) {
      float all = 0.0f;
      for (uint g = 0; g < 8; ++g) {
        all += part[g];
      }
      out[row] = all;
    }
    """
    x = mx.array(np.random.default_rng(0).standard_normal((5, 300)).astype(np.float32))
    got = kernel(body, x, shape=(5,), threads=5 * 256, group=256)
    np.testing.assert_allclose(got, np.array(x).sum(axis=1), atol=1e-4)


MATRICES = """
threadgroup float left[64];
threadgroup float right[64]; threadgroup float sum[64];
const int i = int(thread_index_in_threadgroup);
for (int j = i; j < 64; j += 32) {
  left[j] = a[j];
  right[j] = a[64 + j];
}
threadgroup_barrier(mem_flags::mem_threadgroup);
simdgroup_matrix<float, 8, 8> l, r, s;
s.thread_elements()[0] = 1.0f;
s.thread_elements()[1] = 1.0f;
simdgroup_load(l, left, 8);
simdgroup_load(r, right, 8, ulong2(0), true);
simdgroup_multiply_accumulate(s, l, r, s);
simdgroup_store(s, sum, 8);
threadgroup_barrier(mem_flags::mem_threadgroup);
out[i] = sum[i];
out[32 + i] = sum[32 + i];
"""


def test_matrices_of_a_simdgroup(kernel):
    x = mx.array(np.random.default_rng(0).standard_normal((2, 8, 8)).astype(np.float32))
    got = kernel(MATRICES, x.reshape(-1), shape=(8, 8), threads=32, group=32)
    left, right = np.array(x)
    np.testing.assert_allclose(got, left @ right.T + 1, atol=1e-5)


@pytest.mark.parametrize(
    "text, wrong, threads, message",
    [
        ("s.thread_elements()[1] = 1.0f;\n", "", 32, "depends"),
        ("simdgroup_load(l, left, 8)", "if (i < 9) simdgroup_load(l, left, 8)", 32, "diverg|wait"),
        ("simdgroup_load(l, left, 8)", "simdgroup_load(l, left + 8, 8)", 32, "insufficient space"),
        ("", "", 24, "not whole"),
    ],
    ids=["sum not set", "divergent load", "past the end", "a part of a simdgroup"],
)
def test_matrix_faults_are_caught(kernel, text, wrong, threads, message):
    assert text in MATRICES
    body = MATRICES.replace(text, wrong, 1)
    x = mx.ones((128,))
    with pytest.raises(EmulationError, match=message):
        kernel(body, x, shape=(64,), threads=threads, group=threads)


def test_a_threadgroup_variable_that_is_not_understood(kernel, x):
    body = COPY + "threadgroup float s[64], t[64]; s[i] = t[i]; out[i] = a[i];"
    with pytest.raises(EmulationError, match="unknown form"):
        kernel(body, x)


def test_edge_groups_are_smaller(kernel, x):
    body = COPY + "out[i] = float(threads_per_threadgroup.x) + 0.0f * a[0];"
    got = np.array(kernel(body, x, threads=70, group=32))
    assert got.tolist() == [32.0] * 64 + [6.0] * 6


# ---- faults

LOCAL = "const uint i = thread_index_in_threadgroup;\n"
FAULTS = {
    "read past the end": (COPY + "out[i] = a[i + 1];", "out of bounds|depends"),
    "read before the start": (COPY + "out[i] = a[i - 1];", "out of bounds|depends"),
    "read far away": (COPY + "out[i] = a[i + 100000];", "out of bounds"),
    "write past the end": (COPY + "out[i + 1] = a[i]; out[0] = a[0];", "out of bounds"),
    "write before the start": (COPY + "out[i - 1] = a[i]; out[63] = a[63];", "out of bounds"),
    "write to an input": (COPY + "((device float*)a)[i] = 0.0f; out[i] = 0.0f;", "to an input"),
    "unwritten output": (COPY + "if (i < 60) { out[i] = a[i]; }", "depends"),
    "output read before it is written": (COPY + "out[i] += a[i];", "depends"),
    "uninitialised variable": (
        COPY + "float v[4]; v[i % 3] = a[i]; out[i] = v[0] + v[1] + v[2];",
        "depends|uninitialized",
    ),
    "uninitialised threadgroup memory": (
        "threadgroup float s[64];\n" + LOCAL + "if (i > 0) { s[i] = a[i]; }\n"
        "threadgroup_barrier(mem_flags::mem_threadgroup); out[i] = s[i];",
        "depends",
    ),
    "missing barrier": (
        "threadgroup float s[64];\n" + LOCAL + "s[i] = a[i]; simd_sum(1.0f); out[i] = s[63 - i];",
        "depends",
    ),
    "two threads write one place": (COPY + "out[i] = a[i]; out[0] = a[i];", "depends"),
    "divergent barrier": (
        LOCAL + "if (i < 32) { out[i] = a[i]; return; }\n"
        "threadgroup_barrier(mem_flags::mem_threadgroup); out[i] = a[i];",
        "barrier in divergent flow",
    ),
    "divergent simdgroup operation": (
        LOCAL + "if (i % 2) {\n out[i] = simd_sum(a[i]);\n} else {\n out[i] = simd_sum(a[i]);\n}",
        "divergent simdgroup",
    ),
    "past the end of threadgroup memory": (
        "threadgroup float s[64];\n" + LOCAL + "s[i + 1] = a[i]; out[i] = s[i + 1];",
        "out of bounds",
    ),
    "too much threadgroup memory": (
        "threadgroup float s[8193];\n" + LOCAL + "s[i] = a[i]; out[i] = s[i];",
        "32 KiB",
    ),
    "misaligned vector": (
        COPY + "out[i] = (*(const device float4*)(a + i % 32)).x;",
        "misaligned",
    ),
    "shift too far": (COPY + "out[i] = a[i] + float(1 << (i + 1));", "shift"),
    "overflow": (COPY + "out[i] = a[i] + float(2147483647 + i);", "overflow"),
    "not ASCII": (COPY + "out[i] = a[i]; // \u00d7", "ASCII"),
    "double": (COPY + "out[i] = float(double(a[i]));", "double"),
    "literal of type double": (COPY + "out[i] = a[i] * 0.5;", "literal"),
    "standard library": (COPY + "out[i] = std::exp(a[i]);", "std::"),
    "lambda": (COPY + "out[i] = [&](float v) { return v; }(a[i]);", "lambda"),
    "parameter from a comment": (COPY + "out[i] = a[i]; // not a_strides", "comment"),
    "unknown function": (COPY + "out[i] = expm2(a[i]);", "does not compile"),
}


@pytest.mark.parametrize("body, message", FAULTS.values(), ids=FAULTS)
def test_faults_are_caught(kernel, x, body, message):
    with pytest.raises(EmulationError, match=message):
        kernel(body, x)


def test_implicit_bfloat_is_caught(kernel, x):
    with pytest.raises(EmulationError, match="does not compile"):
        kernel(COPY + "out[i] = a[i] * 2.0f;", x.astype(mx.bfloat16), dtype=mx.bfloat16)


def test_misaligned_slice_is_caught(kernel):
    x = mx.zeros((260,), mx.float16)
    body = COPY + "out[i] = (*(const device half4*)(a + 4 * i)).x + T(a_strides[0]);"
    kernel(body, x[4:], dtype=mx.float16, strided=True)
    with pytest.raises(EmulationError, match="misaligned"):
        kernel(body, x[1:257], dtype=mx.float16, strided=True)


def test_index_too_narrow_for_negative_strides_is_caught(kernel, x):
    body = "const uint i = thread_position_in_grid.x;\n"
    body += "out[i] = a[elem_to_loc(i, a_shape, a_strides, a_ndim)];"
    with pytest.raises(EmulationError, match="out of bounds"):
        kernel(body, x[::-1], strided=True)


def test_large_groups_need_a_reason(kernel, x):
    with pytest.raises(EmulationError, match="512 threads"):
        kernel(COPY + "out[i] = a[i % 64];", x, threads=512, group=512)
    kernel(COPY + "out[i] = a[i % 64];", x, threads=512, group=512, max_threads=512)


def test_grids_are_counted_in_threads(kernel, x):
    with pytest.raises(EmulationError, match="counted in groups"):
        kernel(COPY + "out[i] = a[i];", x, threads=2, group=64)


def test_too_many_buffers(emulate):
    names = [f"a{n}" for n in range(31)]
    function = mx.fast.metal_kernel(
        name="sample",
        input_names=names,
        output_names=["out"],
        source="out[0] = " + " + ".join(f"{name}[0]" for name in names) + ";",
    )
    with pytest.raises(EmulationError, match="32 buffers"):
        emulate(function)(
            inputs=[mx.zeros((8,))] * 31,
            grid=(1, 1, 1),
            threadgroup=(1, 1, 1),
            output_shapes=[(1,)],
            output_dtypes=[mx.float32],
        )
