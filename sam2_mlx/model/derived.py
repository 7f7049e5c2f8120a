"""Values that follow from weights alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import mlx.core as mx

T = TypeVar("T")


class Derived(Generic[T]):
    """A value made of weights: made once, and again as soon as one of them is another array.

    It is not a parameter: it is neither stored nor loaded, and gradients reach the weights
    through it.
    """

    def __init__(self) -> None:
        self._weights: tuple[mx.array, ...] = ()
        self._value: T | None = None

    def get(self, make: Callable[[], T], *weights: mx.array) -> T:
        """The value.

        Args:
            make: makes it.
            weights: everything that it is made of; at least one array.
        """
        if len(weights) != len(self._weights) or any(map(_differ, weights, self._weights)):
            self._value, self._weights = make(), weights
        assert self._value is not None
        return self._value


def _differ(one: mx.array, other: mx.array) -> bool:
    return one is not other
