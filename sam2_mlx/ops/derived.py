"""What is made once: from weights, and again when one is replaced; or from sizes alone."""

from __future__ import annotations

import operator
from collections.abc import Callable, Hashable
from functools import wraps
from typing import Any, Generic, ParamSpec, TypeVar, cast

import mlx.core as mx
from mlx.utils import tree_map

P = ParamSpec("P")
T = TypeVar("T")  # an array, or tuples and lists of them

# Sizes that a value is kept for; a picture of another size makes a few.
_SIZES = 64


class Derived(Generic[T]):
    """Arrays that follow from weights and sizes: no parameters, neither stored nor loaded.

    They are evaluated when they are made, so no trace contains how, and contiguous, because an
    exported function has its constants' memory and not their strides.
    """

    def __init__(self) -> None:
        self._made: dict[Hashable, tuple[tuple[mx.array, ...], T]] = {}

    def get(self, make: Callable[[], T], *weights: mx.array, key: Hashable = ()) -> T:
        """The value for a key, made anew where a weight is another array than before.

        Args:
            make: makes it.
            weights: everything it is made of that can be replaced. Equal values are not enough:
                comparing them would cost more than making the value.
            key: everything else that it depends on.
        """
        weights_before, value = self._made.get(key, (None, None))
        if weights_before is None or not _same(weights, weights_before):
            value = tree_map(mx.contiguous, make())
            try:
                mx.eval(value)
            except ValueError:  # the weights are arguments of a function that is being traced
                return cast(T, value)
            others = [item for item in self._made.items() if item[0] != key]
            # Another dictionary in one step: other threads may be reading this one.
            self._made = dict([*others[1 - _SIZES :], (key, (weights, cast(T, value)))])
        return cast(T, value)


def _same(some: tuple[mx.array, ...], others: tuple[mx.array, ...]) -> bool:
    return len(some) == len(others) and all(map(operator.is_, some, others))


def constant(make: Callable[P, T]) -> Callable[P, T]:
    """Decorate a function of sizes and other plain values, whose arrays are made once for each."""
    derived: Derived[T] = Derived()

    @wraps(make)
    def get(*args: P.args, **kwargs: P.kwargs) -> T:
        key: Any = (args, *sorted(kwargs.items()))
        return derived.get(lambda: make(*args, **kwargs), key=key)

    return get
