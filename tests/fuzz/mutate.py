"""Ways to spoil a file: bytes, JSON, and the steps of a pickle."""

from __future__ import annotations

import copy
import pickletools
import random
import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

_NUMBERS = (0, 1, -1, 2, 7, 255, 256, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63, 10**30)
_VALUES: tuple[Any, ...] = (
    *_NUMBERS,
    *(0.5, -0.5, 1e300, 1e-300, float("nan"), float("inf")),
    *(None, True, False, "", "x", "2", "\x1b[2J\x1b]0;owned\x07", "../../etc/passwd", "é" * 9),
    *([], {}, [[]], [1, 2], [None] * 99, {"kind": []}, {"a": {"b": {"c": []}}}),
)


def spoil_bytes(rng: random.Random, data: bytes) -> bytes:
    """One to four changes: bits, bytes, numbers, and pieces that are cut, doubled or moved."""
    result = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        # Tables stand at the ends of most files, so most changes go there.
        span = min(len(result), rng.choice((64, 1024, len(result))))
        at = rng.randrange(span + 1)
        at = at if rng.random() < 0.5 else len(result) - at
        rng.choice((_flip, _set, _number, _cut, _double, _insert, _end))(rng, result, at)
    return bytes(result)


def _flip(rng: random.Random, data: bytearray, at: int) -> None:
    if at < len(data):
        data[at] ^= 1 << rng.randrange(8)


def _set(rng: random.Random, data: bytearray, at: int) -> None:
    if at < len(data):
        data[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))


def _number(rng: random.Random, data: bytearray, at: int) -> None:
    size, form = rng.choice(((2, "H"), (4, "I"), (8, "Q")))
    value = rng.choice(_NUMBERS) % 2 ** (8 * size)
    data[at : at + size] = struct.pack(rng.choice("<>") + form, value)


def _cut(rng: random.Random, data: bytearray, at: int) -> None:
    del data[at : at + rng.choice((1, 4, 16, 256))]


def _double(rng: random.Random, data: bytearray, at: int) -> None:
    piece = data[at : at + rng.choice((1, 4, 16, 256))]
    data[at:at] = piece * rng.choice((1, 2, 100))


def _insert(rng: random.Random, data: bytearray, at: int) -> None:
    data[at:at] = rng.randbytes(rng.choice((1, 4, 64)))


def _end(rng: random.Random, data: bytearray, at: int) -> None:
    del data[at:]


def spoil_json(rng: random.Random, value: Any) -> Any:
    """One to three changes of values, keys and lists; the original stays as it is."""
    result = copy.deepcopy(value)
    for _ in range(rng.choice((1, 1, 2, 3))):
        places = list(_places(result))
        if not places:
            return copy.deepcopy(rng.choice(_VALUES))
        holder, key = rng.choice(places)
        what = rng.randrange(6)
        if what == 0 and isinstance(holder, dict):
            del holder[key]
        elif what == 1 and isinstance(holder, dict):
            holder[rng.choice(("", "x", "kind", "__class__", str(key) * 50))] = holder.pop(key)
        elif what == 2:
            other, place = rng.choice(places)
            holder[key] = copy.deepcopy(other[place])
        elif what == 3 and isinstance(holder[key], list):
            holder[key] = holder[key] * rng.choice((0, 2, 1000))
        elif what == 4:
            holder[key] = _nested(rng, holder[key])
        else:
            holder[key] = copy.deepcopy(rng.choice(_VALUES))
    return result


def _nested(rng: random.Random, value: Any) -> Any:
    for _ in range(rng.choice((1, 5, 100))):
        value = [value] if rng.random() < 0.5 else {"a": value}
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every holder and key in nested dicts and lists."""
    waiting = [value]
    while waiting:
        holder = waiting.pop()
        pairs = holder.items() if isinstance(holder, dict) else enumerate(holder)
        for key, part in list(pairs):
            yield holder, key
            if isinstance(part, (dict, list)) and part:
                waiting.append(part)


def spoil_pickle(rng: random.Random, data: bytes) -> bytes:
    """Put steps into a pickle that a hostile hand would write, or spoil its bytes."""
    if rng.random() < 0.2:
        return spoil_bytes(rng, data)
    at = rng.choice(_boundaries(data))
    end = at if rng.random() < 0.5 else rng.choice([b for b in _boundaries(data) if b >= at][:4])
    return data[:at] + rng.choice(_STEPS)(rng) + data[end:]


@lru_cache(maxsize=8)
def _boundaries(data: bytes) -> tuple[int, ...]:
    return tuple(place or 0 for _, _, place in pickletools.genops(data))[1:]


def _many(step: bytes) -> Any:
    return lambda rng: step * rng.choice((1, 100, 100_000))


def _call(rng: random.Random) -> bytes:
    module, name = rng.choice(
        (
            ("os", "system"),
            ("builtins", "eval"),
            ("builtins", "exec"),
            ("torch", "Size"),
            ("collections", "OrderedDict"),
            ("torch._utils", "_rebuild_tensor_v2"),
            ("collections", "Counter"),
        )
    )
    argument = b"touch executed" if name == "system" else b"open('executed', 'w')"
    text = b"X" + struct.pack("<I", len(argument)) + argument
    ending = rng.choice((b"\x85R", b"\x85\x81", b"\x85}\x92", b"\x85b"))
    return f"c{module}\n{name}\n".encode() + text + ending


_STEPS = (
    _call,
    _many(b"]"),
    _many(b"}"),
    _many(b"("),
    _many(b"\x85"),
    _many(b"\x86"),
    _many(b"\x94"),
    _many(b"2"),
    _many(b"0"),
    _many(b"h\x00"),
    _many(b"h\x01\x85R"),
    _many(b"q\x01h\x01\x86"),
    _many(b"N"),
    lambda rng: b"r" + struct.pack("<I", rng.choice(_NUMBERS) % 2**32),
    lambda rng: b"\x8a\x09" + rng.randbytes(9),
    lambda rng: b"J" + struct.pack("<i", rng.choice((-1, 0, 2**31 - 1))),
    lambda rng: b"\x95" + struct.pack("<Q", rng.choice(_NUMBERS) % 2**64),
    lambda rng: b"\x8d" + struct.pack("<Q", rng.choice(_NUMBERS) % 2**64),
    lambda rng: b"s" if rng.random() < 0.5 else b"u",
    lambda rng: b"Q",
    lambda rng: b"b",
    lambda rng: b".",
)
