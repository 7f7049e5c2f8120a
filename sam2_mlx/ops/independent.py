"""What in a computation does not depend on what, said where it is true.

A function is decorated with the property. It gives the same either way; where a device gains by
it (see `ops/cpu/lanes.py`), independent parts are computed side by side.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from math import prod
from typing import Any, TypeVar, cast

import mlx.core as mx

from sam2_mlx.ops.cpu.lanes import (
    lane_count,
    spread,
    spread_groups,
    spread_strips,
    worth_spreading,
)

F = TypeVar("F", bound=Callable[..., Any])


def by_row(function: F) -> F:
    """Every row (..., C) of the arrays is treated by itself, and gives a row of each result."""

    @wraps(function)
    def rows(*arguments: Any) -> Any:
        # Most calls are too small, and a step makes hundreds of them.
        if not worth_spreading(next(a for a in arguments if isinstance(a, mx.array))):
            return function(*arguments)
        arrays, alone = _arrays(function, arguments)
        leading = arrays[0].shape[:-1]
        if any(array.shape[:-1] != leading for array in arrays[1:]):
            return function(*arguments)
        return spread(alone, *arrays, axis=leading.index(max(leading)))

    return cast(F, rows)


def by_grid(function: F) -> F:
    """Every grid of tokens is treated by itself.

    The function's last argument is the grid, (rows, columns). Arrays (grids*rows*columns, C) hold
    the tokens of all grids, or of one where all share it, as do the results; other arrays have an
    entry for each grid.
    """

    @wraps(function)
    def grids(*arguments: Any) -> Any:
        if lane_count() == 1:
            return function(*arguments)
        tokens = prod(arguments[-1])
        arrays, alone = _arrays(function, arguments)
        return spread_groups(alone, arrays, [tokens if a.ndim == 2 else 1 for a in arrays])

    return cast(F, grids)


def by_band(stride: int) -> Callable[[F], F]:
    """A row of the result depends on `stride` rows of the picture and on some above them.

    These are at most `stride` more. The function's arguments are pictures (B, H, W, C), and it
    treats each of a batch by itself.
    """

    def decorate(function: F) -> F:
        @wraps(function)
        def bands(*arguments: Any) -> Any:
            arrays, alone = _arrays(function, arguments)
            return spread_strips(alone, *arrays, stride=stride)

        return cast(F, bands)

    return decorate


def _arrays(
    function: Callable[..., Any], arguments: tuple[Any, ...]
) -> tuple[list[mx.array], Callable[..., Any]]:
    """The arrays among a function's arguments, and the function of them alone."""
    places = [i for i, argument in enumerate(arguments) if isinstance(argument, mx.array)]

    def alone(*arrays: mx.array) -> Any:
        filled = list(arguments)
        for place, array in zip(places, arrays, strict=True):
            filled[place] = array
        return function(*filled)

    return [arguments[place] for place in places], alone
