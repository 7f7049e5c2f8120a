"""The one error that reading and writing media ends in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sam2_mlx.files import FileError, writing_failed

MediaError = FileError
"""A picture or a video that cannot be read or written; one line that says what to do."""


@contextmanager
def dropping(target: Path, drop: Callable[[], None], *more: type[Exception]) -> Iterator[None]:
    """Drop an output where writing it fails, and say why; a broken pipe stays what it is.

    Args:
        target: the file or folder that is written.
        drop: removes what there is of it.
        more: what fails with these was refused too, as with an `OSError`.

    Raises:
        MediaError: if the system refused something.
    """
    refusals: tuple[type[Exception], ...] = (OSError, *more)
    try:
        yield
    except BrokenPipeError:
        drop()
        raise
    except refusals as problem:
        drop()
        raise writing_failed(target, problem) from problem
