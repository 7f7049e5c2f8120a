"""Small layers that several parts of the network share. Everything is channels last."""

from __future__ import annotations

from collections.abc import Callable

import mlx.core as mx
import mlx.nn as nn

from sam2_mlx.ops.products import linear, product


class Linear(nn.Linear):
    """MLX's linear layer, fast for halves on a CPU too."""

    def __call__(self, x: mx.array) -> mx.array:
        """Map (..., in) to (..., out)."""
        return linear(x, self.weight, self.get("bias"))


class Conv2d(nn.Conv2d):
    """MLX's convolution, fast for halves on a CPU too."""

    def __call__(self, x: mx.array) -> mx.array:
        """Map (B, H, W, in) to (B, H', W', out)."""

        def convolve(x: mx.array, weight: mx.array) -> mx.array:
            return mx.conv2d(x, weight, self.stride, self.padding, self.dilation, self.groups)

        x = product(convolve, x, self.weight)
        return x + self.bias if "bias" in self else x


class Pointwise(nn.Module):
    """A 1x1 convolution, computed as one matrix product.

    Args:
        in_dims: input channels.
        out_dims: output channels.
    """

    def __init__(self, in_dims: int, out_dims: int) -> None:
        super().__init__()
        # Kept as a convolution weight (O, 1, 1, I), as in every checkpoint.
        self.weight = mx.zeros((out_dims, 1, 1, in_dims))
        self.bias = mx.zeros((out_dims,))

    def __call__(self, x: mx.array) -> mx.array:
        """Map (..., in_dims) to (..., out_dims)."""
        return linear(x, self.weight[:, 0, 0], self.bias)


class Upsample2x(nn.Module):
    """A transposed convolution with kernel and stride 2: each pixel becomes a 2x2 block.

    The blocks do not overlap, so it is a matrix product and a shuffle, which is faster than
    the general transposed convolution on every backend.

    Args:
        in_dims: input channels.
        out_dims: output channels.
    """

    def __init__(self, in_dims: int, out_dims: int) -> None:
        super().__init__()
        self.weight = mx.zeros((out_dims, 2, 2, in_dims))
        self.bias = mx.zeros((out_dims,))

    def __call__(self, x: mx.array) -> mx.array:
        """Map (B, H, W, in_dims) to (B, 2H, 2W, out_dims)."""
        batch, height, width, channels = x.shape
        out = self.weight.shape[0]
        kernel = self.weight.transpose(3, 1, 2, 0).reshape(channels, 4 * out)
        x = product(mx.matmul, x, kernel).reshape(batch, height, width, 2, 2, out)
        x = x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, 2 * height, 2 * width, out)
        return x + self.bias


class MLP(nn.Module):
    """Linear layers with an activation between them.

    Args:
        dims: widths, from the input to the output.
        activation: applied after every layer but the last.
    """

    def __init__(
        self, dims: tuple[int, ...], activation: Callable[[mx.array], mx.array] = nn.relu
    ) -> None:
        super().__init__()
        self.layers = [Linear(a, b) for a, b in zip(dims[:-1], dims[1:], strict=True)]
        self._activation = activation

    def __call__(self, x: mx.array) -> mx.array:
        """Map (..., dims[0]) to (..., dims[-1])."""
        for layer in self.layers[:-1]:
            x = self._activation(layer(x))
        return self.layers[-1](x)


class Table(nn.Module):
    """Learned rows that are read whole, such as the output tokens of the decoder.

    Args:
        rows: number of vectors.
        dims: their width.
    """

    def __init__(self, rows: int, dims: int) -> None:
        super().__init__()
        self.weight = mx.zeros((rows, dims))
