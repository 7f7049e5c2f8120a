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
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import mlx.core as mx

from sam2_mlx.ops.cpu.blas import threads_are_given, usable_cores
from sam2_mlx.ops.device import on_cpu
from sam2_mlx.ops.profile import Profile, active

# More lanes than this hold more memory at once than they save time.
_MOST = 8
# Values of a part, or up to twice as many. Fewer are not worth a hand-over between streams; more
# have larger intermediate results.
_LEAST_VALUES = 2**17
# A group has many operations, so fewer values are worth one.
_LEAST_GROUPED = 2**14
# Values of the groups that a lane takes at once: intermediate results are many times as large, and
# many passes go over them.
_GROUP_VALUES = 2**16
# A smaller picture is not worth cutting into strips.
_LEAST_PIXELS = 2**16

Function = Callable[..., Any]
"""Arrays in; one array out, or a tuple of them."""


class _Here(threading.local):
    """Whether this thread is building a lane's part."""

    inside = False


_here = _Here()
# Streams, and the profile that they are for.
_in_use: tuple[Profile, tuple[mx.ThreadLocalStream, ...]] | None = None


def lane_count() -> int:
    """Streams that work can be spread over where this is called.

    Raises:
        ValueError: if `SAM2_MLX_LANES` is no number of at least 1.
    """
    if _here.inside or not on_cpu():
        return 1
    return len(_lanes())


@contextmanager
def one_lane() -> Iterator[None]:
    """Leave what this thread builds meanwhile on the default stream."""
    before, _here.inside = _here.inside, True
    try:
        yield
    finally:
        _here.inside = before


def _lanes() -> tuple[mx.ThreadLocalStream, ...]:
    global _in_use
    profile = active()
    if _in_use is None or _in_use[0] is not profile:
        count, threads = _wanted(profile)
        threads = threads or (1 if count > 1 else None)
        if threads is not None or _in_use is not None:  # else they are as they were
            _set_blas_threads(threads or usable_cores())
        _in_use = profile, _streams(count)
    return _in_use[1]


@cache
def _streams(count: int) -> tuple[mx.ThreadLocalStream, ...]:
    return tuple(mx.new_thread_local_stream(mx.cpu) for _ in range(count))


def _wanted(profile: Profile) -> tuple[int, int | None]:
    """How many lanes, and how many threads of the BLAS where that was measured."""
    value = os.environ.get("SAM2_MLX_LANES", "")
    if value:
        if not value.isdigit() or int(value) < 1:
            raise ValueError(f"SAM2_MLX_LANES is a number of streams, 1 or more; got {value!r}")
        return int(value), None
    # Elsewhere the BLAS is the system's; and who sets its threads wants those.
    if sys.platform != "linux" or threads_are_given():
        return 1, None
    return profile.lanes or min(usable_cores(), _MOST), profile.blas_threads


def _set_blas_threads(count: int) -> None:
    """Threads of a product: one where products run side by side."""
    # Whichever BLAS is global is the one that MLX calls.
    every = ctypes.CDLL(None)
    if not threads_are_given() and hasattr(every, "openblas_set_num_threads"):
        every.openblas_set_num_threads(count)


def run_in_lane(number: int, function: Function, *arguments: mx.array) -> Any:
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


def run_in_turn(function: Function, pieces: Iterable[Sequence[mx.array]]) -> list[Any]:
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
    results: list[Any] = []
    for i, piece in enumerate(pieces):
        if i >= lanes and (lanes > 1 or _here.inside):
            earlier = results[i - lanes]
            awaited = list(earlier) if isinstance(earlier, tuple) else [earlier]
            piece = run_in_lane(i, lambda *arrays, a=awaited: mx.depends(list(arrays), a), *piece)
        results.append(run_in_lane(i, function, *piece))
    return results


def worth_spreading(array: mx.array) -> bool:
    """Whether `spread` would cut an array that is long enough on its axis."""
    return array.size >= 2 * _LEAST_VALUES and lane_count() > 1


def spread(function: Function, *arrays: mx.array, axis: int) -> Any:
    """Apply a function that treats slices along an axis independently, some on each lane in turn.

    Args:
        function: called with a slice of each array; returns what belongs to it along `axis`.
        arrays: of the same length on `axis`.
        axis: the axis that is cut.

    Returns:
        What `function(*arrays)` would be.
    """
    length, lanes = arrays[0].shape[axis], lane_count()
    parts = min(length, arrays[0].size // _LEAST_VALUES)
    if lanes == 1 or parts <= 1:
        return function(*arrays)
    # Every lane gets as many.
    parts = parts // lanes * lanes or parts
    ends = _ends(length, parts)[:-1]
    slices = zip(*(mx.split(array, ends, axis=axis) for array in arrays), strict=True)
    return join(run_in_turn(function, slices), axis)


def spread_groups(function: Function, arrays: Sequence[mx.array], units: Sequence[int]) -> Any:
    """Apply a function that treats groups of rows independently, a few groups at a time.

    Args:
        function: called with the rows of some groups; returns rows of these groups.
        arrays: rows of all groups, or of one where all groups share them.
        units: for each array, rows of a group.

    Returns:
        What `function(*arrays)` would be.
    """
    counts = [len(array) // unit for array, unit in zip(arrays, units, strict=True)]
    groups, values, lanes = max(counts), units[0] * arrays[0].shape[-1], lane_count()
    if lanes == 1 or groups < lanes or groups * values < lanes * _LEAST_GROUPED:
        return function(*arrays)
    # Every lane gets as many groups; one that is left over is spread itself if that is worth it.
    spare = groups % lanes if values >= lanes * _LEAST_VALUES else 0
    dealt = groups - spare
    parts = min(-(-dealt * values // _GROUP_VALUES // lanes) * lanes, dealt)
    ends = [*_ends(dealt, parts), groups][: parts + (spare > 0)]
    columns = [
        [array] * len(ends)
        if count < groups
        else mx.split(array, [end * unit for end in ends[:-1]])
        for array, unit, count in zip(arrays, units, counts, strict=True)
    ]
    pieces = list(zip(*columns, strict=True))
    results = run_in_turn(function, pieces[:parts])
    return join(results + [function(*piece) for piece in pieces[parts:]], 0)


def spread_strips(function: Function, x: mx.array, *, stride: int) -> Any:
    """Apply a function to strips of a picture, on all lanes.

    Args:
        function: of pictures; a row of its result depends on `stride` rows and on at most as many
            above them.
        x: (B, H, W, C).
        stride: rows for one of the result.

    Returns:
        What `function(x)` would be.
    """
    lanes, rows = lane_count(), x.shape[1] // stride
    if lanes == 1 or len(x) > 1 or x.size < _LEAST_PIXELS or x.shape[1] % stride:
        return spread(function, x, axis=0)
    ends = _ends(rows, lanes)
    starts = [0, *ends[:-1]]
    # One row more is computed, which sees zeros instead of the strip above, and dropped.
    strips = [
        x[:, max(start - 1, 0) * stride : end * stride]
        for start, end in zip(starts, ends, strict=True)
    ]
    first, *others = (run_in_lane(i, function, strip) for i, strip in enumerate(strips))
    return join([first, *(rows[:, 1:] for rows in others)], 1)


def _ends(length: int, parts: int) -> list[int]:
    """Where parts end that are about as long as each other."""
    return [length * (i + 1) // parts for i in range(parts)]


def join(results: Sequence[Any], axis: int) -> Any:
    """Arrays, or tuples of them, side by side on an axis; one alone is not copied."""
    if len(results) == 1:
        return results[0]
    if isinstance(results[0], mx.array):
        return mx.concatenate(list(results), axis=axis)
    return tuple(mx.concatenate(list(same), axis=axis) for same in zip(*results, strict=True))
