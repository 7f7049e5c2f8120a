"""Several processor cores at once: independent parts of an operation, each on a stream of its own.

MLX's CPU backend runs an operation on one core, matrix products excepted, whose BLAS has threads
of its own. Here parts of an operation go to as many streams as there are cores, and the BLAS keeps
to one thread: so everything between the products runs on all cores too. `SAM2_MLX_LANES` sets the
number of streams; 1 leaves MLX and the BLAS as they are.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any, TypeVar

import mlx.core as mx

from sam2_mlx.ops.cpu.blas import threads_are_given, usable_cores

# More lanes than this hold more memory at once than they save time.
_MOST = 8
# Below this many values a part is not worth a hand-over between streams.
_LEAST_VALUES = 2**17
# A group has many operations, so fewer values are worth one.
_LEAST_GROUPED = 2**14
# Values of a group: intermediate results are a few times as large, and many passes go over them.
_GROUP_VALUES = 2**20


# What a part gives: one array, or several.
Found = TypeVar("Found", mx.array, tuple[mx.array, mx.array], tuple[mx.array, ...])


class _Here(threading.local):
    """Whether this thread is building a lane's part."""

    inside = False


_here = _Here()


def lane_count() -> int:
    """Streams that work can be spread over where this is called.

    Raises:
        ValueError: if `SAM2_MLX_LANES` is no number of at least 1.
    """
    if _here.inside or mx.default_device().type != mx.cpu:
        return 1
    return len(_lanes())


@lru_cache(maxsize=1)
def _lanes() -> tuple[mx.ThreadLocalStream, ...]:
    count = _wanted()
    if count == 1:
        return (mx.new_thread_local_stream(mx.cpu),)
    _calm_blas()
    return tuple(mx.new_thread_local_stream(mx.cpu) for _ in range(count))


def _wanted() -> int:
    value = os.environ.get("SAM2_MLX_LANES", "")
    if value:
        if not value.isdigit() or int(value) < 1:
            raise ValueError(f"SAM2_MLX_LANES is a number of streams, 1 or more; got {value!r}")
        return int(value)
    # Elsewhere the BLAS is the system's; and who sets its threads wants those.
    if sys.platform != "linux" or threads_are_given():
        return 1
    return min(usable_cores(), _MOST)


def _calm_blas() -> None:
    """One thread a product: products run side by side now."""
    # Whichever BLAS is global is the one that MLX calls.
    every = ctypes.CDLL(None)
    if hasattr(every, "openblas_set_num_threads"):
        every.openblas_set_num_threads(1)


def run_in_lane(number: int, function: Callable[..., Found], *arguments: mx.array) -> Found:
    """Build a part of the graph for one lane.

    Args:
        number: of the lane; any integer.
        function: called with the arguments; what it spreads itself stays in this lane.
        arguments: arrays.

    Returns:
        What the function returns.
    """
    if lane_count() == 1:
        return function(*arguments)
    lanes = _lanes()
    _here.inside = True
    try:
        with mx.stream(lanes[number % len(lanes)]):
            return function(*arguments)
    finally:
        _here.inside = False


def spread(function: Callable[..., Found], *arrays: mx.array, axis: int) -> Found:
    """Apply a function that treats slices along an axis independently, on all lanes.

    Args:
        function: called with a slice of each array; returns what belongs to it along `axis`, one
            array or two.
        arrays: of the same length on `axis`.
        axis: the axis that is cut.

    Returns:
        What `function(*arrays)` would be.
    """
    length = arrays[0].shape[axis]
    parts = min(lane_count(), length, arrays[0].size // _LEAST_VALUES)
    if parts <= 1:
        return function(*arrays)
    pieces = _cut(arrays, parts, axis=axis)
    return join_chunks([run_in_lane(i, function, *piece) for i, piece in enumerate(pieces)], axis)


def run_in_turn(
    function: Callable[..., Found], pieces: Iterable[tuple[mx.array, ...]]
) -> list[Found]:
    """Apply a function to many pieces, dealt to the lanes; each lane does one after another.

    Only the piece that a lane is at has intermediate results then. MLX by itself would order the
    operations of all pieces by depth: lanes take turns, and the results of many pieces exist at a
    time.

    Args:
        function: called with the arrays of a piece.
        pieces: arrays for each call.

    Returns:
        What the function returns for each piece.
    """
    lanes = lane_count()
    done: list[Any] = []
    for i, piece in enumerate(pieces):
        arrays = piece
        if i >= lanes and (lanes > 1 or _here.inside):
            before = done[i - lanes]
            known = list(before) if isinstance(before, tuple) else [before]
            arrays = run_in_lane(i, _after(known), *piece)
        done.append(run_in_lane(i, function, *arrays))
    return done


def spread_members(
    function: Callable[..., mx.array],
    unit: int,
    rows: tuple[mx.array, ...],
    *arrays: mx.array,
) -> mx.array:
    """Apply a function that treats the members of a batch independently.

    Args:
        function: called with rows and arrays; returns rows.
        unit: rows of a member.
        rows: (B*unit, ...), or (unit, ...) where all members share them.
        arrays: (B, ...).

    Returns:
        What `function(*rows, *arrays)` would be.
    """
    batch, lanes = len(arrays[0]), lane_count()
    if lanes == 1 or batch < lanes or unit * rows[0].shape[-1] < _LEAST_GROUPED:
        return function(*rows, *arrays)
    own = [len(array) > unit for array in rows]

    def part(first: int, end: int) -> tuple[mx.array, ...]:
        mine = [
            array[first * unit : end * unit] if each else array
            for array, each in zip(rows, own, strict=True)
        ]
        return (*mine, *(array[first:end] for array in arrays))

    # Every lane gets as many members; what is left over is spread inside.
    dealt = batch // lanes * lanes
    done = run_in_turn(function, [part(i, i + 1) for i in range(dealt)])
    return join_chunks(done if dealt == batch else [*done, function(*part(dealt, batch))], 0)


def _after(known: list[mx.array]) -> Callable[..., Any]:
    """What gives its arguments, but not before something else is known."""
    return lambda *arrays: tuple(mx.depends(list(arrays), known))


def spread_groups(function: Callable[..., Found], unit: int, *arrays: mx.array) -> Found:
    """Apply a function that treats groups of rows independently, a few groups at a time.

    Args:
        function: called with some groups of each array; returns as many rows for each of them,
            one array or several.
        unit: rows of a group.
        arrays: of the same number of rows, a multiple of `unit`.

    Returns:
        What `function(*arrays)` would be.
    """
    groups, lanes = len(arrays[0]) // unit, lane_count()
    parts = min(-(-arrays[0].size // _GROUP_VALUES // lanes) * lanes, groups)
    if lanes == 1 or parts < lanes or arrays[0].size < lanes * _LEAST_GROUPED:
        return function(*arrays)
    return join_chunks(run_in_turn(function, _cut(arrays, parts, unit=unit)), 0)


def _cut(
    arrays: tuple[mx.array, ...], parts: int, *, axis: int = 0, unit: int = 1
) -> Iterator[tuple[mx.array, ...]]:
    """Slices of equally long arrays, about as long as each other and whole numbers of units."""
    units = arrays[0].shape[axis] // unit
    ends = [units * (i + 1) // parts * unit for i in range(parts - 1)]
    return zip(*(mx.split(array, ends, axis=axis) for array in arrays), strict=True)


def spread_rows(function: Callable[..., Found], *arrays: mx.array) -> Found:
    """`spread` for a function that treats every row of its arrays by itself."""
    return spread(function, *arrays, axis=0)


def join_chunks(parts: list[Found], axis: int) -> Found:
    """Parts side by side on an axis, arrays or tuples of them; one alone is not copied."""
    if len(parts) == 1:
        return parts[0]
    every: list[Any] = parts
    joined: Any
    if isinstance(every[0], tuple):
        joined = tuple(mx.concatenate(list(same), axis=axis) for same in zip(*every, strict=True))
    else:
        joined = mx.concatenate(every, axis=axis)
    found: Found = joined
    return found
