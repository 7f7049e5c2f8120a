"""What is made once: when, how, and inside of MLX's transformations."""

from __future__ import annotations

from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

from sam2_mlx.ops import derived
from sam2_mlx.ops.derived import Derived, constant


class Maker:
    """Turns an array, and counts how often."""

    def __init__(self) -> None:
        self.calls = 0
        self._derived: Derived[mx.array] = Derived()

    def __call__(self, weight: mx.array, key: str = "") -> mx.array:
        def make() -> mx.array:
            self.calls += 1
            return weight.T

        return self._derived.get(make, weight, key=key)


def test_made_once_and_again_for_another_array() -> None:
    maker, a, b = Maker(), mx.zeros((2, 3)), mx.zeros((2, 3))
    first = maker(a)
    assert maker(a) is first and maker.calls == 1
    # Equal values are not enough: comparing them would cost more than making the value.
    assert maker(b) is not first and maker.calls == 2
    maker(a)
    assert maker.calls == 3


def test_each_key_is_kept_until_there_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(derived, "_SIZES", 3)
    maker, a = Maker(), mx.zeros((2, 3))
    for key in "abcabc":
        maker(a, key)
    assert maker.calls == 3
    maker(a, "d")
    for key in "bcd":
        maker(a, key)
    assert maker.calls == 4
    maker(a, "a")
    assert maker.calls == 5


def test_a_constant_is_made_once_for_its_arguments() -> None:
    calls = []

    @constant
    def ones(rows: int, columns: int = 2) -> tuple[mx.array, mx.array]:
        calls.append((rows, columns))
        return mx.ones((rows, columns)).T, mx.ones(rows)

    assert ones(3)[0] is ones(3)[0]
    assert ones(3, columns=5)[0].shape == (5, 3)
    assert ones(3, columns=5)[1] is ones(3, columns=5)[1]
    assert calls == [(3, 2), (3, 5)]


def test_what_is_made_is_contiguous() -> None:
    made = Maker()(mx.random.normal((3, 5)))
    assert np.array(made, copy=False).strides == (3 * 4, 4)


def test_a_trace_contains_the_value_and_not_how_it_is_made() -> None:
    maker, weight = Maker(), mx.random.normal((4, 3))
    names: list[str] = []

    def note(event: dict) -> None:
        if event["type"] == "primitive":
            names.append(event["name"])

    x = mx.ones((2, 3))
    mx.export_function(note, lambda x: x @ maker(weight), x)
    assert names == ["Matmul"]
    compiled = mx.compile(lambda x: x @ maker(weight))
    assert mx.allclose(compiled(x), x @ weight.T) and maker.calls == 1


def test_an_exported_function_has_the_values(tmp_path: Path) -> None:
    maker, weight, x = Maker(), mx.random.normal((4, 3)), mx.random.normal((2, 3))
    mx.export_function(str(tmp_path / "f.mlxfn"), lambda x: x @ maker(weight), x)
    assert mx.allclose(mx.import_function(str(tmp_path / "f.mlxfn"))(x)[0], x @ weight.T)


def test_weights_that_are_arguments_of_a_trace() -> None:
    maker, state, x = Maker(), [mx.random.normal((4, 3))], mx.random.normal((2, 3))
    compiled = mx.compile(lambda x: x @ maker(state[0]), inputs=state)
    for _ in range(2):
        assert mx.allclose(compiled(x), x @ state[0].T)
        state[0] = mx.random.normal((4, 3))
    # Nothing of the trace is kept.
    assert mx.allclose(maker(state[0]), state[0].T)


def test_gradients_reach_weights() -> None:
    maker, weight, x = Maker(), mx.random.normal((4, 3)), mx.random.normal((2, 3))
    for _ in range(2):
        gradient = mx.grad(lambda w: (x @ maker(w)).sum())(weight)
        assert mx.allclose(gradient, mx.broadcast_to(x.sum(0), (4, 3)), atol=1e-5)
