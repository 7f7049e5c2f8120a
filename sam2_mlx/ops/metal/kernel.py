"""A custom kernel with its twin in plain MLX, and the choice between the two."""

from __future__ import annotations

import hashlib
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, ParamSpec

import mlx.core as mx

from sam2_mlx.ops.dtypes import FLOATS as FLOATS
from sam2_mlx.ops.dtypes import dtype_name as dtype_name
from sam2_mlx.ops.metal import verdicts
from sam2_mlx.ops.metal.switch import KernelMode, kernel_mode, metal_in_use

P = ParamSpec("P")
Arrays = tuple[mx.array, ...]
MetalFunction = Callable[..., list[mx.array]]
Variant = tuple[str | int, ...]

# Largest difference from the twin, relative to the twin's largest value (at least 1): a few
# roundings of the output.
LIMITS = {
    mx.float32: 1e-5,
    mx.float16: 2e-3,
    mx.bfloat16: 1.6e-2,
    mx.uint8: 0.0,
}
_REPEATS, _LAUNCHES, _LONG_SECONDS = 3, 5, 0.02


@dataclass(frozen=True)
class KernelSource:
    """The text of a kernel, as `mx.fast.metal_kernel` wants it.

    Attributes:
        name: of the kernel; letters and underscores.
        inputs: names of the inputs in the body.
        outputs: names of the outputs in the body.
        body: Metal code, plain ASCII; it reads inputs by their strides.
        header: what stands before the function.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    body: str
    header: str = ""

    def build(self) -> MetalFunction:
        """The callable kernel. Metal compiles it when a result is first evaluated."""
        function: Any = mx.fast.metal_kernel(
            name=self.name,
            input_names=list(self.inputs),
            output_names=list(self.outputs),
            source=self.body,
            header=self.header,
            ensure_row_contiguous=False,
        )
        built: MetalFunction = function
        return built

    @property
    def digest(self) -> str:
        """Changes with every character that reaches the compiler."""
        text = "\n".join((self.name, *self.inputs, "", *self.outputs, "", self.header, self.body))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(eq=False)
class Kernel(Generic[P]):
    """A kernel and its twin; calling it runs the one that is right for this machine.

    On an Apple GPU, in mode `check`, the first call of each variant compares the kernel with the
    twin on small arrays of its own. That is safe inside `mx.compile`: those arrays are constants
    of the trace, which may be evaluated. A kernel that does not compile or does not agree is off
    from then on, with one warning.

    Attributes:
        source: the kernel's text.
        launch: runs the built kernel on the arguments.
        twin: computes the same in plain MLX.
        variant: what the arguments make the compiler specialise on, or None where the kernel
            does not support them.
        trials: argument tuples for the comparison of a variant.
    """

    source: KernelSource
    launch: Callable[..., Arrays]
    twin: Callable[P, Arrays]
    variant: Callable[P, Variant | None]
    trials: Callable[[Variant], Iterable[tuple[Any, ...]]]
    _function: MetalFunction | None = field(default=None, init=False, repr=False)
    _passed: set[Variant] = field(default_factory=set, init=False, repr=False)
    _fault: str | None = field(default=None, init=False, repr=False)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Arrays:
        """The outputs, from the kernel where it can be trusted and from the twin elsewhere."""
        mode = kernel_mode()
        if mode is KernelMode.OFF or not metal_in_use():
            return self.twin(*args, **kwargs)
        variant = self.variant(*args, **kwargs)
        if variant is None or not (mode is KernelMode.ON or self.trusted(variant)):
            return self.twin(*args, **kwargs)
        return self.launch(self.function(), *args, **kwargs)

    def function(self) -> MetalFunction:
        """The built kernel; built once."""
        if self._function is None:
            self._function = self.source.build()
        return self._function

    def trusted(self, variant: Variant) -> bool:
        """Whether a variant agrees with the twin on this machine; compares at the first call."""
        if self._fault is None and variant not in self._passed:
            key = self._key(variant)
            verdict = verdicts.recall(key)
            if verdict is None:
                verdict = self.check(variant)
                verdicts.remember(key, verdict)
            self.settle(variant, verdict)
        return self._fault is None and variant in self._passed

    def recheck(self, variant: Variant) -> str:
        """Compare again, whatever was found before, and store what comes out.

        Returns:
            Empty if kernel and twin agree, else what is wrong.
        """
        verdict = self.check(variant)
        verdicts.remember(self._key(variant), verdict)
        self._fault = None
        self.settle(variant, verdict)
        return verdict

    def _key(self, variant: Variant) -> str:
        return f"check of {self.source.name} {self.source.digest} {variant}"

    def settle(self, variant: Variant, verdict: str) -> None:
        """Act on a verdict: trust the variant, or turn off with a warning."""
        self._passed.discard(variant)
        if verdict == verdicts.PASSED:
            self._passed.add(variant)
            return
        self._fault = verdict
        warnings.warn(
            f"the Metal kernel {self.source.name!r} is turned off on this machine, plain MLX "
            f"computes the same more slowly: {verdict}. `sam2-mlx selftest` checks it again.",
            RuntimeWarning,
            stacklevel=3,
        )

    def check(self, variant: Variant) -> str:
        """Compare kernel and twin on the trials of a variant.

        Returns:
            Empty if they agree, else what is wrong.
        """

        def launch(*arguments: Any) -> Arrays:
            return self.launch(self.function(), *arguments)

        fault = first_fault(launch, self.twin, self.trials(variant))
        return fault and f"{fault} (variant {variant})"


def first_fault(
    form: Callable[..., Arrays], twin: Callable[..., Arrays], trials: Iterable[tuple[Any, ...]]
) -> str:
    """What is wrong with a form on the first trial where it is not as its twin; empty if none.

    Args:
        form: may also be something that cannot be run here.
        twin: what is right.
        trials: argument tuples.
    """
    # What Metal refuses must not end the program: the twin does the same work.
    try:
        faults = (disagreement(form(*trial), twin(*trial)) for trial in trials)
        return next((fault for fault in faults if fault), verdicts.PASSED)
    except (RuntimeError, ValueError, TypeError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        return f"it cannot be run: {' '.join(lines[:3])[:300]}"


def milliseconds(function: Callable[[], Arrays]) -> float:
    """The time of one call among several in flight, the best of a few tries."""

    def seconds(launches: int) -> float:
        start = time.perf_counter()
        mx.eval([function() for _ in range(launches)])
        return (time.perf_counter() - start) / launches

    mx.eval(function())
    first = seconds(1)
    # What takes long needs no company to be measured, and would hold people up.
    launches = _LAUNCHES if first < _LONG_SECONDS else 1
    return 1000 * min(first, *(seconds(launches) for _ in range(_REPEATS)))


def relative_error(got: mx.array, wanted: mx.array) -> float:
    """Largest difference, relative to the largest wanted value (at least 1)."""
    got, wanted = got.astype(mx.float32), wanted.astype(mx.float32)
    scale = mx.maximum(mx.max(mx.abs(wanted)), 1.0)
    error: Any = (mx.max(mx.abs(got - wanted)) / scale).item()
    return float(error)


def disagreement(got: Arrays, wanted: Arrays) -> str:
    """What is wrong with the outputs of a kernel; empty if nothing is.

    Args:
        got: the kernel's outputs.
        wanted: the twin's.
    """
    if len(got) != len(wanted):
        return f"it returned {len(got)} arrays instead of {len(wanted)}"
    for index, (ours, theirs) in enumerate(zip(got, wanted, strict=True)):
        if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
            return (
                f"output {index} is {dtype_name(ours.dtype)} {ours.shape} instead of "
                f"{dtype_name(theirs.dtype)} {theirs.shape}"
            )
        error, limit = relative_error(ours, theirs), LIMITS[theirs.dtype]
        if not error <= limit:  # not a number is wrong too
            return f"output {index} is off by {error:.2g}, allowed is {limit:.2g}"
    return ""
