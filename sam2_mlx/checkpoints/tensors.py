"""What every checkpoint reader hands on: named tensors that are read only when asked for."""

from __future__ import annotations

from collections.abc import Iterable

from sam2_mlx.files import FileError
from sam2_mlx.ops.tensor_file import StoredTensor as StoredTensor


class CheckpointError(FileError):
    """A checkpoint that cannot be used; the message says why and what to do."""


class DamagedError(CheckpointError):
    """A checkpoint that is not as it was written; another copy of it may do."""


def shortened(names: Iterable[str], most: int = 10) -> str:
    """Names in one line: the first ones, and how many more there are."""
    unique = list(dict.fromkeys(names))
    more = f" and {len(unique) - most} more" if len(unique) > most else ""
    return f"{', '.join(unique[:most])}{more}"
