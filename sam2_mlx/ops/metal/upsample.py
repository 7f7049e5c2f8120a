"""Metal: enlarge mask logits and turn them into what is wanted, in one pass.

Plain MLX writes the enlarged float32 logits and reads them again for every step after that; here
only the small logits are read and only the result is written.
"""

from __future__ import annotations

import mlx.core as mx

from sam2_mlx.ops.metal.grid import launch_shape
from sam2_mlx.ops.metal.kernel import Arrays, KernelSource, MetalFunction

THRESHOLD, SIGMOID, BINARISE = 0, 1, 2
"""What becomes of a logit: 1 above zero and 0 else; 20 sigmoid - 10; 10 above zero and -10 else."""

SOURCE = KernelSource(
    name="sam2_upsample",
    inputs=("maps", "top_of", "row_weights", "left_of", "column_weights"),
    outputs=("out",),
    body="""
    // One thread makes four neighbouring pixels of one row of one map.
    const int height = top_of_shape[0];
    const int width = left_of_shape[0];
    const int first = int(thread_position_in_grid.x) * 4;
    const int row = int(thread_position_in_grid.y);
    const int map = int(thread_position_in_grid.z);
    const int top = top_of[row];
    const int bottom = top + 1 < maps_shape[1] ? top + 1 : top;
    const float upper = row_weights[2 * row];
    const float lower = row_weights[2 * row + 1];
    const int64_t top_row = map * maps_strides[0] + top * maps_strides[1];
    const int64_t bottom_row = map * maps_strides[0] + bottom * maps_strides[1];
    for (int i = 0; i < 4; ++i) {
      const int column = first + i;
      if (column < width) {
        const int left = left_of[column];
        const int right = left + 1 < maps_shape[2] ? left + 1 : left;
        const int64_t a = left * maps_strides[2];
        const int64_t b = right * maps_strides[2];
        const float at_left = upper * static_cast<float>(maps[top_row + a]) +
            lower * static_cast<float>(maps[bottom_row + a]);
        const float at_right = upper * static_cast<float>(maps[top_row + b]) +
            lower * static_cast<float>(maps[bottom_row + b]);
        const float logit =
            column_weights[2 * column] * at_left + column_weights[2 * column + 1] * at_right;
        float value;
        if (MODE == 0) {
          value = logit > 0.0f ? 1.0f : 0.0f;
        } else if (MODE == 1) {
          // Far from zero exp is 0 or infinite, and the quotient is right all the same.
          value = 20.0f / (1.0f + metal::precise::exp(-logit)) - 10.0f;
        } else {
          value = logit > 0.0f ? 10.0f : -10.0f;
        }
        out[(int64_t(map) * height + row) * width + column] = static_cast<T>(value);
      }
    }
""",
)


def launch(
    function: MetalFunction,
    maps: mx.array,
    rows: tuple[mx.array, mx.array],
    columns: tuple[mx.array, mx.array],
    mode: int,
    dtype: mx.Dtype,
) -> Arrays:
    """Run the kernel.

    Args:
        function: the built kernel.
        maps: (N, h, w) logits of a float dtype, any strides.
        rows: for each row of the output, the upper of its two source rows, int32 (H,), and the
            weights of both, float32 (H, 2).
        columns: the same for the columns.
        mode: THRESHOLD, SIGMOID or BINARISE.
        dtype: of the output.

    Returns:
        One array, (N, H, W).
    """
    height, width = rows[0].shape[0], columns[0].shape[0]
    grid, group = launch_shape(((width + 3) // 4, height, maps.shape[0]), (64, 4, 1))
    return tuple(
        function(
            inputs=[maps, *rows, *columns],
            template=[("T", dtype), ("MODE", mode)],
            grid=grid,
            threadgroup=group,
            output_shapes=[(maps.shape[0], height, width)],
            output_dtypes=[dtype],
        )
    )
