"""Every custom kernel against plain MLX; without Metal the twins against numpy."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import numpy as np

from sam2_mlx.ops import flash, residual_norm, rope, upsample
from sam2_mlx.ops.metal import oracle
from sam2_mlx.ops.metal.kernel import FLOATS, LIMITS, Arrays, Kernel, milliseconds, relative_error
from sam2_mlx.ops.metal.switch import kernel_status, metal_in_use
from sam2_mlx.ops.metal.upsample import BINARISE, SIGMOID, THRESHOLD
from sam2_mlx.ops.metal.verdicts import platform_key

# Pixels of a mask that may differ: those whose logit is zero but for rounding.
MASK_LIMIT = 1e-5


@dataclass(frozen=True)
class Case:
    """One kernel at one size.

    Attributes:
        kernel: kernel and twin.
        what: what it does, for people.
        dtype: of the data, for people.
        arguments: of both.
        wanted: the outputs, computed by numpy in float64.
        binary: two values only; what counts is where they differ.
        widened: the twin that is compared with gets float32, as halves take a CPU minutes here.
    """

    kernel: Kernel[Any]
    what: str
    dtype: str
    arguments: tuple[Any, ...]
    wanted: Callable[[], tuple[np.ndarray, ...]]
    binary: bool = False
    widened: bool = False


def cases(dtype: str, full: bool) -> Iterator[Case]:
    """The cases of one dtype.

    Args:
        dtype: float32, float16 or bfloat16.
        full: at the sizes of a 1024-pixel model with seven memories and a full-HD video.
    """
    frames, side, masks = (7, 64, 8) if full else (2, 16, 2)
    yield _rope_case(dtype, frames, side)
    if dtype == "float32":
        size = (1080, 1920) if full else (135, 240)
        yield _threshold_case(masks, size)
    size = (1024, 1024) if full else (320, 320)
    for binarise in (False, True):
        yield _memory_case(dtype, masks, size, binarise)
    for rows, channels in ((65536, 96), (4096, 576)) if full else ((512, 96), (64, 576)):
        yield _norm_case(dtype, rows, channels)
    yield _attention_case(dtype, frames, side)


def _rope_case(dtype: str, frames: int, side: int) -> Case:
    layout = rope.MemoryLayout(frames, side, tail=64)
    arguments = rope.rope_example(FLOATS[dtype], 256, side, layout)

    def wanted() -> tuple[np.ndarray, ...]:
        q, k = map(_numpy, arguments[:2])
        return oracle.rope(q, side, side * side), oracle.rope(k, side, frames * side * side)

    return Case(rope.KERNEL, f"axial RoPE, {frames} memories", dtype, arguments, wanted)


def _logits(count: int) -> mx.array:
    random = np.random.default_rng(1)
    return mx.array(random.standard_normal((count, 256, 256), dtype=np.float32) * 6)


def _threshold_case(count: int, size: tuple[int, int]) -> Case:
    maps = _logits(count)

    def wanted() -> tuple[np.ndarray, ...]:
        return (oracle.bilinear(_numpy(maps), size) > 0,)

    what = f"{count} masks to {size[1]}x{size[0]}"
    return Case(upsample.KERNEL, what, "uint8", (maps, size, THRESHOLD, mx.uint8), wanted, True)


def _memory_case(dtype: str, count: int, size: tuple[int, int], binarise: bool) -> Case:
    maps = _logits(count)
    arguments = (maps, size, BINARISE if binarise else SIGMOID, FLOATS[dtype])

    def wanted() -> tuple[np.ndarray, ...]:
        return (oracle.memory_mask(_numpy(maps), size, binarise),)

    what = f"{count} {'binary' if binarise else 'soft'} masks to memory"
    return Case(upsample.KERNEL, what, dtype, arguments, wanted, binarise)


def _norm_case(dtype: str, rows: int, channels: int) -> Case:
    arguments = residual_norm.norm_example(FLOATS[dtype], rows, channels)

    def wanted() -> tuple[np.ndarray, ...]:
        x, y, weight, bias = arguments[:4]
        total = _numpy(x + y)
        zero = np.zeros_like(total)
        norm = oracle.add_layer_norm(total, zero, _numpy(weight), _numpy(bias), arguments[4])
        return total, norm

    what = f"sum and LayerNorm {rows}x{channels}"
    return Case(residual_norm.KERNEL, what, dtype, arguments, wanted)


def _attention_case(dtype: str, frames: int, side: int) -> Case:
    tokens = side * side
    keys = frames * tokens + 64
    arguments = flash.flash_example(FLOATS[dtype], 1, tokens, keys, 256, 64)

    def wanted() -> tuple[np.ndarray, ...]:
        q, k, v = map(_numpy, arguments[:3])
        return (oracle.attention(q, k, v, arguments[3]),)

    what = f"attention to {frames} memories"
    return Case(flash.KERNEL, what, dtype, arguments, wanted, widened=True)


def _numpy(x: mx.array) -> np.ndarray:
    return np.array(x.astype(mx.float32))


def compare(dtypes: Sequence[str], quick: bool) -> list[str]:
    """Print how every kernel, or its twin without Metal, compares; returns what does not agree.

    Args:
        dtypes: which data types.
        quick: at small sizes; without Metal they always are.

    Raises:
        ValueError: for a value of SAM2_MLX_KERNELS that means nothing.
    """
    print(f"{platform_key()}; custom kernels: {kernel_status()}")
    return _on_metal(dtypes, quick) if metal_in_use() else _without_metal(dtypes)


def _on_metal(dtypes: Sequence[str], quick: bool) -> list[str]:
    print(
        f"{'kernel':32} {'dtype':9} {'error':>9} {'allowed':>9} {'kernel ms':>10} {'plain ms':>9}"
    )
    failed = []
    for dtype in dtypes:
        for case in cases(dtype, full=not quick):
            problem = _compare_on_metal(case)
            if problem:
                print(f"{case.what:32} {case.dtype:9} FAILED: {problem}")
                failed.append(f"{case.what} ({case.dtype})")
        _race(dtype, 16 if quick else 64)
    return failed


def _race(dtype: str, side: int) -> None:
    """Print which attention to the memory is fastest, for one object and for several."""
    for objects, what in ((1, "one object"), (flash.SEVERAL, f"{flash.SEVERAL} objects")):
        verdict = flash.RACE.run((dtype, 256, 64, objects, side * side))
        print(f"{f'attention, {what}':32} {dtype:9} {verdict}")


def _compare_on_metal(case: Case) -> str:
    """Print how kernel and twin compare; returns what is wrong, if anything is."""
    variant = case.kernel.variant(*case.arguments)
    assert variant is not None, case.what
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is printed anyway
        verdict = case.kernel.recheck(variant)
    if verdict:
        return verdict

    def kernel() -> Arrays:
        return case.kernel.launch(case.kernel.function(), *case.arguments)

    def twin() -> Arrays:
        return case.kernel.twin(*case.arguments)

    # On the CPU, because a GPU may shorten the factors of the twin's matrix products.
    with mx.stream(mx.cpu):
        wanted = _widened(case) if case.widened else twin()
        mx.eval(wanted)
    error, limit = _worst(kernel(), wanted, case.binary)
    print(
        f"{case.what:32} {case.dtype:9} {error:9.1e} {limit:9.1e} "
        f"{milliseconds(kernel):10.3f} {milliseconds(twin):9.3f}"
    )
    return "" if error <= limit else f"off by {error:.2g} at full size"


def _widened(case: Case) -> Arrays:
    """What the twin makes of float32 arguments, rounded to the dtype of the first of them."""
    dtype = case.arguments[0].dtype
    wide = (x.astype(mx.float32) if isinstance(x, mx.array) else x for x in case.arguments)
    return tuple(x.astype(dtype) for x in case.kernel.twin(*wide))


def _without_metal(dtypes: Sequence[str]) -> list[str]:
    print("MLX does not run on Metal here, so the kernels cannot run; comparing the plain-MLX")
    print("code that takes their place with numpy instead, at small sizes.")
    print(f"{'plain MLX':32} {'dtype':9} {'error':>9} {'allowed':>9}")
    failed = []
    for dtype in dtypes:
        for case in cases(dtype, full=False):
            got = case.kernel.twin(*case.arguments)
            wanted = tuple(
                mx.array(w.astype(np.float32)).astype(g.dtype)
                for g, w in zip(got, case.wanted(), strict=True)
            )
            error, limit = _worst(got, wanted, case.binary)
            print(f"{case.what:32} {case.dtype:9} {error:9.1e} {limit:9.1e}", end="")
            print("" if error <= limit else "  FAILED")
            if not error <= limit:
                failed.append(f"{case.what} ({case.dtype})")
    return failed


def _worst(got: Arrays, wanted: Arrays, binary: bool) -> tuple[float, float]:
    """The error of the output that uses up most of what it may differ by, and that limit."""
    errors = []
    for ours, theirs in zip(got, wanted, strict=True):
        if binary:
            errors.append((float(np.mean(_numpy(ours) != _numpy(theirs))), MASK_LIMIT))
        else:
            errors.append((relative_error(ours, theirs), LIMITS[theirs.dtype]))
    # Not a number is the worst.
    return max(errors, key=lambda f: f[0] / f[1] if f[0] == f[0] else float("inf"))
