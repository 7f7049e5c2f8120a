"""Work of a function counted from its graph: operations, bytes, primitives, launches.

Nothing is computed: MLX traces the function, and the shapes of its primitives say the rest.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import mlx.core as mx

from sam2_mlx.cli.bench.work import STAND_IN, matmul_flops, uncompiled

_Function = Callable[..., Sequence[mx.array]]
_Node = dict[str, Any]

# Another look at the same memory: no launch, no traffic.
_VIEWS = frozenset(
    "AsStrided Broadcast BroadcastAxes ExpandDims Flatten NumberOfElements Reshape Slice Split "
    "Squeeze StopGradient Transpose Unflatten View".split()
)
# What `mx.compile` can fuse.
_ELEMENTWISE = frozenset(
    "Abs Add AsType Ceil Cos Divide Equal Erf Exp Expm1 Floor Greater GreaterEqual Less LessEqual "
    "Log Log1p LogicalAnd LogicalNot LogicalOr Maximum Minimum Multiply Negative NotEqual Power "
    "Remainder Round Select Sigmoid Sign Sin Sqrt Square Subtract Tanh BitwiseBinary "
    "BitwiseInvert".split()
)


@dataclass(frozen=True)
class Operation:
    """One launch.

    Attributes:
        name: of its primitive, or "Fused" for a group of elementwise ones.
        flops: floating-point operations of matrix products and convolutions, two for each
            multiply-add; the rest is not counted.
        bytes: read and written.
    """

    name: str
    flops: int
    bytes: int


@dataclass
class Work:
    """What a function does.

    Attributes:
        operations: its launches, elementwise chains fused.
    """

    operations: list[Operation] = field(default_factory=list)

    @property
    def flops(self) -> int:
        """Floating-point operations."""
        return sum(operation.flops for operation in self.operations)

    @property
    def bytes(self) -> int:
        """Bytes read and written."""
        return sum(operation.bytes for operation in self.operations)

    def seconds(self, flops: float, bandwidth: float) -> float:
        """The least time that it can take: each launch waits for arithmetic or for memory.

        Args:
            flops: floating-point operations a second.
            bandwidth: bytes a second.
        """
        return sum(max(op.flops / flops, op.bytes / bandwidth) for op in self.operations)


def count_work(function: _Function, arrays: Sequence[mx.array]) -> Work:
    """Count the arithmetic and the traffic of a function.

    The traffic is a floor: every chain of elementwise operations counts as fused, as in a
    compiled step, and nothing is read twice by one launch.

    Args:
        function: arrays in, a sequence of arrays out.
        arrays: its arguments; their values do not matter.
    """
    nodes: list[_Node] = []
    outputs: list[str] = []

    def collect(part: _Node) -> None:
        if part["type"] == "primitive":
            nodes.append(part)
        elif part["type"] == "outputs":
            outputs.extend(name for name, _, _ in part["outputs"])

    with uncompiled():
        mx.export_function(collect, lambda *inputs: tuple(function(*inputs)), *arrays)
    return _Counter(nodes, set(outputs)).work()


def count_primitives(outputs: Sequence[mx.array]) -> tuple[int, int]:
    """Primitives of an unevaluated graph, in which a compiled group is one.

    Args:
        outputs: the results.

    Returns:
        All primitives, and those of them that are launched (views are not).
    """
    text = io.StringIO()
    mx.export_to_dot(text, *outputs)
    names = re.findall(r'label ="([^"]*)", shape=rectangle', text.getvalue())
    return len(names), sum(name not in _VIEWS for name in names)


class _Counter:
    """Follows arrays through views, and joins elementwise operations into groups."""

    def __init__(self, nodes: list[_Node], outputs: set[str]) -> None:
        self._nodes, self._outputs = nodes, outputs
        self._bytes: dict[str, int] = {}
        self._moved: set[str] = set()  # transposed, so that another shape needs a copy
        self._made_by: dict[str, int] = {}
        self._read_by: dict[str, list[int]] = {}
        self._groups = list(range(len(nodes)))
        for index, node in enumerate(nodes):
            for name, shape, dtype in node["outputs"]:
                self._made_by[name] = index
                self._bytes[name] = math.prod(shape) * dtype.size
            for name, shape, dtype in node["inputs"]:
                self._bytes.setdefault(name, math.prod(shape) * dtype.size)
                self._read_by.setdefault(name, []).append(index)

    def work(self) -> Work:
        """Everything that is launched."""
        views = [self._is_view(node) for node in self._nodes]
        for index, node in enumerate(self._nodes):
            if node["name"] in _ELEMENTWISE:
                self._join(index, views)
        groups: dict[int, list[int]] = {}
        for index in range(len(self._nodes)):
            if not views[index]:
                groups.setdefault(self._root(index), []).append(index)
        return Work([self._operation(members, views) for members in groups.values()])

    def _is_view(self, node: _Node) -> bool:
        name = node["name"]
        if name not in _VIEWS:
            return False
        source = node["inputs"][0]
        moved = source[0] in self._moved
        if name == "Reshape" and moved and self._is_copied(source[1], node["outputs"][0][1]):
            return False
        turned = name == "Transpose" and self._is_turned(source[1], node["arguments"][0])
        for out, _, _ in node["outputs"]:
            if moved or turned:
                self._moved.add(out)
            if name == "Broadcast":
                self._bytes[out] = self._bytes[source[0]]
        return True

    def _is_turned(self, shape: Sequence[int], axes: Sequence[int]) -> bool:
        order = [axis for axis in axes if shape[axis] != 1]
        return order != sorted(order)

    def _is_copied(self, before: Sequence[int], after: Sequence[int]) -> bool:
        return [n for n in before if n != 1] != [n for n in after if n != 1]

    def _join(self, index: int, views: list[bool]) -> None:
        # A value that only elementwise operations read is never written.
        (out, _, _) = self._nodes[index]["outputs"][0]
        readers = self._readers(out, views)
        if readers and out not in self._outputs:
            if all(self._nodes[reader]["name"] in _ELEMENTWISE for reader in readers):
                for reader in readers:
                    self._groups[self._root(reader)] = self._root(index)

    def _readers(self, name: str, views: list[bool]) -> list[int]:
        """What reads an array, through broadcasts of it."""
        readers: list[int] = []
        for reader in self._read_by.get(name, []):
            if views[reader] and self._nodes[reader]["name"] == "Broadcast":
                readers += self._readers(self._nodes[reader]["outputs"][0][0], views)
            else:
                readers.append(reader)
        return readers

    def _root(self, index: int) -> int:
        while self._groups[index] != index:
            index = self._groups[index]
        return index

    def _source(self, name: str) -> str:
        """The array that a broadcast repeats."""
        maker = self._made_by.get(name)
        if maker is not None and self._nodes[maker]["name"] == "Broadcast":
            return self._source(self._nodes[maker]["inputs"][0][0])
        return name

    def _read_names(self, node: _Node) -> list[str]:
        """What a node reads; a stand-in for a custom kernel is also given its own outputs."""
        names = [name for name, _, _ in node["inputs"]]
        count = len(node["outputs"])
        made = any(name in self._made_by for name in names[:count])
        return names if node["name"] != STAND_IN or made or matmul_flops(node) else names[count:]

    def _operation(self, members: list[int], views: list[bool]) -> Operation:
        inside = set(members)
        read, written = set(), set()
        for index in members:
            for name in self._read_names(self._nodes[index]):
                source = self._source(name)
                if self._made_by.get(source) not in inside:
                    read.add(source)
            for name, _, _ in self._nodes[index]["outputs"]:
                outside = [r for r in self._readers(name, views) if r not in inside]
                if outside or name in self._outputs or len(members) == 1:
                    written.add(name)
        names = {self._nodes[index]["name"] for index in members}
        return Operation(
            names.pop() if len(members) == 1 else "Fused",
            sum(matmul_flops(self._nodes[index]) for index in members),
            sum(self._bytes[name] for name in read | written),
        )
