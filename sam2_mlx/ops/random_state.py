"""The user's random numbers, left where they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import mlx.core as mx


@contextmanager
def random_numbers_kept() -> Iterator[None]:
    """Put MLX's random state back afterwards; also a decorator.

    Layers draw weights that a checkpoint then replaces. Each draw would lengthen a chain of keys
    that nobody evaluates, and move the numbers that the user draws next.
    """
    state: Any = mx.random.state
    high, low = state[0].tolist()
    try:
        yield
    finally:
        mx.random.seed(high << 32 | low)
