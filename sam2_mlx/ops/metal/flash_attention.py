"""Metal: attention whose score matrix is never written.

Plain MLX writes the scores of all queries and keys, reads them for the softmax, writes the weights
and reads those; here a tile of scores lives in registers, and the sums are corrected whenever a
larger score turns up (the online softmax of Dao et al., "FlashAttention").
"""

from __future__ import annotations

import mlx.core as mx

from sam2_mlx.ops.metal.grid import launch_shape
from sam2_mlx.ops.metal.kernel import Arrays, KernelSource, MetalFunction

MAX_KEY_DIMS = 256
MAX_VALUE_DIMS = 64
QUERIES = 32
"""Of one group: four simdgroups of eight."""

SOURCE = KernelSource(
    name="sam2_flash_attention",
    inputs=("q", "k", "v", "scale"),
    outputs=("out",),
    header="#include <metal_simdgroup>\n#include <metal_simdgroup_matrix>\n",
    body="""
    // Each simdgroup has eight queries; the group shares tiles of sixteen keys and values. Rows of
    // the tiles are longer than their values, or lanes would meet in the same memory bank.
    constexpr int TILE = 16;
    constexpr int KEY_ROW = D + 8;
    constexpr int VALUE_ROW = V + 8;
    threadgroup A keys[TILE * KEY_ROW];
    threadgroup A values[TILE * VALUE_ROW];
    const int lane = int(thread_index_in_simdgroup);
    const int worker = int(thread_index_in_threadgroup);
    const int heads = k_shape[1];
    const int item = int(threadgroup_position_in_grid.z) / heads;
    const int head = int(threadgroup_position_in_grid.z) % heads;
    const int queries = q_shape[2];
    const int count = k_shape[2];
    // A lane holds two neighbouring values of an 8x8 matrix, here and in MLX's own kernels.
    const int row = (lane / 4 & 4) + lane / 2 % 4;
    const int column = (lane / 4 & 2) * 2 + lane % 2 * 2;
    const int n = int(threadgroup_position_in_grid.y) * 32 +
        int(simdgroup_index_in_threadgroup) * 8 + row;
    // Rows past the end repeat the last query and are not written.
    const int64_t q_row = (q_shape[0] > 1 ? item : 0) * q_strides[0] + head * q_strides[1] +
        (n < queries ? n : queries - 1) * q_strides[2];
    simdgroup_matrix<A, 8, 8> query[D / 8];
    #pragma clang loop unroll(full)
    for (int d = 0; d < D / 8; ++d) {
      for (int j = 0; j < 2; ++j) {
        query[d].thread_elements()[j] =
            static_cast<A>(static_cast<float>(q[q_row + (d * 8 + column + j) * q_strides[3]]));
      }
    }
    simdgroup_matrix<float, 8, 8> total[V / 8];
    #pragma clang loop unroll(full)
    for (int d = 0; d < V / 8; ++d) {
      total[d].thread_elements()[0] = 0.0f;
      total[d].thread_elements()[1] = 0.0f;
    }
    // Far below any score, but finite: fast arithmetic need not know infinities.
    float top = -1e30f;
    float weight_sum = 0.0f;
    const int64_t k_head = item * k_strides[0] + head * k_strides[1];
    const int64_t v_head = item * v_strides[0] + head * v_strides[1];
    for (int first = 0; first < count; first += TILE) {
      threadgroup_barrier(mem_flags::mem_threadgroup);
      for (int i = worker; i < TILE * D; i += 128) {
        const int key = i / D;
        const int d = i % D;
        keys[key * KEY_ROW + d] = first + key < count
            ? static_cast<A>(static_cast<float>(
                  k[k_head + (first + key) * k_strides[2] + d * k_strides[3]]))
            : static_cast<A>(0.0f);
      }
      for (int i = worker; i < TILE * V; i += 128) {
        const int key = i / V;
        const int d = i % V;
        values[key * VALUE_ROW + d] = first + key < count
            ? static_cast<A>(static_cast<float>(
                  v[v_head + (first + key) * v_strides[2] + d * v_strides[3]]))
            : static_cast<A>(0.0f);
      }
      threadgroup_barrier(mem_flags::mem_threadgroup);
      simdgroup_matrix<float, 8, 8> scores[TILE / 8];
      float highest = top;
      #pragma clang loop unroll(full)
      for (int b = 0; b < TILE / 8; ++b) {
        scores[b].thread_elements()[0] = 0.0f;
        scores[b].thread_elements()[1] = 0.0f;
        #pragma clang loop unroll(full)
        for (int d = 0; d < D / 8; ++d) {
          simdgroup_matrix<A, 8, 8> turned;
          simdgroup_load(turned, &keys[b * 8 * KEY_ROW + d * 8], KEY_ROW, ulong2(0), true);
          simdgroup_multiply_accumulate(scores[b], query[d], turned, scores[b]);
        }
        for (int j = 0; j < 2; ++j) {
          const bool there = first + b * 8 + column + j < count;
          const float score = there ? scores[b].thread_elements()[j] * scale : -1e30f;
          scores[b].thread_elements()[j] = score;
          highest = max(highest, score);
        }
      }
      // The lanes of a row differ in their bits 0 and 3.
      highest = max(highest, simd_shuffle_xor(highest, ushort(1)));
      highest = max(highest, simd_shuffle_xor(highest, ushort(8)));
      const float shrink = metal::exp2(top - highest);
      top = highest;
      weight_sum *= shrink;
      #pragma clang loop unroll(full)
      for (int d = 0; d < V / 8; ++d) {
        total[d].thread_elements()[0] *= shrink;
        total[d].thread_elements()[1] *= shrink;
      }
      #pragma clang loop unroll(full)
      for (int b = 0; b < TILE / 8; ++b) {
        simdgroup_matrix<A, 8, 8> weights;
        for (int j = 0; j < 2; ++j) {
          const float weight = metal::exp2(scores[b].thread_elements()[j] - top);
          weight_sum += weight;
          weights.thread_elements()[j] = static_cast<A>(weight);
        }
        #pragma clang loop unroll(full)
        for (int d = 0; d < V / 8; ++d) {
          simdgroup_matrix<A, 8, 8> part;
          simdgroup_load(part, &values[b * 8 * VALUE_ROW + d * 8], VALUE_ROW);
          simdgroup_multiply_accumulate(total[d], weights, part, total[d]);
        }
      }
    }
    weight_sum += simd_shuffle_xor(weight_sum, ushort(1));
    weight_sum += simd_shuffle_xor(weight_sum, ushort(8));
    if (n < queries) {
      const int64_t base = ((int64_t(item) * heads + head) * queries + n) * V + column;
      #pragma clang loop unroll(full)
      for (int d = 0; d < V / 8; ++d) {
        for (int j = 0; j < 2; ++j) {
          out[base + d * 8 + j] = static_cast<T>(total[d].thread_elements()[j] / weight_sum);
        }
      }
    }
""",
)


def launch(function: MetalFunction, q: mx.array, k: mx.array, v: mx.array, scale: float) -> Arrays:
    """Run the kernel.

    Args:
        function: the built kernel.
        q: (B or 1, heads, Nq, D), any strides; D a multiple of 8 up to MAX_KEY_DIMS.
        k: (B, heads, Nk, D) of the same dtype, any strides.
        v: (B, heads, Nk, V) of the same dtype, any strides; V a multiple of 8 up to
            MAX_VALUE_DIMS.
        scale: of the scores, in powers of two: log2(e) times the usual one.

    Returns:
        (B, heads, Nq, V), contiguous.
    """
    batch, heads, _, dims = k.shape
    shape = (batch, heads, q.shape[2], v.shape[3])
    groups = -(-q.shape[2] // QUERIES)
    grid, group = launch_shape((4 * 32, groups, batch * heads), (4 * 32, 1, 1))
    # Matrices of bfloat are not in every Metal version; they are multiplied as float.
    inner = mx.float16 if q.dtype == mx.float16 else mx.float32
    return tuple(
        function(
            inputs=[q, k, v, mx.array(scale, mx.float32)],
            template=[("T", q.dtype), ("A", inner), ("D", dims), ("V", v.shape[3])],
            grid=grid,
            threadgroup=group,
            output_shapes=[shape],
            output_dtypes=[q.dtype],
        )
    )
