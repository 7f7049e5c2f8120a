"""Read PyTorch `.pt` files without PyTorch.

A `.pt` file is a zip archive: a pickle (`data.pkl`) that describes the tensors, and one stored
entry per storage with the raw values. The pickle is read, never run (`unpickle.py`). Sizes, strides
and offsets are checked against the storage before anything is allocated, and values are read only
when a tensor is asked for.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any

import mlx.core as mx
import numpy as np

from sam2_mlx.checkpoints.tensors import CheckpointError, DamagedError, StoredTensor, shortened
from sam2_mlx.checkpoints.unpickle import Name, Object, Storage, TensorRecord, read_pickle
from sam2_mlx.files import quoted
from sam2_mlx.ops.tensor_file import MAX_LENGTH

MAX_PICKLE_BYTES = 64 * 2**20
# Bytes of values that are read, as a multiple of the file: tensors may share a storage, but a
# thousand views of one would each read all of it.
_MAX_READS = 8
_MAX_DEPTH = 4

# Element types: torch's storage class -> (our name, the numpy type of the raw bytes).
_STORAGES = {
    "FloatStorage": ("float32", "f4"),
    "HalfStorage": ("float16", "f2"),
    "BFloat16Storage": ("bfloat16", "u2"),
    "DoubleStorage": ("float64", "f8"),
    "LongStorage": ("int64", "i8"),
    "IntStorage": ("int32", "i4"),
    "ShortStorage": ("int16", "i2"),
    "CharStorage": ("int8", "i1"),
    "ByteStorage": ("uint8", "u1"),
    "BoolStorage": ("bool", "?"),
}
# Where training scripts put the weights, in the order in which they are looked for.
_CONTAINERS = ("model", "state_dict", "model_state_dict", "net", "params", "weights")


class TorchArchive:
    """An open `.pt` file (zip format).

    Args:
        file: the file, open for reading in binary.

    Raises:
        CheckpointError: not a PyTorch archive, or damaged.
    """

    def __init__(self, file: IO[bytes]) -> None:
        """Read the archive's table and its pickle; values are left in the file."""
        try:
            self._zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, NotImplementedError, OverflowError, ValueError) as error:
            raise DamagedError("is cut short or damaged (its zip table is unreadable)") from error
        size = file.seek(0, io.SEEK_END)
        self._reads_left = _MAX_READS * size
        self._last: tuple[str, bytes] = ("", b"")
        self._entries = self._index(size)
        self._prefix = self._find_prefix()
        self._byte_order = self._read_byte_order()
        self._root = read_pickle(self._read("data.pkl", MAX_PICKLE_BYTES))

    def tensors(self, is_model: Callable[[Iterable[str]], bool]) -> dict[str, StoredTensor]:
        """The state dict: tensors by name. What is no tensor is left out.

        Args:
            is_model: tells by the names whether a dict holds a model, where there are several.

        Raises:
            CheckpointError: no state dict inside, or a tensor that does not fit its storage.
        """
        state = _state_dict(self._root, is_model)
        return {key: self._stored(key, record) for key, record in state.items()}

    def _index(self, size: int) -> dict[str, zipfile.ZipInfo]:
        entries: dict[str, zipfile.ZipInfo] = {}
        for entry in self._zip.infolist():
            if not 0 <= entry.header_offset <= entry.header_offset + entry.compress_size <= size:
                raise DamagedError(f"is cut short or damaged in its entry {quoted(entry.filename)}")
            if entry.filename in entries:
                raise DamagedError(f"is damaged: its entry {quoted(entry.filename)} is there twice")
            entries[entry.filename] = entry
        return entries

    def _find_prefix(self) -> str:
        pickles = [name for name in self._entries if name.split("/")[1:] == ["data.pkl"]]
        if "data.pkl" in self._entries:
            pickles.append("data.pkl")
        if len(pickles) != 1:
            raise CheckpointError("is a zip file but not a PyTorch checkpoint (no data.pkl)")
        prefix = pickles[0][: -len("data.pkl")]
        if f"{prefix}constants.pkl" in self._entries:
            raise CheckpointError(
                "is a TorchScript program, not a checkpoint; get the checkpoint it was made from"
            )
        return prefix

    def _read(self, name: str, limit: int) -> bytes:
        entry = self._entries.get(self._prefix + name)
        if entry is None:
            raise DamagedError(f"is incomplete: its entry {name!r} is missing")
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
            raise CheckpointError(
                f"has a compressed entry {name!r}, which PyTorch never writes; save it again"
            )
        if entry.file_size != entry.compress_size or entry.file_size > limit:
            raise DamagedError(f"is damaged: its entry {name!r} claims {entry.file_size} bytes")
        try:
            data = self._zip.read(entry)
        except (zipfile.BadZipFile, EOFError, NotImplementedError, ValueError) as error:
            raise DamagedError(f"is damaged: {quoted(str(error) or name)}") from error
        if len(data) != entry.file_size:
            raise DamagedError(f"is cut short in its entry {name!r}")
        return data

    def _read_byte_order(self) -> str:
        if f"{self._prefix}byteorder" not in self._entries:
            return "<"
        order = self._read("byteorder", 16).strip()
        if order not in (b"little", b"big"):
            raise CheckpointError(f"states an unknown byte order {order!r}")
        return "<" if order == b"little" else ">"

    def _storage(self, storage: Storage) -> bytes:
        """The raw values of a storage; the last one is kept, for tensors that share it."""
        if self._last[0] != storage.key:
            name = f"data/{storage.key}"
            size = self._entries[self._prefix + name].file_size
            self._reads_left -= size
            if self._reads_left < 0:
                raise CheckpointError("holds more tensors in one storage than can be read")
            self._last = (storage.key, self._read(name, size))
        return self._last[1]

    def _stored(self, key: str, record: TensorRecord) -> StoredTensor:
        storage, shape, strides, offset = _validated(key, record)
        name, raw = _STORAGES[storage.kind]
        dtype = np.dtype(self._byte_order + raw)
        entry = self._entries.get(f"{self._prefix}data/{storage.key}")
        if entry is None or entry.file_size < storage.count * dtype.itemsize:
            have = "no bytes" if entry is None else f"{entry.file_size} bytes"
            raise DamagedError(
                f"is cut short or damaged: the values of {quoted(key)} need "
                f"{storage.count * dtype.itemsize} bytes, there are {have}"
            )

        def read() -> mx.array:
            flat = np.frombuffer(self._storage(storage), dtype, count=storage.count)[offset:]
            steps = [step * dtype.itemsize for step in strides]
            view = np.lib.stride_tricks.as_strided(flat, shape, steps, writeable=False)
            return _to_mlx(view, name)

        return StoredTensor(shape, "float32" if name == "float64" else name, read)


def _to_mlx(values: np.ndarray[Any, Any], name: str) -> mx.array:
    kind = "f4" if name == "float64" else values.dtype.newbyteorder("=")
    native = np.array(values, dtype=kind, order="C")
    array = mx.array(native)
    return array.view(mx.bfloat16) if name == "bfloat16" else array


def _validated(
    key: str, record: TensorRecord
) -> tuple[Storage, tuple[int, ...], tuple[int, ...], int]:
    storage, shape, strides, offset = record.storage, record.size, record.stride, record.offset
    if (
        storage is None
        or storage.kind not in _STORAGES
        or shape is None
        or strides is None
        or offset is None
        or len(shape) != len(strides)
        or max(shape, default=0) > MAX_LENGTH
    ):
        raise CheckpointError(f"describes the tensor {quoted(key)} in a way PyTorch does not")
    count = math.prod(shape)
    last = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    if count > storage.count or (count and last >= storage.count):
        raise DamagedError(
            f"is damaged: the tensor {quoted(key)} of shape {shape} reaches past the "
            f"{storage.count} values of its storage"
        )
    return storage, shape, strides, offset if count else 0


def _state_dict(root: Any, is_model: Callable[[Iterable[str]], bool]) -> dict[str, TensorRecord]:
    """The tensors of the dict that holds the model, by name."""
    if not isinstance(root, dict):
        raise CheckpointError(f"holds {_kind(root)}, not a dict of tensors; save its state_dict()")
    groups = [
        (path, tensors)
        for path, values in _dicts(root)
        if (tensors := {k: v for k, v in values.items() if isinstance(v, TensorRecord)})
    ]
    if not groups and isinstance(root, Object):
        raise CheckpointError(f"holds {_kind(root)}, not a dict of tensors; save its state_dict()")
    if not groups:
        keys = shortened([quoted(key) for key in root]) or "none"
        raise CheckpointError(
            "holds no weights: a checkpoint is a state dict, or has one under 'model' or "
            f"'state_dict'; the keys here are {keys}"
        )
    return min(groups, key=lambda group: _rank(group[0], is_model(group[1])))[1]


def _rank(path: tuple[str, ...], is_model: bool) -> tuple[bool, bool, int]:
    """What comes first: a model, the trained weights before an average of them, a known name."""
    averaged = any("ema" in name.lower() for name in path)
    places = [_CONTAINERS.index(name) for name in path[-1:] if name in _CONTAINERS]
    return not is_model, averaged, places[0] if places else len(_CONTAINERS)


def _dicts(root: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """A dict and those in it, nearest first, with the keys that lead there."""
    level: list[tuple[tuple[str, ...], dict[str, Any]]] = [((), root)]
    met: set[int] = set()
    for _ in range(_MAX_DEPTH):
        below = []
        for path, values in level:
            if id(values) not in met:
                met.add(id(values))
                yield path, values
                below += [((*path, k), v) for k, v in values.items() if isinstance(v, dict)]
        level = below


def _kind(value: Any) -> str:
    if isinstance(value, (Name, Object)):
        name = value.text if isinstance(value, Name) else value.name
        return f"a Python object ({name})" if "." in name else f"a {name}"
    return "one tensor" if isinstance(value, TensorRecord) else "a single value"
