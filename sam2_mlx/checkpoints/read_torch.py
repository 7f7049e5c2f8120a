"""Read PyTorch `.pt` files without PyTorch.

A `.pt` file is a zip archive: a pickle (`data.pkl`) that describes the tensors, and one stored
entry per storage with the raw values. A pickle can name any Python callable, so this reader
looks names up in a fixed table of inert stand-ins and refuses every other one: nothing
from the file is ever imported or run. Sizes, strides and offsets are checked against the
storage before anything is allocated, and values are read only when a tensor is asked for.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import zipfile
from dataclasses import dataclass
from typing import IO, Any

import mlx.core as mx
import numpy as np

from sam2_mlx.checkpoints.tensors import CheckpointError, DamagedError, StoredTensor

MAX_PICKLE_BYTES = 64 * 2**20
MAX_DIMENSIONS = 16

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
_DTYPES = ("float16", "bfloat16", "float32", "float64", "int8", "int16", "int32", "int64", "bool")

# What a state dict's pickle is made of; objects, extensions and huge integers are not.
_OPCODES = frozenset(
    "PROTO FRAME STOP MARK POP POP_MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 "
    "BINFLOAT BINUNICODE SHORT_BINUNICODE SHORT_BINBYTES BINBYTES SHORT_BINSTRING EMPTY_DICT DICT "
    "SETITEM SETITEMS EMPTY_LIST LIST APPEND APPENDS EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 "
    "BINPUT LONG_BINPUT MEMOIZE BINGET LONG_BINGET GLOBAL STACK_GLOBAL REDUCE BUILD "
    "BINPERSID".split()
)


@dataclass(frozen=True)
class _StorageType:
    name: str
    raw: str


@dataclass(frozen=True)
class _Storage:
    kind: _StorageType
    key: str
    count: int


@dataclass(frozen=True)
class _TensorRecord:
    """A tensor as the pickle describes it; nothing in it is trusted yet."""

    storage: Any
    offset: Any
    size: Any
    stride: Any


class _Dict(dict[Any, Any]):
    """Stands in for OrderedDict; module metadata set on it is dropped."""

    def __setstate__(self, state: object) -> None:
        """Drop the attributes a module leaves on its state dict."""


def _rebuild_tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> _TensorRecord:
    return _TensorRecord(storage, offset, size, stride)


def _rebuild_parameter(data: Any, *_: Any) -> Any:
    return data


def _size(values: Any = ()) -> tuple[Any, ...]:
    return tuple(values)


def _allowed_globals() -> dict[tuple[str, str], Any]:
    names: dict[tuple[str, str], Any] = {
        ("collections", "OrderedDict"): _Dict,
        ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
        ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
        ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
        ("torch._utils", "_rebuild_parameter_with_state"): _rebuild_parameter,
        ("torch", "Size"): _size,
        ("torch", "device"): _size,
    }
    names |= {("torch", k): _StorageType(name, raw) for k, (name, raw) in _STORAGES.items()}
    names |= {("torch", dtype): dtype for dtype in _DTYPES}
    return names


_GLOBALS = _allowed_globals()


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _GLOBALS[module, name]
        except KeyError:
            raise CheckpointError(
                f"holds the Python object {module}.{name}, which is not part of a tensor file; it "
                "was refused and not run. If you trust the file, save its weights alone with "
                'PyTorch: torch.save({"model": torch.load(old)["model"]}, new)'
            ) from None

    def persistent_load(self, pid: Any) -> _Storage:
        if not (
            isinstance(pid, tuple)
            and len(pid) == 5
            and pid[0] == "storage"
            and isinstance(pid[1], _StorageType)
            and isinstance(pid[2], str)
            and _is_count(pid[4])
        ):
            raise CheckpointError("describes a storage in a way PyTorch does not")
        return _Storage(pid[1], pid[2], pid[4])


class TorchArchive:
    """An open `.pt` file (zip format).

    Args:
        file: the file, open for reading in binary.

    Raises:
        CheckpointError: not a PyTorch archive, damaged, or holding anything but tensors.
    """

    def __init__(self, file: IO[bytes]) -> None:
        """Read the archive's table and its pickle; values are left in the file."""
        try:
            self._zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, NotImplementedError, OverflowError, ValueError) as error:
            raise DamagedError("is cut short or damaged (its zip table is unreadable)") from error
        size = file.seek(0, io.SEEK_END)
        self._entries = self._index(size)
        self._prefix = self._find_prefix()
        self._byte_order = self._read_byte_order()
        self._root = self._unpickle()

    def tensors(self) -> dict[str, StoredTensor]:
        """The state dict: tensors by name.

        Raises:
            CheckpointError: no state dict inside, or a tensor that does not fit its storage.
        """
        state = _state_dict(self._root)
        return {key: self._stored(key, record) for key, record in state.items()}

    def _index(self, size: int) -> dict[str, zipfile.ZipInfo]:
        entries: dict[str, zipfile.ZipInfo] = {}
        for entry in self._zip.infolist():
            if not 0 <= entry.header_offset <= entry.header_offset + entry.compress_size <= size:
                raise DamagedError(f"is cut short or damaged in its entry {entry.filename!r}")
            if entry.filename in entries:
                raise DamagedError(f"is damaged: its entry {entry.filename!r} is there twice")
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
            raise DamagedError(f"is damaged: {error or name!r}") from error
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

    def _unpickle(self) -> Any:
        data = self._read("data.pkl", MAX_PICKLE_BYTES)
        try:
            _check_opcodes(data)
            return _Unpickler(io.BytesIO(data), encoding="utf-8").load()
        except CheckpointError:
            raise
        except (
            pickle.UnpicklingError,
            EOFError,
            TypeError,
            ValueError,
            LookupError,
            AttributeError,
        ) as error:
            raise DamagedError(f"is damaged: its pickle is not valid ({error})") from error

    def _stored(self, key: str, record: Any) -> StoredTensor:
        if not isinstance(record, _TensorRecord):
            raise CheckpointError(
                f"holds {key!r}, which is a {type(record).__name__}, not a tensor"
            )
        storage, shape, strides, offset = _validated(key, record)
        item = np.dtype(storage.kind.raw).itemsize
        entry = self._entries.get(f"{self._prefix}data/{storage.key}")
        if entry is None or entry.file_size < storage.count * item:
            have = "no bytes" if entry is None else f"{entry.file_size} bytes"
            raise DamagedError(
                f"is cut short or damaged: the values of {key!r} need {storage.count * item} "
                f"bytes, there are {have}"
            )

        def read() -> mx.array:
            raw = self._read(f"data/{storage.key}", entry.file_size)
            dtype = np.dtype(self._byte_order + storage.kind.raw)
            flat = np.frombuffer(raw, dtype, count=storage.count)[offset:]
            view = np.lib.stride_tricks.as_strided(
                flat, shape, [s * item for s in strides], writeable=False
            )
            return _to_mlx(view, storage.kind.name)

        dtype = "float32" if storage.kind.name == "float64" else storage.kind.name
        return StoredTensor(shape, dtype, read)


def _to_mlx(values: np.ndarray[Any, Any], name: str) -> mx.array:
    kind = "f4" if name == "float64" else values.dtype.newbyteorder("=")
    native = np.array(values, dtype=kind, order="C")
    array = mx.array(native)
    return array.view(mx.bfloat16) if name == "bfloat16" else array


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**48


def _validated(
    key: str, record: _TensorRecord
) -> tuple[_Storage, tuple[int, ...], tuple[int, ...], int]:
    storage, shape, strides, offset = record.storage, record.size, record.stride, record.offset
    if not (
        isinstance(storage, _Storage)
        and isinstance(shape, tuple)
        and isinstance(strides, tuple)
        and len(shape) == len(strides) <= MAX_DIMENSIONS
        and all(_is_count(v) for v in (*shape, *strides, offset))
    ):
        raise CheckpointError(f"describes the tensor {key!r} in a way PyTorch does not")
    count = math.prod(shape)
    last = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    if count > storage.count or (count and last >= storage.count):
        raise DamagedError(
            f"is damaged: the tensor {key!r} of shape {shape} reaches past the "
            f"{storage.count} values of its storage"
        )
    return storage, shape, strides, offset if count else 0


def _check_opcodes(data: bytes) -> None:
    # A memo index is an array index in CPython's unpickler: a wild one would allocate gigabytes.
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name not in _OPCODES:
            raise CheckpointError(
                f"has a pickle with {opcode.name}, which a file of tensors does not need; refused"
            )
        if opcode.name in ("BINPUT", "LONG_BINPUT") and (argument or 0) > len(data):
            raise DamagedError("is damaged: its pickle has a memo index out of range")


def _state_dict(root: Any) -> dict[str, Any]:
    if not isinstance(root, dict):
        raise CheckpointError(f"holds a {type(root).__name__}, not a dict of tensors")
    for name in ("model", "state_dict", "model_state_dict"):
        if isinstance(root.get(name), dict):
            root = root[name]
            break
    if not any(isinstance(value, _TensorRecord) for value in root.values()):
        keys = ", ".join([key for key in root if isinstance(key, str)][:10]) or "none"
        raise CheckpointError(
            "holds no weights: a checkpoint is a state dict, or has one under 'model' or "
            f"'state_dict'; the keys here are {keys}"
        )
    wrong = [type(key).__name__ for key in root if not isinstance(key, str)]
    if wrong:
        raise CheckpointError(f"has a key that is not text but a {wrong[0]}")
    return root
