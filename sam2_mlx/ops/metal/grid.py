"""The shape of a launch, checked before it reaches Metal."""

from __future__ import annotations

MAX_THREADS = 256
"""Threads of one group; more may exceed what a kernel's registers leave room for."""

Size3 = tuple[int, int, int]


def launch_shape(threads: Size3, group: Size3) -> tuple[Size3, Size3]:
    """Grid and group for `mx.fast.metal_kernel`, which counts the grid in threads, not groups.

    Args:
        threads: threads wanted along x, y and z; at least 1 each.
        group: threads of a group along each; cut to the grid.

    Returns:
        The grid and the group.
    """
    assert min(threads) > 0, f"an empty grid: {threads}"
    fitted = (min(group[0], threads[0]), min(group[1], threads[1]), min(group[2], threads[2]))
    assert fitted[0] * fitted[1] * fitted[2] <= MAX_THREADS, f"a group too large: {fitted}"
    return threads, fitted
