"""Forms of one operation that compute the same, and the choice of the fastest on this machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, ParamSpec

from sam2_mlx.ops.metal import verdicts
from sam2_mlx.ops.metal.kernel import Arrays, Kernel, Variant, first_fault, milliseconds
from sam2_mlx.ops.metal.switch import KernelMode, kernel_mode, metal_in_use

P = ParamSpec("P")


@dataclass(eq=False)
class Race(Generic[P]):
    """A kernel, its twin and further forms; calling it runs the fastest of those that are right.

    Which one that is, is measured at the first call of each track, on an Apple GPU in mode
    `check`, and kept with all times beside the verdicts on kernels. A form that disagrees with
    the twin, or that this MLX does not have, does not take part.

    Attributes:
        kernel: has a twin, which is right by definition, and trials for a comparison.
        rivals: other forms by name, with the kernel's arguments.
        track: of arguments: everything on which it depends who is fastest.
        arguments: of a track, of a real size.
    """

    kernel: Kernel[P]
    rivals: dict[str, Callable[P, Arrays]]
    track: Callable[P, Variant]
    arguments: Callable[[Variant], tuple[Any, ...]]
    _fastest: dict[Variant, str] = field(default_factory=dict, init=False, repr=False)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Arrays:
        """The outputs, of the form that is fastest here."""
        variant = self.kernel.variant(*args, **kwargs)
        if variant is None or kernel_mode() is not KernelMode.CHECK or not metal_in_use():
            return self.kernel(*args, **kwargs)
        return self._forms()[self.fastest(self.track(*args, **kwargs))](*args, **kwargs)

    def fastest(self, track: Variant) -> str:
        """The name of the form that is used for a track; found out at the first call."""
        if track not in self._fastest:
            name = _winner(verdicts.recall(self._key(track)) or "")
            if name not in self._forms():
                name = _winner(self.run(track))
            self._fastest[track] = name
        return self._fastest[track]

    def tracks(self) -> list[Variant]:
        """The tracks that were asked for in this process."""
        return list(self._fastest)

    def run(self, track: Variant) -> str:
        """Let the forms race, whatever was found before, and store what comes out.

        Returns:
            The name of the fastest, a colon, and each form with its time or what is wrong with it.
        """
        arguments = self.arguments(track)
        variant_of: Callable[..., Variant | None] = self.kernel.variant
        variant = variant_of(*arguments)
        assert variant is not None
        times, notes = {}, []
        for name, form in self._forms().items():
            fault = self._fault(name, variant)
            if fault:
                notes.append(f"{name}: {fault}")
                continue
            times[name] = milliseconds(partial(form, *arguments))
            notes.append(f"{name} {times[name]:.3g} ms")
        verdict = f"{min(times, key=lambda name: times[name])}: {', '.join(notes)}"
        verdicts.remember(self._key(track), verdict)
        self._fastest[track] = _winner(verdict)
        return verdict

    def _forms(self) -> dict[str, Callable[..., Arrays]]:
        return {"plain": self.kernel.twin, "kernel": self.kernel, **self.rivals}

    def _fault(self, name: str, variant: Variant) -> str:
        if name in self.rivals:
            return first_fault(self.rivals[name], self.kernel.twin, self.kernel.trials(variant))
        return "" if name == "plain" or self.kernel.trusted(variant) else "not right here"

    def _key(self, track: Variant) -> str:
        return f"race of {self.kernel.source.name} {self.kernel.source.digest} {track}"


def _winner(verdict: str) -> str:
    return verdict.partition(":")[0]
