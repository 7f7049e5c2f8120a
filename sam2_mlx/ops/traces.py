"""Compiled forms of the steady-state functions: arrays in, a tuple of arrays out, exact shapes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Hashable

import mlx.core as mx

from sam2_mlx.ops.device import on_gpu
from sam2_mlx.ops.profile import active

_Function = Callable[..., tuple[mx.array, ...]]


def compile_wanted() -> bool:
    """Whether whole steps are compiled: on a GPU, unless the environment or a profile differs.

    On a CPU MLX builds each fused loop with a C++ compiler, which costs more than it saves.

    Raises:
        ValueError: if the variable is not auto, 0 or 1.
    """
    value = os.environ.get("SAM2_MLX_COMPILE", "auto")
    if value not in ("auto", "0", "1"):
        raise ValueError(f"SAM2_MLX_COMPILE is auto, 0 or 1; got {value!r}")
    if value != "auto":
        return value == "1"
    tuned = active().compile
    return on_gpu() if tuned is None else tuned


class _OfThread(threading.local):
    """What a thread compiled; see `ops.compiled`."""

    def __init__(self) -> None:
        self.compiled: dict[Hashable, _Function] = {}


class Traces:
    """Compiled functions by a static key; MLX traces each again only for new shapes.

    Each thread has its own.

    Attributes:
        count: traces so far; constant once a video is in its steady state.
    """

    def __init__(self) -> None:
        self.count = 0
        self._own = _OfThread()

    def __reduce__(self) -> tuple[type[Traces], tuple[()]]:
        # A copy compiles anew.
        return Traces, ()

    def run(self, key: Hashable, function: _Function, *arrays: mx.array) -> tuple[mx.array, ...]:
        """Call a function, compiled where that is wanted.

        Args:
            key: everything the function depends on beside its arguments and the weights.
            function: arrays in, a tuple of arrays out.
            arrays: its arguments.
        """
        if not compile_wanted():
            return function(*arrays)
        compiled, key = self._own.compiled, (key, active())
        if key not in compiled:

            def traced(*inputs: mx.array) -> tuple[mx.array, ...]:
                self.count += 1
                return function(*inputs)

            compiled[key] = mx.compile(traced)
        return compiled[key](*arrays)
