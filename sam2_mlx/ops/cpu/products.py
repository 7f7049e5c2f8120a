"""Matrix products and convolutions on MLX's CPU backend; see `ops.products`."""

from __future__ import annotations

import mlx.core as mx

from sam2_mlx.ops.cpu.depthwise import depthwise
from sam2_mlx.ops.cpu.halves import in_float32

Pair = tuple[int, int]

matmul = in_float32(mx.matmul)


@in_float32
def linear(x: mx.array, matrix: mx.array, bias: mx.array) -> mx.array:
    """A product and a bias: `addmm` would copy the bias into every row, four times slower."""
    return x @ matrix + bias


@in_float32
def conv2d(x: mx.array, weight: mx.array, stride: Pair, padding: Pair, groups: int) -> mx.array:
    """A convolution; with a channel a group and its grid kept, a sum of shifts."""
    side = weight.shape[1]
    if groups == x.shape[-1] == len(weight) and stride == (1, 1) and padding == (side // 2,) * 2:
        return depthwise(x, weight)
    return mx.conv2d(x, weight, stride, padding, (1, 1), groups)
