"""What MLX would hand to Metal for one call of a kernel."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import mlx.core as mx

# The attributes that MLX adds to a signature when their names occur in the body.
ATTRIBUTES = {
    "thread_position_in_grid",
    "thread_position_in_threadgroup",
    "thread_index_in_threadgroup",
    "thread_index_in_simdgroup",
    "threadgroup_position_in_grid",
    "threadgroups_per_grid",
    "threads_per_grid",
    "threads_per_threadgroup",
    "threads_per_simdgroup",
    "simdgroup_index_in_threadgroup",
    "simdgroups_per_threadgroup",
}


@dataclass(frozen=True)
class Parameter:
    """One parameter of the generated signature.

    Attributes:
        declared: its type, such as `const device float*`.
        name: its name.
        attribute: `buffer`, or one of ATTRIBUTES.
        index: the buffer's index; -1 for attributes.
    """

    declared: str
    name: str
    attribute: str
    index: int


@dataclass(frozen=True)
class Launch:
    """One call of a kernel.

    Attributes:
        name: of the generated function.
        source: the generated text; MLX puts its own headers before it.
        grid: threads along x, y and z.
        group: threads of a group along each.
        infos: for each input, whether its shape, strides and rank are passed too.
        contiguous: whether MLX copies strided inputs first.
        outputs: shape and dtype of each.
    """

    name: str
    source: str
    grid: tuple[int, ...]
    group: tuple[int, ...]
    infos: list[tuple[bool, bool, bool]]
    contiguous: bool
    outputs: list[tuple[tuple[int, ...], mx.Dtype]]

    @property
    def parameters(self) -> list[Parameter]:
        """The parameters, in order."""
        found = re.search(r"\[\[kernel\]\] void \w+\(\n(.*?)\) \{\n", self.source, re.DOTALL)
        assert found, "unknown form of signature"
        parameters = []
        for text in found.group(1).split(",\n"):
            part = re.match(r"\s*(.*?) (\w+) \[\[(\w+)(?:\((\d+)\))?\]\]$", text)
            assert part, f"unknown form of parameter: {text}"
            declared, name, attribute, index = part.groups()
            parameters.append(Parameter(declared, name, attribute, int(index or -1)))
        return parameters

    @property
    def body(self) -> str:
        """The author's text, without comments."""
        text = self.source[self.source.index(") {\n") + 3 :].rpartition("}")[0]
        return re.sub(r"//[^\n]*|/\*.*?\*/", " ", text, flags=re.DOTALL)

    @property
    def collectives(self) -> bool:
        """Whether threads wait for each other."""
        return bool(re.search(r"\b(simd_\w+|\w+group_\w+|quad_\w+)\s*\(", self.source))


@lru_cache(maxsize=1)
def capture_obstacle() -> str | None:
    """Why a kernel's source cannot be had here, or None if it can."""
    one = (1, 1, 1)
    try:
        probe = mx.fast.metal_kernel(
            name="probe", input_names=["a"], output_names=["b"], source="b[0] = a[0];"
        )
        capture(
            probe,
            [mx.zeros((8,))],
            grid=one,
            threadgroup=one,
            output_shapes=[(1,)],
            output_dtypes=[mx.float32],
        )
    except (AttributeError, RuntimeError, ValueError, TypeError) as error:
        return f"this version of MLX does not show a kernel's source: {error}"
    return None


def capture(function: Callable[..., Any], inputs: Sequence[mx.array], **call: Any) -> Launch:
    """The launch that a call of a kernel would make; nothing is evaluated, no GPU is needed.

    Args:
        function: what `mx.fast.metal_kernel` returned.
        inputs: the inputs.
        call: the other arguments of the call.
    """
    nodes = []

    def see(node: dict[str, Any]) -> None:
        if node["type"] == "primitive" and node["name"] == "CustomKernel":
            nodes.append(node)

    mx.export_function(see, lambda *xs: function(inputs=list(xs), **call), *inputs)
    (node,) = nodes
    name, source, *rest = node["arguments"]
    return Launch(
        name=name,
        source=source,
        grid=tuple(rest[0:3]),
        group=tuple(rest[3:6]),
        infos=rest[6],
        contiguous=rest[7],
        outputs=[(tuple(shape), dtype) for _, shape, dtype in node["outputs"]],
    )
