"""Write PyTorch archives without PyTorch, whole ones and hostile ones."""

from __future__ import annotations

import struct
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

STORAGES = {"float32": "FloatStorage", "float16": "HalfStorage", "int64": "LongStorage"}


@dataclass
class Raw:
    """Opcodes that go into the pickle as they are."""

    code: bytes


@dataclass
class Tensor:
    """A tensor as the pickle will describe it, true or not."""

    values: np.ndarray
    key: str
    shape: Any = None
    stride: Any = None
    offset: Any = 0
    count: Any = None
    storage: str | None = None


@dataclass
class Archive:
    """A torch file to be written."""

    root: Any
    prefix: str = "archive/"
    extra: dict[str, bytes] = field(default_factory=dict)
    leave_out: tuple[str, ...] = ()
    compression: int = zipfile.ZIP_STORED
    order: bytes = b"little"

    def write(self, path: Path) -> Path:
        """Write the archive and return its path."""
        entries = {"data.pkl": b"\x80\x02" + pickled(self.root) + b".", "byteorder": self.order}
        for tensor in _tensors(self.root):
            big = self.order == b"big"
            values = tensor.values.astype(tensor.values.dtype.newbyteorder(">" if big else "<"))
            entries[f"data/{tensor.key}"] = values.tobytes()
        entries |= {"version": b"3\n", **self.extra}
        with zipfile.ZipFile(path, "w", self.compression) as file:
            for name, data in entries.items():
                if name not in self.leave_out:
                    file.writestr(self.prefix + name, data)
        return path


def state_dict(arrays: dict[str, np.ndarray]) -> dict[str, Tensor]:
    """Tensors with a storage each."""
    return {key: Tensor(value, str(i)) for i, (key, value) in enumerate(arrays.items())}


def write_model(path: Path, arrays: dict[str, np.ndarray], **beside: Any) -> Path:
    """Write `{"model": state dict}`, and whatever else a training script keeps beside it."""
    return Archive({"model": state_dict(arrays), **beside}).write(path)


def pickled(value: Any) -> bytes:
    """The opcodes that build a value."""
    if isinstance(value, Raw):
        return value.code
    if isinstance(value, Tensor):
        return _tensor(value)
    if isinstance(value, dict):
        return b"}(" + b"".join(pickled(k) + pickled(v) for k, v in value.items()) + b"u"
    if isinstance(value, (list, tuple)):
        inner = b"(" + b"".join(pickled(item) for item in value)
        return inner + b"t" if isinstance(value, tuple) else b"]" + inner + b"e"
    if isinstance(value, str):
        return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
    if value is None or isinstance(value, bool):
        return {None: b"N", True: b"\x88", False: b"\x89"}[value]
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    if -(2**31) <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    data = value.to_bytes(9, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def named(module: str, name: str) -> Raw:
    """A global, by module and name."""
    return Raw(f"c{module}\n{name}\n".encode())


def call(module: str, name: str, *arguments: Any) -> Raw:
    """A call of a global, which is how a pickle runs code."""
    return Raw(named(module, name).code + pickled(tuple(arguments)) + b"R")


def _tensor(tensor: Tensor) -> bytes:
    values = tensor.values
    shape = values.shape if tensor.shape is None else tensor.shape
    stride = tensor.stride
    if stride is None:
        stride = tuple(s // values.itemsize for s in values.strides)
    count = values.size if tensor.count is None else tensor.count
    kind = tensor.storage or STORAGES[values.dtype.name]
    storage = pickled(("storage", named("torch", kind), tensor.key, "cpu", count)) + b"Q"
    arguments = (Raw(storage), tensor.offset, shape, stride, False)
    hooks = call("collections", "OrderedDict")
    return call("torch._utils", "_rebuild_tensor_v2", *arguments, hooks).code


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [t for item in value for t in _tensors(item)] if isinstance(value, list) else []
