"""The graph that a GPU would run, built where there is none, for counting.

The code asks for the default device and chooses its form by it. While that answer is `gpu`,
fused attention, fused norms and the custom kernels are one stand-in each, with the right shapes;
such a graph cannot be evaluated.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import mlx.core as mx
from mlx.utils import tree_map

from sam2_mlx.config import ModelConfig
from sam2_mlx.model.folding import fold, folding_wanted
from sam2_mlx.model.sam import Sam
from sam2_mlx.ops import flash
from sam2_mlx.ops.metal import kernel

_FUSED_WIDTH = 128


@contextmanager
def as_on_gpu(*, compiled: bool = False) -> Iterator[None]:
    """Code in this context builds its graphs as on an Apple GPU.

    Args:
        compiled: whole steps are compiled, as they are there by default.
    """
    with ExitStack() as stack:
        environment = {"SAM2_MLX_COMPILE": "1" if compiled else "0", "SAM2_MLX_KERNELS": "1"}
        stack.enter_context(mock.patch.dict(os.environ, environment))
        patches = (
            (mx, "default_device", lambda: mx.Device(mx.gpu)),
            # A hollow weight stays hollow.
            (mx, "contiguous", lambda array: array),
            (mx.fast, "layer_norm", _norm),
            (mx.fast, "scaled_dot_product_attention", _Attention()),
            (kernel, "metal_in_use", lambda: True),
            (kernel.Kernel, "function", lambda self: _launch),
            # Whether it is used is decided by a race on the machine; counted is the form without.
            (flash, "RACE", flash.in_chunks),
        )
        for target, name, stand_in in patches:
            stack.enter_context(mock.patch.object(target, name, stand_in))
        yield


def _norm(x: mx.array, weight: Any, bias: Any, eps: float) -> mx.array:
    del eps
    affine = [array for array in (weight, bias) if array is not None]
    return mx.depends([x], affine)[0]


class _Attention:
    """Stands for fused attention; what no kernel takes goes the long way."""

    def __init__(self) -> None:
        self._real = mx.fast.scaled_dot_product_attention

    def __call__(self, q: mx.array, k: mx.array, v: mx.array, **options: Any) -> mx.array:
        if q.shape[-1] > _FUSED_WIDTH or v.shape[-1] != q.shape[-1]:
            return self._real(q, k, v, **options)
        return mx.depends([q], [k, v])[0]


def _launch(
    *,
    inputs: Sequence[Any],
    output_shapes: Sequence[Sequence[int]],
    output_dtypes: Sequence[mx.Dtype],
    **options: Any,
) -> list[mx.array]:
    """One primitive with the outputs of a custom kernel."""
    del options
    outputs = [
        hollow(shape, dtype) for shape, dtype in zip(output_shapes, output_dtypes, strict=True)
    ]
    return mx.depends(outputs, [array for array in inputs if isinstance(array, mx.array)])


def hollow(shape: Sequence[int], dtype: mx.Dtype) -> mx.array:
    """An evaluated array of zeros that takes no memory: one element, seen many times."""
    array = mx.broadcast_to(mx.zeros((), dtype), tuple(shape))
    mx.eval(array)
    return array


def hollow_model(config: ModelConfig, dtype: mx.Dtype) -> Sam:
    """A model whose weights take no memory, for counting.

    Args:
        config: its dimensions.
        dtype: of its weights.
    """
    model = Sam(config)
    model.update(tree_map(lambda p: hollow(p.shape, dtype), model.parameters()))
    if folding_wanted():
        fold(model)
    mx.eval(model.parameters())
    model.eval()
    return model
