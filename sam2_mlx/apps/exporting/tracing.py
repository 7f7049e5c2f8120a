"""Functions traced to a file: plain operations only, and every constant as it lies in memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np

from sam2_mlx.apps.exporting.facts import Arguments
from sam2_mlx.ops.cpu.lanes import one_lane
from sam2_mlx.ops.metal.switch import SWITCH_VARIABLE, KernelMode

Arrays = tuple[mx.array, ...]


@contextmanager
def plain_operations() -> Iterator[None]:
    """Without compiled helpers, custom kernels and lanes, none of which a file can hold."""
    mode, compiled = os.environ.get(SWITCH_VARIABLE), "MLX_DISABLE_COMPILE" not in os.environ
    os.environ[SWITCH_VARIABLE] = KernelMode.OFF.value
    mx.disable_compile()
    try:
        with one_lane():
            yield
    finally:
        if mode is None:
            del os.environ[SWITCH_VARIABLE]
        else:
            os.environ[SWITCH_VARIABLE] = mode
        if compiled:
            mx.enable_compile()


def write_functions(
    path: Path, function: Callable[..., Arrays], calls: Sequence[Arguments]
) -> None:
    """Trace a function once for each call and write all traces to one file; constants once.

    Args:
        path: the .mlxfn file.
        function: takes its arguments by name.
        calls: example arguments; what counts is their names, shapes and types.

    Raises:
        ValueError: if a constant could not be read back as it is.
        OSError: if the file cannot be written.
    """
    with plain_operations():
        for call in calls:
            _check_constants(function, call)
        try:
            with mx.exporter(str(path), function) as exporter:
                for call in calls:
                    exporter(**call)
        except RuntimeError as problem:
            # All calls have been traced before; what can go wrong now is the file.
            raise OSError(f"MLX says {problem}; is the disk full?") from problem


def _check_constants(function: Callable[..., Arrays], call: Arguments) -> None:
    """Refuse views: MLX writes the memory of a constant and leaves out its strides."""

    def look(part: dict[str, Any]) -> None:
        if part["type"] != "constants":
            return
        for _, constant in part["constants"]:
            if not _lies_in_order(constant):
                raise ValueError(
                    f"a constant of shape {constant.shape} in the function of "
                    f"{', '.join(call)} is a view, which a file would hold wrongly; "
                    "make it with Derived"
                )

    export: Any = mx.export_function  # its annotations know no arguments by name
    export(look, function, **call)


def _lies_in_order(array: mx.array) -> bool:
    if array.dtype == mx.bfloat16:
        array = array.view(mx.uint16)
    # Without a copy NumPy sees the strides that MLX has.
    return bool(np.array(array, copy=False).flags.c_contiguous)
