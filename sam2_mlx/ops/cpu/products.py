"""Matrix products and convolutions on MLX's CPU backend; see `ops.products`."""

from __future__ import annotations

import mlx.core as mx

from sam2_mlx.ops.cpu.halves import in_float32

matmul = in_float32(mx.matmul)
conv2d = in_float32(mx.conv2d)


@in_float32
def linear(x: mx.array, matrix: mx.array, bias: mx.array) -> mx.array:
    """A product and a bias: `addmm` would copy the bias into every row, four times slower."""
    return x @ matrix + bias
