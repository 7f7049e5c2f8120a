"""What can be known of Metal without it: the primitives of a GPU's graph, types, and buffers."""

from __future__ import annotations

import io
import os
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import mlx.core as mx
import pytest
from mlx.utils import tree_map

from benchmarks.gpu_form import as_on_gpu, hollow, hollow_model
from benchmarks.steps import Step, frame_step, image_step
from sam2_mlx.config import MODELS
from sam2_mlx.ops.derived import Derived

# Primitives of MLX 0.32.2 with a GPU form that the network uses, by their source file under
# mlx/backend. What is missing here is looked up there before it is added.
METAL = {
    "gpu/primitives.cpp": "AsType Broadcast Concatenate Contiguous Depends ExpandDims Flatten Full "
    "Pad Reshape Slice Split Squeeze Transpose Unflatten View",
    "metal/primitives.cpp": "ArgReduce",
    "metal/binary.cpp": "Add Divide Equal Greater LessEqual Maximum Minimum Multiply Subtract",
    "metal/unary.cpp": "Cos Erf Sigmoid Sin",
    "metal/ternary.cpp": "Select",
    "metal/matmul.cpp": "AddMM Matmul",
    "metal/conv.cpp": "Convolution",
    "metal/softmax.cpp": "Softmax",
    "metal/reduce.cpp": "Reduce",
    "metal/indexing.cpp": "Gather GatherAxis",
}
_IN_TABLE = {name for names in METAL.values() for name in names.split()}
# A reduction goes by the name of what it does.
_PRIMITIVES = _IN_TABLE - {"Reduce"} | {"All", "Any", "Max", "Min", "Prod", "Sum"}

# Their kernels are for these alone (metal/kernels: steel/, conv.metal, softmax.metal, unary.metal);
# others are refused when they run. Nothing at all takes float64.
_FLOATS_ONLY = {"AddMM", "Convolution", "Matmul", "Softmax", "Erf", "Sigmoid"}
_FLOATS = {"float16", "bfloat16", "float32"}
_NO_COMPLEX = _FLOATS_ONLY | {"ArgReduce"}

# A fused loop binds its arrays, the strides, and a size or a shape with a number of axes
# (metal/compiled.cpp); a launch has 31 places. MLX stops at 24 arrays (compile.cpp), but those
# that it has yet to visit come on top, and it fails when the loop runs.
_PLACES, _BESIDE_ARRAYS = 31, 3


def offences(step: Step) -> set[str]:
    """Primitives and types of a step's graph that Metal does not run."""
    wrong: set[str] = set()

    def note(part: dict[str, Any]) -> None:
        if part["type"] != "primitive":
            return
        name = part["name"]
        dtypes = {str(kind).rpartition(".")[2] for _, _, kind in part["inputs"] + part["outputs"]}
        if name not in _PRIMITIVES | {"Reduce"}:
            wrong.add(f"{name} is not in the table")
        refused = dtypes - _FLOATS if name in _FLOATS_ONLY else dtypes & {"float64"}
        refused |= dtypes & {"complex64"} if name in _NO_COMPLEX else set()
        wrong.update(f"{name} of {dtype}" for dtype in refused)

    mx.export_function(note, lambda *arrays: tuple(step.function(*arrays)), *step.arrays)
    return wrong


def crowded(step: Step) -> set[str]:
    """Fused loops of a compiled step that need more buffers than a launch has."""
    text = io.StringIO()
    mx.export_to_dot(text, *step())
    names = dict(re.findall(r'(\d+) \[label ="([^"]*)", shape=rectangle', text.getvalue()))
    edges = set(re.findall(r'"(\w+)" -> (\d+)', text.getvalue()))
    edges |= {(array, node) for node, array in re.findall(r'(\d+) -> "(\w+)"', text.getvalue())}
    counts = Counter(node for _, node in edges)
    return {
        f"{names[node]} with {count} arrays"
        for node, count in counts.items()
        if names[node].startswith("Compiled") and count + _BESIDE_ARRAYS > _PLACES
    }


@pytest.mark.parametrize("name", MODELS)
def test_metal_can_run_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = hollow_model(MODELS[name], mx.float16)
    steps = [image_step(model, hollow)]
    if model.memory is not None:
        steps.append(frame_step(model, 3, 2, hollow))
    with as_on_gpu():
        # What is made once is made on the GPU too, so here it is a part of the graph.
        monkeypatch.setattr(Derived, "get", lambda self, make, *weights, key=(): make())
        for kernels in ("0", "1"):
            os.environ["SAM2_MLX_KERNELS"] = kernels  # as_on_gpu puts it back
            assert [wrong for step in steps for wrong in offences(step)] == []
    with as_on_gpu(compiled=True):
        monkeypatch.setattr(Derived, "get", _get_hollow)
        assert [wrong for step in steps for wrong in crowded(step)] == []


def _get_hollow(self: Any, make: Callable[[], Any], *weights: mx.array, key: Any = ()) -> Any:
    return tree_map(lambda array: hollow(array.shape, array.dtype), make())


@pytest.mark.parametrize(
    ("function", "offence"),
    [
        (lambda x: [mx.sort(x)], "Sort is not in the table"),
        (lambda x: [x.astype(mx.float64) * 2], "Multiply of float64"),
        (lambda x: [x.astype(mx.complex64) @ x.astype(mx.complex64)], "Matmul of complex64"),
        (lambda x: [mx.argmax(x.astype(mx.complex64))], "ArgReduce of complex64"),
    ],
)
def test_faults_are_found(function: Any, offence: str) -> None:
    assert offence in offences(Step(function, [mx.ones((4, 4))]))


@pytest.mark.skipif("MLX_DISABLE_COMPILE" in os.environ, reason="nothing becomes a loop then")
@pytest.mark.parametrize(("leaves", "fits"), [(21, True), (22, False)])
def test_a_crowded_loop_is_found(leaves: int, fits: bool) -> None:
    def function(*arrays: mx.array) -> list[mx.array]:
        # MLX looks at the tree first and counts what waits beside it too late.
        total = list(arrays[6:])
        while len(total) > 1:
            total = [sum(total[i + 1 : i + 2], total[i]) for i in range(0, len(total), 2)]
        return [sum(arrays[:6], total[0])]

    arrays = [mx.full((4,), float(number)) for number in range(6 + leaves)]
    mx.eval(arrays)
    assert (crowded(Step(mx.compile(function), arrays)) == set()) == fits
