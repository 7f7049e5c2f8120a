"""Checks on where results go."""

from __future__ import annotations

from pathlib import Path

from sam2_mlx.cli.errors import UsageError


def check_not_input(target: Path, source: Path, option: str) -> None:
    """Check that a result does not take the place of what it is made from.

    Args:
        target: what is to be written.
        source: what is read.
        option: the option to change, for the error.

    Raises:
        UsageError: if both are the same file or folder, or the target is a frame of the source.
    """
    same = target.exists() and source.exists() and target.samefile(source)
    inside = source.is_dir() and target.exists() and target.resolve().parent == source.resolve()
    around = not source.exists() and target.resolve() == source.resolve().parent
    if same or inside or around:
        raise UsageError(f"{target} is the input; give {option} another name")


def plural(count: int, noun: str) -> str:
    """`1 frame`, `2 frames`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
