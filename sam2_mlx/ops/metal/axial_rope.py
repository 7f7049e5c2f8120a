"""Metal: rotate queries and keys by their place in their grids, both in one launch.

Reads each element once and writes it once. Plain MLX needs four kernels (a complex product for
q and one for k, with float32 copies around them for 16-bit floats) and one more for the tail.
"""

from __future__ import annotations

import mlx.core as mx

from sam2_mlx.ops.metal.grid import launch_shape
from sam2_mlx.ops.metal.kernel import Arrays, KernelSource, MetalFunction

SOURCE = KernelSource(
    name="sam2_axial_rope",
    inputs=("q", "k", "table", "framed"),
    outputs=("q_out", "k_out"),
    body="""
    // One thread turns four neighbouring channels, two pairs, of one token of q or k.
    constexpr int F = D / 4;
    const int channel = int(thread_position_in_grid.x) * 4;
    const int token = int(thread_position_in_grid.y);
    const int heads = q_shape[1];
    const int item = int(thread_position_in_grid.z) / heads;
    const int head = int(thread_position_in_grid.z) % heads;
    const int queries = q_shape[2];
    const bool is_q = token < queries;
    const int n = is_q ? token : token - queries;
    // One of the two may be shared by the whole batch of the other.
    if (item >= (is_q ? q_shape[0] : k_shape[0])) {
      return;
    }
    float v[4];
    if (is_q) {
      const int64_t base = item * q_strides[0] + head * q_strides[1] + n * q_strides[2];
      for (int i = 0; i < 4; ++i) {
        v[i] = static_cast<float>(q[base + (channel + i) * q_strides[3]]);
      }
    } else {
      const int64_t base = item * k_strides[0] + head * k_strides[1] + n * k_strides[2];
      for (int i = 0; i < 4; ++i) {
        v[i] = static_cast<float>(k[base + (channel + i) * k_strides[3]]);
      }
    }
    // Every remembered frame is P tokens without a place, and a grid of its own.
    const int place = is_q ? n : n % (P + V * V) - P;
    if (is_q || (n < framed && place >= 0)) {
      // A turn by x and one by y have the same angles, so both are read from the first row of
      // the grid.
      const int column = is_q ? place % W : place % V;
      const int row = is_q ? place / W : place / V;
      for (int i = 0; i < 2; ++i) {
        const int pair = channel / 2 + i;
        const bool along_x = pair < F;
        const int64_t at = (along_x ? column : row) * table_strides[0] +
            (along_x ? pair : pair - F) * table_strides[1];
        const float c = table[at].real;
        const float s = table[at].imag;
        const float a = v[2 * i];
        const float b = v[2 * i + 1];
        v[2 * i] = a * c - b * s;
        v[2 * i + 1] = a * s + b * c;
      }
    }
    if (is_q) {
      const int64_t base = ((int64_t(item) * heads + head) * queries + n) * D + channel;
      for (int i = 0; i < 4; ++i) {
        q_out[base + i] = static_cast<T>(v[i]);
      }
    } else {
      const int64_t base = ((int64_t(item) * heads + head) * k_shape[2] + n) * D + channel;
      for (int i = 0; i < 4; ++i) {
        k_out[base + i] = static_cast<T>(v[i]);
      }
    }
""",
)


def launch(
    function: MetalFunction,
    q: mx.array,
    k: mx.array,
    table: mx.array,
    sides: tuple[int, int],
    frames: tuple[int, int],
) -> Arrays:
    """Run the kernel.

    Args:
        function: the built kernel.
        q: (Bq, heads, N, D), any strides; D a multiple of 4.
        k: (Bk, heads, K, D) of the same dtype, any strides.
        table: complex64 (places, D/2), the turns of a square grid as large as either.
        sides: of the grid of queries, and of a frame's.
        frames: tokens ahead of the grid in each frame, and tokens of all frames. Those after them
            are copied; how many there are is no constant of the compiled kernel, so a longer
            memory compiles nothing.

    Returns:
        The rotated q and k, contiguous.
    """
    dim = q.shape[3]
    (plain, framed), batch = frames, max(q.shape[0], k.shape[0])
    grid, group = launch_shape(
        (dim // 4, q.shape[2] + k.shape[2], batch * q.shape[1]), (min(64, dim // 4), 4, 1)
    )
    return tuple(
        function(
            inputs=[q, k, table, mx.array(framed, mx.int32)],
            template=[("T", q.dtype), ("D", dim), ("W", sides[0]), ("V", sides[1]), ("P", plain)],
            grid=grid,
            threadgroup=group,
            output_shapes=[q.shape, k.shape],
            output_dtypes=[q.dtype, k.dtype],
        )
    )
