"""Checks on where results go, before anything is computed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from sam2_mlx.cli.errors import UsageError
from sam2_mlx.files import cache_dir


def check_outputs(outputs: Sequence[tuple[str, Path | None]], inputs: Iterable[Path]) -> None:
    """Check that no result takes the place of another one, or of what it is made from.

    Args:
        outputs: what is to be written, if it is, each with the option that names it.
        inputs: every file, and folder as a whole, that is read.

    Raises:
        UsageError: if one does.
    """
    sources = list(inputs)
    homes = [cache_dir() / "models", Path(__file__).parents[1] / "assets"]
    targets = [(option, target) for option, target in outputs if target is not None]
    for place, (option, target) in enumerate(targets):
        if any(_holds(target, source) for source in sources):
            raise UsageError(f"{target} is the input; give {option} another name")
        if any(_holds(home, target) for home in homes):
            raise UsageError(f"{target} is where models are kept; give {option} another name")
        for other_option, other in targets[:place]:
            if _holds(target, other) or _holds(other, target):
                raise UsageError(
                    f"{other_option} {other} and {option} {target} would overwrite each other; "
                    "give one another name"
                )


def _holds(target: Path, path: Path) -> bool:
    """Whether writing a file or folder replaces what is at another path."""
    if target.exists() and path.exists() and target.samefile(path):
        return True
    first, second = _place(target), _place(path)
    return first == second or first in second.parents


def _place(path: Path) -> Path:
    place = os.path.realpath(path)
    # A Mac's disk takes A.json and a.json for the same file.
    return Path(place.casefold() if sys.platform == "darwin" else place)


def make_folder(option: str, folder: Path) -> None:
    """Make the folder that an option names, if it is not there.

    Raises:
        UsageError: if it is a file.
        OSError: if it cannot be made.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; give {option} the name of a folder")
    folder.mkdir(parents=True, exist_ok=True)


def plural(count: int, noun: str) -> str:
    """`1 frame`, `2 frames`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
