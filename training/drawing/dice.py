"""Random numbers that are the same with every version of Python and NumPy."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


class Dice:
    """Draws from a seed.

    Only `random.random()` and the raw doubles of PCG64 are used: what else the two libraries make
    of their generators may change from version to version.

    Args:
        seed: any number.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def real(self, low: float, high: float) -> float:
        """A number between two others."""
        return low + (high - low) * self._random.random()

    def whole(self, low: int, high: int) -> int:
        """A whole number from low up to high - 1."""
        return low + int(self._random.random() * (high - low))

    def happens(self, probability: float) -> bool:
        """Whether something of this probability happens."""
        return self._random.random() < probability

    def sign(self) -> float:
        """1 or -1."""
        return 1.0 if self.happens(0.5) else -1.0

    def choice(self, items: Sequence[T]) -> T:
        """One of several."""
        return items[self.whole(0, len(items))]

    def seed(self) -> int:
        """A seed for something that shall not depend on what is drawn later."""
        return self.whole(0, 2**31)


def field(seed: int, *shape: int) -> np.ndarray:
    """float64 of a shape, evenly spread over [0, 1)."""
    return np.random.Generator(np.random.PCG64(seed)).random(shape)
