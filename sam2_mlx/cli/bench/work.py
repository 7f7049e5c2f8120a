"""The arithmetic of a step, counted from its trace."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import mlx.core as mx

STAND_IN = "Depends"
"""What stands for fused attention and fused norms where the graph of a GPU is built without one."""


def count_flops(function: Callable[..., Sequence[mx.array]], arrays: Sequence[mx.array]) -> int:
    """Floating-point operations of the products in a function; nothing is computed.

    Args:
        function: arrays in, a sequence of arrays out.
        arrays: its arguments; their values do not matter.
    """
    total = 0

    def note(part: dict[str, Any]) -> None:
        nonlocal total
        if part["type"] == "primitive":
            total += matmul_flops(part)

    with uncompiled():
        mx.export_function(note, lambda *inputs: tuple(function(*inputs)), *arrays)
    return total


@contextmanager
def uncompiled() -> Iterator[None]:
    """Let functions show their primitives: what is compiled is inlined, unless all is constant."""
    mx.disable_compile()
    try:
        yield
    finally:
        if "MLX_DISABLE_COMPILE" not in os.environ:
            mx.enable_compile()


def matmul_flops(node: dict[str, Any]) -> int:
    """Floating-point operations of a matrix product, a convolution or fused attention; else 0.

    Args:
        node: a primitive as `mx.export_function` describes it.
    """
    name, inputs = node["name"], [shape for _, shape, _ in node["inputs"]]
    values = math.prod(node["outputs"][0][1])
    if name in ("Matmul", "AddMM", "QuantizedMatmul"):
        return 2 * values * inputs[0][-1]
    if name == "Convolution":
        return 2 * values * math.prod(inputs[1][1:])
    # The kernel of the attention to the memory is also given a scale; others have fewer heads, or
    # as stand-ins more arguments.
    count = {STAND_IN: 3, "CustomKernel": 4, "ScaledDotProductAttention": len(inputs)}.get(name)
    if len(inputs) != count or any(len(shape) != 4 for shape in inputs[:3]):
        return 0
    (_, heads, queries, width), (batch, _, keys, _), values = inputs[:3]
    return 2 * batch * heads * queries * keys * (width + values[3])
