"""Read safetensors files, checked before any value is read."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
from safetensors import SafetensorError, safe_open

from sam2_mlx.checkpoints.tensors import CheckpointError, DamagedError, StoredTensor

# The format's element types: -> (what `read` returns, the numpy type of the raw bytes).
_DTYPES = {
    "F64": ("float32", "<f8"),
    "F32": ("float32", "<f4"),
    "F16": ("float16", "<f2"),
    "BF16": ("bfloat16", "<u2"),
    "I64": ("int64", "<i8"),
    "U32": ("uint32", "<u4"),
    "I32": ("int32", "<i4"),
    "I16": ("int16", "<i2"),
    "I8": ("int8", "i1"),
    "U8": ("uint8", "u1"),
    "BOOL": ("bool", "?"),
}


def read_safetensors(path: Path) -> dict[str, StoredTensor]:
    """Tensors of a safetensors file, by name.

    Args:
        path: the file; its name may end in anything.

    Raises:
        CheckpointError: a file that is cut short or damaged, or an element type we do not read.
    """
    # The library checks the header: that it is valid, fits the file, and leaves no gaps.
    try:
        with safe_open(str(path), framework="np"):
            pass
    except SafetensorError as error:
        raise DamagedError(f"is cut short or damaged ({error})") from error
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header: dict[str, Any] = json.loads(file.read(length))
    header.pop("__metadata__", None)
    return {key: _stored(path, 8 + length, key, entry) for key, entry in header.items()}


def _stored(path: Path, start: int, key: str, entry: dict[str, Any]) -> StoredTensor:
    shape, kind = tuple(entry["shape"]), entry["dtype"]
    if kind not in _DTYPES:
        raise CheckpointError(
            f"holds {key!r} as {kind}; convert it to float32, float16 or bfloat16 first"
        )
    name, raw = _DTYPES[kind]

    def read() -> mx.array:
        # MLX itself reads no float64, and a file that has one would not load at all.
        offset = start + entry["data_offsets"][0]
        values = np.fromfile(path, raw, count=math.prod(shape), offset=offset).reshape(shape)
        array = mx.array(values.astype("f4") if kind == "F64" else values)
        return array.view(mx.bfloat16) if kind == "BF16" else array

    return StoredTensor(shape, name, read)
