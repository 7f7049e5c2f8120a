"""A stand-in for the callable of `mx.fast.metal_kernel` that needs no Metal."""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np

from .capture import Launch, capture
from .lints import problems
from .program import EmulationError, build

_STORED = {mx.bfloat16: mx.uint16}  # numpy has no bfloat16


class Emulated:
    """Runs a kernel on the CPU, with the arguments of the real callable.

    Args:
        function: what `mx.fast.metal_kernel` returned.
        folder: where compiled programs are kept.
        max_threads: threads of a group that the kernel may ask for.
    """

    def __init__(self, function: Callable[..., Any], folder: Path, max_threads: int = 256) -> None:
        self._function, self._folder, self._max_threads = function, folder, max_threads

    def __call__(self, *, inputs: Sequence[Any], **call: Any) -> list[mx.array]:
        """The outputs.

        Raises:
            EmulationError: if the kernel breaks a rule; the message says which.
        """
        assert call.get("init_value") is None, "outputs are poisoned, not initialised"
        arrays = [x if isinstance(x, mx.array) else mx.array(x) for x in inputs]
        launch = capture(self._function, arrays, **call)
        found = problems(launch, self._max_threads)
        if found:
            raise EmulationError("; ".join(found))
        return _run(launch, arrays, build(launch, self._folder))


def _run(launch: Launch, arrays: Sequence[mx.array], program: Path) -> list[mx.array]:
    bindings, data = [], []
    for array, info in zip(arrays, launch.infos, strict=True):
        for content, misalignment, origin in _bindings(array, info, launch.contiguous):
            bindings.append(f"i {len(content)} {misalignment} {origin}")
            data.append(content)
    templates = [np.empty(s, _numpy_dtype(dtype)) for s, dtype in launch.outputs]
    bindings += [f"o {t.nbytes} 0 0" for t in templates]
    with tempfile.TemporaryDirectory() as folder:
        job, blob, results = (f"{folder}/{name}" for name in ("job", "data", "results"))
        header = " ".join(map(str, (*launch.grid, *launch.group)))
        Path(job).write_text("\n".join([header, *bindings]) + "\n")
        Path(blob).write_bytes(b"".join(data))
        done = subprocess.run([program, job, blob, results], capture_output=True, text=True)
        if done.returncode:
            raise EmulationError(done.stderr.strip()[-1500:] or f"ended with {done.returncode}")
        content = Path(results).read_bytes()
    half = len(content) // 2
    if content[:half] != content[half:]:
        raise EmulationError(
            "the result depends on the order of threads or on what was in memory: "
            "unwritten output, uninitialised read or data race"
        )
    return list(_outputs(content, templates, launch))


def _bindings(
    array: mx.array, info: tuple[bool, bool, bool], contiguous: bool
) -> Iterator[tuple[bytes, int, int]]:
    """The buffers of one input: content, start modulo 16, and where its element 0 lies."""
    view = _view(array)
    if contiguous and not view.flags.c_contiguous:
        view = np.ascontiguousarray(view)
    reach = [(n - 1) * stride for n, stride in zip(view.shape, view.strides, strict=True)]
    before = -sum(min(r, 0) for r in reach)
    after = sum(max(r, 0) for r in reach) + view.itemsize
    start = view.__array_interface__["data"][0] - before
    content = ctypes.string_at(start, before + after) if view.size else b""
    # A fresh array lies where Metal would page-align it; a slice keeps its offset.
    yield content, (start - _fresh_address()) % 16, before
    if view.ndim == 0:
        return
    wants_shape, wants_strides, wants_rank = info
    if wants_shape:
        yield np.array(view.shape, np.int32).tobytes(), 0, 0
    if wants_strides:
        yield (np.array(view.strides, np.int64) // view.itemsize).tobytes(), 0, 0
    if wants_rank:
        yield np.int32(view.ndim).tobytes(), 0, 0


def _view(array: mx.array) -> np.ndarray:
    """The array's own memory with its own strides."""
    array = array.view(_STORED[array.dtype]) if array.dtype in _STORED else array
    mx.eval(array)
    return np.array(array, copy=False)


def _fresh_address() -> int:
    return int(_view(mx.zeros((64,)) + 1).__array_interface__["data"][0]) % 16


def _numpy_dtype(dtype: mx.Dtype) -> np.dtype:
    return _view(mx.zeros((1,), dtype)).dtype


def _outputs(content: bytes, templates: Sequence[np.ndarray], launch: Launch) -> Iterator[mx.array]:
    start = 0
    for template, (shape, dtype) in zip(templates, launch.outputs, strict=True):
        part = np.frombuffer(content, template.dtype, template.size, start).reshape(shape)
        start += template.nbytes
        array = mx.array(part)
        yield array.view(dtype) if dtype in _STORED else array
