"""Metal: the sum of a residual branch and its LayerNorm, in one pass.

Plain MLX writes the sum and reads it again to normalise it; here it stays in registers.
"""

from __future__ import annotations

import mlx.core as mx

from sam2_mlx.ops.metal.grid import launch_shape
from sam2_mlx.ops.metal.kernel import Arrays, KernelSource, MetalFunction

MAX_CHANNELS = 1536
"""A lane keeps one value of each 32 channels; more would not stay in registers."""

SOURCE = KernelSource(
    name="sam2_residual_norm",
    inputs=("x", "y", "weight", "bias", "eps"),
    outputs=("total_out", "normed_out"),
    body="""
    // One simdgroup makes one row; each lane keeps one value of each 32 channels. The loops are
    // unrolled, or v would not stay in registers.
    constexpr int N = (C + 31) / 32;
    const int lane = int(thread_position_in_grid.x);
    const int row = int(thread_position_in_grid.y);
    float v[N];
    float part = 0.0f;
    #pragma clang loop unroll(full)
    for (int i = 0; i < N; ++i) {
      const int c = lane + 32 * i;
      v[i] = 0.0f;
      if (c < C) {
        // The sum is rounded first: the norm must see what is passed on.
        const T total = static_cast<T>(
            static_cast<float>(x[row * x_strides[0] + c * x_strides[1]]) +
            static_cast<float>(y[row * y_strides[0] + c * y_strides[1]]));
        total_out[int64_t(row) * C + c] = total;
        v[i] = static_cast<float>(total);
      }
      part += v[i];
    }
    const float mean = simd_sum(part) / float(C);
    part = 0.0f;
    #pragma clang loop unroll(full)
    for (int i = 0; i < N; ++i) {
      v[i] -= mean;
      part += lane + 32 * i < C ? v[i] * v[i] : 0.0f;
    }
    const float scale = metal::precise::rsqrt(simd_sum(part) / float(C) + eps);
    #pragma clang loop unroll(full)
    for (int i = 0; i < N; ++i) {
      const int c = lane + 32 * i;
      if (c < C) {
        const float w = static_cast<float>(weight[c * weight_strides[0]]);
        const float b = static_cast<float>(bias[c * bias_strides[0]]);
        normed_out[int64_t(row) * C + c] = static_cast<T>(v[i] * scale * w + b);
      }
    }
""",
)


def launch(
    function: MetalFunction, x: mx.array, y: mx.array, weight: mx.array, bias: mx.array, eps: float
) -> Arrays:
    """Run the kernel.

    Args:
        function: the built kernel.
        x: (N, C), any strides; C up to MAX_CHANNELS.
        y: (N, C) of the same dtype, any strides.
        weight: (C,).
        bias: (C,).
        eps: added to the variance.

    Returns:
        x + y and its LayerNorm, (N, C) each.
    """
    count, channels = x.shape
    # Exactly 32 lanes along x, so that a row of the grid is a simdgroup.
    grid, group = launch_shape((32, count, 1), (32, 8, 1))
    return tuple(
        function(
            inputs=[x, y, weight, bias, mx.array(eps, mx.float32)],
            template=[("T", x.dtype), ("C", channels)],
            grid=grid,
            threadgroup=group,
            output_shapes=[x.shape, x.shape],
            output_dtypes=[x.dtype, x.dtype],
        )
    )
