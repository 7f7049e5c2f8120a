"""The profile beside a model's weights: what `sam2-mlx tune` found, for each machine and size."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from sam2_mlx import __version__
from sam2_mlx.checkpoints import hub
from sam2_mlx.checkpoints.files import PROFILE_NAME, WEIGHTS_NAME
from sam2_mlx.files import cache_dir, printable
from sam2_mlx.model.sam import Sam
from sam2_mlx.ops.cpu.blas import usable_cores
from sam2_mlx.ops.device import on_cpu
from sam2_mlx.ops.dtypes import dtype_name
from sam2_mlx.ops.metal import verdicts
from sam2_mlx.ops.profile import Profile, profiles_wanted, read_profile, use


def profile_file(place: Path | str, bundled: bool = False) -> Path:
    """Where the profile of some weights is.

    Args:
        place: the weights' file, or the Hugging Face id of a published model.
        bundled: they came with the package, in whose folder nothing is written.
    """
    if isinstance(place, str):
        return hub.kept_folder(place) / PROFILE_NAME
    if bundled:
        return cache_dir() / "models" / place.parent.name / PROFILE_NAME
    if place.name == WEIGHTS_NAME:
        return place.with_name(PROFILE_NAME)
    return place.with_name(f"{place.stem}.{PROFILE_NAME}")


def profile_key(model: Sam) -> str:
    """What a profile depends on besides the platform."""
    device = model.home or ("cpu" if on_cpu() else "gpu")
    return (
        f"sam2_mlx {__version__}, {dtype_name(model.dtype)} at {model.config.image_size} "
        f"on the {device}, {usable_cores()} cores"
    )


def stored_profile(file: Path, model: Sam) -> Profile | None:
    """The profile for a model on this machine, or None.

    Raises:
        ValueError: if it says what cannot be.
    """
    entry = verdicts.look_up(file, profile_key(model))
    return None if entry is None else _profile_of(entry)


def describe_profiles(file: Path) -> list[str]:
    """A line for each profile of a file that is for this platform."""
    lines = []
    for key, entry in verdicts.all_of(file).items():
        try:
            text = str(_profile_of(entry))
        except ValueError as problem:
            text = f"cannot be used: {problem}"
        lines.append(printable(f"{key}: {text}"))
    return lines


def _profile_of(entry: object) -> Profile:
    return read_profile(entry.get("choices") if isinstance(entry, dict) else entry)


def use_profile(file: Path, model: Sam) -> None:
    """Let the profile for a model hold, or the defaults where there is none that can be used.

    Raises:
        ValueError: if SAM2_MLX_PROFILE is neither 0 nor 1.
    """
    profile = None
    if profiles_wanted():
        with suppress(ValueError):  # `sam2-mlx info` says what is wrong with it
            profile = stored_profile(file, model)
    use(profile or Profile())
