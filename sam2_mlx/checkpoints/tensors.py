"""What every checkpoint reader hands on: named tensors that are read only when asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import mlx.core as mx


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message says why and what to do."""


class DamagedError(CheckpointError):
    """A checkpoint that is not as it was written; another copy of it may do."""


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in a file: its shape is known, its values are read by `read`.

    Attributes:
        shape: sizes as stored (or as `read` will return them).
        dtype: name of the element type, such as "float32" or "bfloat16".
        read: reads the values from the open file.
    """

    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], mx.array]
