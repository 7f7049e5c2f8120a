"""Safetensors files: the whole header is checked before any value is read."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import mlx.core as mx
import numpy as np

from sam2_mlx.files import FileError, open_regular, parse_json, quoted

MAX_HEADER_BYTES = 2**24
"""The longest header that is read: 16 MB; that of the largest published model has 0.1 MB."""
MAX_DIMENSIONS = 16
MAX_LENGTH = 2**31 - 1
"""The most values along an axis that MLX takes."""

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


def read_safetensors(file: BinaryIO) -> tuple[dict[str, StoredTensor], dict[str, str]]:
    """The table of a safetensors file, name -> tensor, and its metadata.

    Args:
        file: open for reading; values are read from it, so it must stay open for that.

    Raises:
        FileError: a file that is cut short or damaged, or an element type that is not read; the
            message leaves out the file's name.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or length > size - 8:
        raise FileError("is cut short or damaged (its header reaches past its end)")
    if length > MAX_HEADER_BYTES:
        raise FileError(f"has a header of {length} bytes, which no model needs")
    try:
        header = parse_json(file.read(length))
    except FileError as error:
        raise FileError(f"is cut short or damaged (its header: {error})") from error
    if not isinstance(header, dict):
        raise FileError("is cut short or damaged (its header is no table)")
    # MLX writes null where there is none.
    metadata = header.pop("__metadata__", None) or {}
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise FileError("is cut short or damaged (its metadata is no table of texts)")
    entries = {name: _checked(name, entry) for name, entry in header.items()}
    _require_whole(entries.values(), size - 8 - length)
    return {name: _stored(file, 8 + length, entry) for name, entry in entries.items()}, metadata


@dataclass(frozen=True)
class _Entry:
    name: str
    raw: str
    shape: tuple[int, ...]
    begin: int
    end: int


def write_safetensors(
    path: Path, arrays: dict[str, mx.array], metadata: dict[str, str] | None = None
) -> None:
    """Write arrays, and look whether they are there, because MLX does not report a short write.

    Raises:
        OSError: if they are not.
    """
    try:
        mx.save_safetensors(str(path), arrays, metadata)
        with open_regular(path) as file:
            read_safetensors(file)
    except (RuntimeError, FileError) as problem:
        raise OSError("its values did not get there whole; is the disk full?") from problem


def _checked(name: str, entry: Any) -> _Entry:
    """An entry of the table, its types and sizes checked."""
    try:
        kind, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        numbers = (*shape, begin, end)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise FileError(f"is cut short or damaged (its entry {quoted(name)})") from error
    if not isinstance(kind, str) or kind not in _DTYPES:
        raise FileError(
            f"holds {quoted(name)} as {quoted(kind)}; convert it to float32, float16 or bfloat16 "
            "first"
        )
    dtype, raw = _DTYPES[kind]
    whole = all(type(number) is int and 0 <= number < 2**48 for number in numbers)
    if not (
        whole
        and isinstance(shape, list)
        and len(shape) <= MAX_DIMENSIONS
        and max(shape, default=0) <= MAX_LENGTH
        and end - begin == math.prod(shape) * np.dtype(raw).itemsize
    ):
        raise FileError(f"is cut short or damaged (the sizes of {quoted(name)})")
    return _Entry(dtype, raw, tuple(shape), begin, end)


def _require_whole(entries: Iterable[_Entry], size: int) -> None:
    """Values follow one another, without gaps and up to the end of the file."""
    at = 0
    for entry in sorted(entries, key=lambda entry: (entry.begin, entry.end)):
        if entry.begin != at:
            raise FileError("is cut short or damaged (values with gaps or over each other)")
        at = entry.end
    if at != size:
        raise FileError(f"is cut short or damaged ({at} bytes of values announced, {size} there)")


def _stored(file: BinaryIO, start: int, entry: _Entry) -> StoredTensor:
    def read() -> mx.array:
        file.seek(start + entry.begin)
        data = file.read(entry.end - entry.begin)
        # MLX itself reads no float64, and a file that has one would not load at all.
        values = np.frombuffer(data, entry.raw).reshape(entry.shape)
        array = mx.array(values.astype("f4") if entry.raw == "<f8" else values)
        return array.view(mx.bfloat16) if entry.name == "bfloat16" else array

    return StoredTensor(entry.shape, entry.name, read)
