"""Small layers that several parts of the network share. Everything is channels last.

`dims` are channels, those that go in first. Tokens of a batch of grids or sequences are often
*rows*: one matrix (B*N, C), which linear layers and norms take without another look at its shape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import mlx.core as mx
import mlx.nn as nn

from sam2_mlx.ops.activations import relu
from sam2_mlx.ops.derived import Derived
from sam2_mlx.ops.independent import by_row
from sam2_mlx.ops.products import conv2d, linear
from sam2_mlx.ops.residual_norm import add_layer_norm


class Linear(nn.Linear):
    """MLX's linear layer, fast for halves on a CPU too, and its weight turned only once."""

    def __init__(self, in_dims: int, out_dims: int, bias: bool = True) -> None:
        super().__init__(in_dims, out_dims, bias)
        self._matrix: Derived[mx.array] = Derived()

    @property
    def matrix(self) -> mx.array:
        """The weight as (in, out)."""
        return self._matrix.get(lambda: self.weight.T, self.weight)

    @by_row
    def __call__(self, x: mx.array) -> mx.array:
        """Map (..., in) to (..., out)."""
        return linear(x, self.matrix, self.get("bias"))


def matrix_of(layer: Linear | nn.QuantizedLinear) -> mx.array:
    """The weight of a linear layer as (in, out), unpacked where it is quantised."""
    if isinstance(layer, Linear):
        return layer.matrix
    packed = (layer.weight, layer.scales, layer.biases)
    return mx.dequantize(*packed, layer.group_size, layer.bits).T


class Conv2d(nn.Conv2d):
    """MLX's convolution, fast for halves on a CPU too."""

    def __call__(self, x: mx.array) -> mx.array:
        """Map (B, H, W, in) to (B, H', W', out)."""
        x = self.without_bias(x)
        return x + self.bias if "bias" in self else x

    def without_bias(self, x: mx.array) -> mx.array:
        """The convolution alone."""
        return conv2d(x, self.weight, self.stride, self.padding, self.groups)


class PatchEmbed(nn.Module):
    """Patches of pixels as tokens.

    Args:
        dims: output channels.
        kernel: side of a patch in pixels; they overlap where it is more than the stride.
        stride: pixels from patch to patch.
        padding: zeros around the picture.
    """

    def __init__(self, dims: int, kernel: int, stride: int, padding: int = 0) -> None:
        super().__init__()
        self.proj = Conv2d(3, dims, kernel, stride, padding)

    def __call__(self, x: mx.array) -> mx.array:
        """(B, S, S, 3) to (B, S/stride, S/stride, dims)."""
        return self.proj(x)


class Depthwise(Conv2d):
    """A 3x3 convolution of every channel by itself."""

    def __init__(self, dims: int, stride: int = 1) -> None:
        super().__init__(dims, dims, 3, stride, padding=1, groups=dims)


class Pointwise(nn.Module):
    """A 1x1 convolution, computed as one matrix product."""

    def __init__(self, in_dims: int, out_dims: int) -> None:
        super().__init__()
        # Kept as a convolution weight (O, 1, 1, I), as in every checkpoint.
        self.weight = mx.zeros((out_dims, 1, 1, in_dims))
        self.bias = mx.zeros((out_dims,))
        self._matrix: Derived[mx.array] = Derived()

    @property
    def matrix(self) -> mx.array:
        """The weight as (in, out)."""
        return self._matrix.get(self._turned, self.weight)

    def _turned(self) -> mx.array:
        return self.weight.T.reshape(self.weight.shape[3], -1)

    @by_row
    def __call__(self, x: mx.array) -> mx.array:
        """Map (..., in_dims) to (..., out_dims)."""
        return linear(x, self.matrix, self.bias)


class Upsample2x(nn.Module):
    """A transposed convolution with kernel and stride 2: each pixel becomes a 2x2 block.

    The blocks do not overlap, so it is a matrix product and a shuffle, which is faster than
    the general transposed convolution on every backend.
    """

    def __init__(self, in_dims: int, out_dims: int) -> None:
        super().__init__()
        self.weight = mx.zeros((out_dims, 2, 2, in_dims))
        self.bias = mx.zeros((out_dims,))
        self._block: Derived[tuple[mx.array, mx.array]] = Derived()

    def _make_block(self) -> tuple[mx.array, mx.array]:
        """Matrix (in, 4 * out) and bias (4 * out,) of a block."""
        matrix = self.weight.transpose(3, 1, 2, 0).reshape(self.weight.shape[3], -1)
        return matrix, mx.tile(self.bias, 4)

    def __call__(self, x: mx.array) -> mx.array:
        """Map (B, H, W, in_dims) to (B, 2H, 2W, out_dims)."""
        batch, height, width, channels = x.shape
        matrix, bias = self._block.get(self._make_block, self.weight, self.bias)
        x = linear(x.reshape(-1, channels), matrix, bias)
        x = x.reshape(batch, height, width, 2, 2, -1).transpose(0, 1, 3, 2, 4, 5)
        return x.reshape(batch, 2 * height, 2 * width, -1)


class MLP(nn.Module):
    """Linear layers with an activation between them.

    Args:
        dims: widths, from the input to the output.
        activation: applied after every layer but the last.
    """

    def __init__(
        self, dims: tuple[int, ...], activation: Callable[[mx.array], mx.array] = relu
    ) -> None:
        super().__init__()
        self.layers = [Linear(a, b) for a, b in zip(dims[:-1], dims[1:], strict=True)]
        self.activation = activation

    @by_row
    def __call__(self, x: mx.array) -> mx.array:
        """Map (..., dims[0]) to (..., dims[-1])."""
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return self.layers[-1](x)


class SideBySide:
    """Several MLPs of the same widths, each with an input of its own, as batched products."""

    def __init__(self) -> None:
        self._stacked: Derived[list[tuple[mx.array, mx.array]]] = Derived()

    def _stack(self, mlps: Sequence[MLP]) -> list[tuple[mx.array, mx.array]]:
        """For each layer, the matrices (M, in, out) of all MLPs and their biases (M, 1, out)."""

        def make() -> list[tuple[mx.array, mx.array]]:
            return [
                (
                    mx.stack([matrix_of(layer) for layer in layers]),
                    mx.stack([layer.bias[None] for layer in layers]),
                )
                for layers in zip(*(mlp.layers for mlp in mlps), strict=True)
            ]

        layers = [layer for mlp in mlps for layer in mlp.layers]
        return self._stacked.get(make, *(w for layer in layers for w in layer.values()))

    def __call__(self, mlps: Sequence[MLP], x: mx.array) -> mx.array:
        """Map (B, M, in), an input for each of M MLPs, to (B, M, out)."""
        x = x.transpose(1, 0, 2)
        *hidden, (matrix, bias) = self._stack(mlps)
        for inner_matrix, inner_bias in hidden:
            x = mlps[0].activation(linear(x, inner_matrix, inner_bias))
        return linear(x, matrix, bias).transpose(1, 0, 2)


class Table(nn.Module):
    """Learned rows (rows, dims) that are read whole, such as the output tokens of the decoder."""

    def __init__(self, rows: int, dims: int) -> None:
        super().__init__()
        self.weight = mx.zeros((rows, dims))


@by_row
def add_norm(x: mx.array, update: mx.array, norm: nn.LayerNorm) -> tuple[mx.array, mx.array]:
    """Add an update; returns the sum and its norm, see `add_layer_norm`.

    Tokens go through the network as x and an update that is still to be added: the norm that reads
    the sum makes it, which is one launch, and no layer knows which norm comes next.
    """
    return add_layer_norm(x, update, norm.weight, norm.bias, norm.eps)


def bias_norm(x: mx.array, bias: mx.array, norm: nn.LayerNorm) -> mx.array:
    """The norm of x + bias, for x of any shape (..., C) and a bias (C,)."""
    rows = x.reshape(x.size // len(bias), len(bias))
    return add_norm(rows, mx.broadcast_to(bias, rows.shape), norm)[1].reshape(x.shape)


def conv_norm(x: mx.array, conv: Conv2d, norm: nn.LayerNorm) -> mx.array:
    """A convolution with a bias, and the norm of its channels."""
    return bias_norm(conv.without_bias(x), conv.bias, norm)
