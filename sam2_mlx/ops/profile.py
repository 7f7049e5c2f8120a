"""Which of several forms with equal results run, where `sam2-mlx tune` measured them.

The profile of the model that was loaded last holds for the process. What the environment says
goes before it, and what neither says is left to each form's own default.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, fields

SWITCH_VARIABLE = "SAM2_MLX_PROFILE"
# (lowest, highest) of each number, for a profile may come with weights that somebody else sent.
_BOUNDS = {"lanes": (1, 64), "blas_threads": (1, 256), "scores": (2**18, 2**30)}


@dataclass(frozen=True)
class Profile:
    """Choices; None leaves one to the default.

    Attributes:
        lanes: streams that work on a CPU is spread over.
        blas_threads: threads of the BLAS beside them.
        scores: of attention, held at once.
        compile: whether whole steps are compiled.
    """

    lanes: int | None = None
    blas_threads: int | None = None
    scores: int | None = None
    compile: bool | None = None

    def chosen(self) -> dict[str, int | bool]:
        """The choices that were made, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def __str__(self) -> str:
        words = {"blas_threads": "BLAS threads", "scores": "scores held", "compile": "compiled"}
        parts = [f"{words.get(key, key)} {value}" for key, value in self.chosen().items()]
        return ", ".join(parts).lower().replace("blas", "BLAS") or "the defaults"


def read_profile(values: object) -> Profile:
    """A profile from what a file says.

    Raises:
        ValueError: an unknown choice, or a value of another type or out of its range.
    """
    names = {field.name for field in fields(Profile)}
    if not isinstance(values, dict) or not values.keys() <= names:
        raise ValueError(f"its choices are some of {', '.join(sorted(names))}")
    for name, value in values.items():
        if name == "compile":
            if not isinstance(value, bool):
                raise ValueError("compile is true or false")
            continue
        low, high = _BOUNDS[name]
        if type(value) is not int or not low <= value <= high:
            raise ValueError(f"{name} is a whole number from {low} to {high}")
    return Profile(**values)


_active = Profile()


def active() -> Profile:
    """The profile that holds now."""
    return _active


def use(profile: Profile) -> None:
    """Let a profile hold from now on."""
    global _active
    _active = profile


def profiles_wanted() -> bool:
    """Whether a profile beside the weights is looked for.

    Raises:
        ValueError: if SAM2_MLX_PROFILE is neither 0 nor 1.
    """
    value = os.environ.get(SWITCH_VARIABLE, "") or "1"
    if value not in ("0", "1"):
        raise ValueError(f"{SWITCH_VARIABLE} is 0 or 1; got {value!r}")
    return value == "1"
