"""Read a pickle of tensors without running it: nothing is imported, called, changed or hashed.

A pickle is a program for a stack machine, and Python's own machine imports what it names and calls
it. This one knows the steps, but only three things that they can make: tensors as PyTorch describes
them, dicts with text keys, and the short tuples that describe a tensor. Whatever else stands beside
the tensors becomes an inert name. So the cost is bounded by the number of steps.

Source: the opcodes of pickletools; torch/_utils.py, _rebuild_tensor_v2.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sam2_mlx.checkpoints.tensors import CheckpointError, DamagedError
from sam2_mlx.files import quoted
from sam2_mlx.ops.tensor_file import MAX_DIMENSIONS

MAX_STEPS = 2_000_000
"""Steps of a pickle that are taken; the largest published model needs some 40,000."""
_MAX_NAME = 256
_REBUILD = "torch._utils._rebuild_"


@dataclass(frozen=True, slots=True)
class Name:
    """A class or function that the file names, or an object of that kind; inert.

    Attributes:
        text: the module and the name in it, such as `torch.FloatStorage`.
    """

    text: str


@dataclass(frozen=True, slots=True)
class Storage:
    """A stored run of values, as the pickle describes it.

    Attributes:
        kind: PyTorch's name of the storage type, such as `FloatStorage`.
        key: name of the archive's entry.
        count: number of values.
    """

    kind: str
    key: str
    count: int


@dataclass(frozen=True, slots=True)
class TensorRecord:
    """A tensor as the pickle describes it; None for what PyTorch would describe otherwise.

    Attributes:
        storage: where its values are.
        offset: the first of them, counted in values.
        size: its shape.
        stride: steps in the storage, counted in values, for each axis.
    """

    storage: Storage | None
    offset: int | None
    size: tuple[int, ...] | None
    stride: tuple[int, ...] | None


class Object(dict[str, Any]):
    """What an unknown callable would have made, with what is set in it by a text key; inert.

    Attributes:
        name: what would have been called.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class Flat(tuple[Any, ...]):
    """A tuple without tuples in it."""


# What they hold leads to no tensor.
_LIST, _SET = Name("list"), Name("set")


def read_pickle(data: bytes) -> Any:
    """What a pickle describes.

    Returns:
        A dict (perhaps an `Object`), a `TensorRecord`, a `Name`, a tuple or a plain value.

    Raises:
        CheckpointError: a pickle with more steps than `MAX_STEPS`, or with steps that a file of
            tensors does not need.
        DamagedError: no valid pickle.
    """
    machine = _Machine()
    try:
        for number, (opcode, argument, _) in enumerate(pickletools.genops(data)):
            if opcode.name == "STOP":
                return machine.stack[-1]
            if number > MAX_STEPS:
                raise CheckpointError(
                    f"describes its tensors in more than {MAX_STEPS} steps, which no model needs"
                )
            step = _STEPS.get(opcode.name)
            if step is None:
                raise CheckpointError(
                    f"has a pickle with {opcode.name}, which a file of tensors does not need"
                )
            step(machine, argument)
    except CheckpointError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        reason = quoted(f"{type(error).__name__}: {error}")
        raise DamagedError(f"is damaged: its pickle is not valid ({reason})") from error
    raise DamagedError("is damaged: its pickle has no end")


class _Machine:
    """The stack, what lies under each mark, and the memo."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def take(self, count: int) -> list[Any]:
        """The topmost values, taken off."""
        if count > len(self.stack):
            raise IndexError("the stack is empty")
        items = self.stack[-count:]
        del self.stack[-count:]
        return items

    def mark(self, _: None) -> None:
        self.below.append(self.stack)
        self.stack = []

    def to_mark(self, _: None = None) -> list[Any]:
        """The values above the last mark, taken off with it."""
        items, self.stack = self.stack, self.below.pop()
        return items

    def store(self, place: int | None) -> None:
        self.memo[len(self.memo) if place is None else place] = self.stack[-1]

    def push_name(self, _: Sequence[Any], name: Name) -> None:
        self.push(name)

    def push_tuple(self, items: Sequence[Any]) -> None:
        """Keep a tuple that may describe a tensor: at most flat tuples in it."""
        kinds = set(map(type, items))
        if tuple in kinds:
            self.push(Name("tuple"))
        else:
            self.push(tuple(items) if Flat in kinds else Flat(items))

    def push_dict(self, items: Sequence[Any]) -> None:
        self.push({})
        self.set_items(items)

    def set_items(self, items: Sequence[Any]) -> None:
        """Set what has a text key in the topmost dict; other keys would have to be hashed."""
        target = self.stack[-1]
        if isinstance(target, dict):
            for key, value in zip(items[::2], items[1::2], strict=True):
                if isinstance(key, str):
                    target[key] = value

    def name(self, _: None) -> None:
        module, name = self.take(2)
        self.push(Name(_checked(f"{module} {name}")))

    def call(self, _: None) -> None:
        function, arguments = self.take(2)
        self.push(_call(function, arguments))

    def call_marked(self, text: str | None) -> None:
        items = self.to_mark()
        self.push(Object(_text(items[0]) if text is None else _checked(text)))


_STEPS: dict[str, Callable[[_Machine, Any], Any]] = {
    **dict.fromkeys(
        "BININT BININT1 BININT2 LONG1 LONG4 BINFLOAT BINUNICODE SHORT_BINUNICODE BINUNICODE8 "
        "BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8 BINSTRING SHORT_BINSTRING NONE".split(),
        _Machine.push,
    ),
    **dict.fromkeys(("PROTO", "FRAME"), lambda m, _: None),
    "NEWTRUE": lambda m, _: m.push(True),
    "NEWFALSE": lambda m, _: m.push(False),
    "MARK": _Machine.mark,
    "DUP": lambda m, _: m.push(m.stack[-1]),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT", "MEMOIZE"), _Machine.store),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), lambda m, place: m.push(m.memo[place])),
    # Items of lists and sets lead to no tensor; BUILD would set the state of an object.
    **dict.fromkeys(("POP", "APPEND", "BUILD"), lambda m, _: m.take(1)),
    **dict.fromkeys(("POP_MARK", "APPENDS", "ADDITEMS"), _Machine.to_mark),
    "EMPTY_LIST": lambda m, _: m.push(_LIST),
    "EMPTY_SET": lambda m, _: m.push(_SET),
    "LIST": lambda m, _: m.push_name(m.to_mark(), _LIST),
    "FROZENSET": lambda m, _: m.push_name(m.to_mark(), _SET),
    "EMPTY_TUPLE": lambda m, _: m.push_tuple(()),
    "TUPLE": lambda m, _: m.push_tuple(m.to_mark()),
    "TUPLE1": lambda m, _: m.push_tuple(m.take(1)),
    "TUPLE2": lambda m, _: m.push_tuple(m.take(2)),
    "TUPLE3": lambda m, _: m.push_tuple(m.take(3)),
    "EMPTY_DICT": lambda m, _: m.push({}),
    "DICT": lambda m, _: m.push_dict(m.to_mark()),
    "SETITEM": lambda m, _: m.set_items(m.take(2)),
    "SETITEMS": lambda m, _: m.set_items(m.to_mark()),
    "GLOBAL": lambda m, text: m.push(Name(_checked(text))),
    "STACK_GLOBAL": _Machine.name,
    "REDUCE": _Machine.call,
    "NEWOBJ": lambda m, _: m.push(Object(_text(m.take(2)[0]))),
    "NEWOBJ_EX": lambda m, _: m.push(Object(_text(m.take(3)[0]))),
    "OBJ": _Machine.call_marked,
    "INST": _Machine.call_marked,
    "BINPERSID": lambda m, _: m.push(_storage(m.take(1)[0])),
}
"""What is done for each opcode, given its argument."""


def _call(function: Any, arguments: Any) -> Any:
    """What a call would have made, where it is one of those that describe tensors."""
    name = _text(function)
    if not isinstance(arguments, tuple):
        return Object(name)
    if name in (f"{_REBUILD}tensor", f"{_REBUILD}tensor_v2"):
        storage, offset, size, stride = (*arguments, None, None, None, None)[:4]
        return TensorRecord(
            storage if isinstance(storage, Storage) else None,
            offset if is_count(offset) else None,
            *(sizes if _are_counts(sizes) else None for sizes in (size, stride)),
        )
    if name in (f"{_REBUILD}parameter", f"{_REBUILD}parameter_with_state"):
        return arguments[0]
    if name == "torch.Size" and arguments and isinstance(arguments[0], Flat):
        return arguments[0]
    if name in ("collections.OrderedDict", "collections.defaultdict"):
        return next((value for value in arguments if isinstance(value, dict)), {})
    return Object(name)


def _storage(description: Any) -> Storage:
    if (
        isinstance(description, tuple)
        and len(description) == 5
        and description[0] == "storage"
        and isinstance(description[1], Name)
        and isinstance(description[2], str)
        and is_count(description[4])
    ):
        module, _, kind = description[1].text.rpartition(".")
        if module == "torch":
            return Storage(kind, description[2], description[4])
    raise CheckpointError("describes a storage in a way PyTorch does not")


def is_count(value: Any) -> bool:
    """Whether a value from a file can be a number of things."""
    return type(value) is int and 0 <= value < 2**48


def _are_counts(values: Any) -> bool:
    return isinstance(values, Flat) and len(values) <= MAX_DIMENSIONS and all(map(is_count, values))


def _text(value: Any) -> str:
    return value.text if isinstance(value, Name) else type(value).__name__


def _checked(name: str) -> str:
    if len(name) > _MAX_NAME or not name.isprintable():
        raise CheckpointError(f"names a Python object {quoted(name)}, which is no name")
    return name.replace(" ", ".", 1)
