"""Functions compiled by MLX, by each thread for itself."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from typing import TypeVar

import mlx.core as mx

from sam2_mlx.ops.cpu.rehearsal import programs_are_there

F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """Compile a function of arrays for any shapes.

    MLX keeps what it compiled, with Python objects in it, for each thread that calls, and takes
    that down when the system's thread ends: later than Python waits for. If the process ended in
    that moment, it was aborted (exit code 134 in about a third of runs). What is kept in a
    `threading.local` goes in time.
    """
    own = threading.local()

    @wraps(function)
    def call(*arrays: mx.array) -> object:
        if not programs_are_there():
            return function(*arrays)
        try:
            run = own.run
        except AttributeError:
            run = own.run = mx.compile(function, shapeless=True)
        return run(*arrays)

    return call  # type: ignore[return-value]
