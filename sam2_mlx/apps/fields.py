"""What the fields of a message or a project may hold: each is checked before its use."""

from __future__ import annotations

import math
import re
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from dataclasses import fields as dataclass_fields
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

Reader = Callable[[str, Any], Any]
"""Takes a field's name and its value, and returns the value; refuses what it does not expect."""

MAX_POINTS = 1000
MAX_TEXT = 4096


class Refusal(Exception):
    """A request that cannot be carried out.

    Args:
        code: one of the table in docs/app.md, for programs.
        message: one line for people.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Field:
    """One field of a request.

    Attributes:
        reader: checks its value.
        required: whether it must be there.
        default: its value where it is not there, or null.
        names: what a text names that an app may have no access to; see `Access`.
    """

    reader: Reader
    required: bool = True
    default: Any = None
    names: Literal["", "read", "folder", "write", "model"] = ""

    def otherwise(self, default: Any = None) -> Field:
        """The same field, which may be left out."""
        return replace(self, required=False, default=default)


def read_fields(given: Any, schema: Mapping[str, Field], where: str = "") -> dict[str, Any]:
    """The values of an object's fields.

    Args:
        given: JSON's value.
        schema: the fields that it may have.
        where: what is put before a name in messages, such as `pixels.`.

    Raises:
        Refusal: `bad_request`, with the name of the field and what was expected.
    """
    if not isinstance(given, dict):
        raise refused(where.rstrip("."), "an object", given)
    strangers = [name for name in given if name not in schema]
    if strangers:
        raise Refusal(
            "bad_request",
            f"unknown field {where}{strangers[0]!s:.40}; there are {', '.join(schema) or 'none'}",
        )
    values = {}
    for name, one in schema.items():
        value = given.get(name)
        if value is None:
            if one.required:
                raise Refusal("bad_request", f"the field {where}{name} is missing")
            values[name] = one.default
        else:
            values[name] = one.reader(where + name, value)
    return values


def refused(name: str, expected: str, value: Any, code: str = "bad_request") -> Refusal:
    """The refusal of a field's value."""
    return Refusal(code, f"{name} must be {expected}; got {_short(value)}")


def _short(value: Any) -> str:
    # repr() of a long list takes its time; its kind says enough.
    if isinstance(value, (list, dict)):
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value)}"
    return f"{value!r:.60}"


def _that(
    fits: Callable[[Any], bool],
    expected: str,
    code: str = "bad_request",
    convert: Callable[[Any], Any] = lambda value: value,
) -> Field:
    def read(name: str, value: Any) -> Any:
        if not fits(value):
            raise refused(name, expected, value, code)
        return convert(value)

    return Field(read)


def integer(low: int, high: int, code: str = "bad_request") -> Field:
    """An integer from `low` to `high`."""
    expected = f"an integer from {low} to {high}"
    return _that(lambda value: type(value) is int and low <= value <= high, expected, code)


def number(low: float = -math.inf, high: float = math.inf) -> Field:
    """A finite number from `low` to `high`."""
    expected = f"a number from {low:g} to {high:g}"
    return _that(lambda value: _is_number(value) and low <= value <= high, expected, convert=float)


def text(longest: int = MAX_TEXT) -> Field:
    """A text without zero bytes, of a path's length at most."""

    def fits(value: Any) -> bool:
        return isinstance(value, str) and 0 < len(value) <= longest and "\0" not in value

    return _that(fits, f"a text of 1 to {longest} characters")


def path_name(names: Literal["read", "folder", "write", "model"] = "read") -> Field:
    """A text that names a file to read or write, or a model."""
    return replace(text(), names=names)


def colour() -> Field:
    """A colour, such as `#00be82`."""

    def fits(value: Any) -> bool:
        return isinstance(value, str) and re.fullmatch("#[0-9a-fA-F]{6}", value) is not None

    return _that(fits, "a colour such as #00be82")


def flag() -> Field:
    """True or false."""
    return _that(lambda value: isinstance(value, bool), "true or false")


def choice(*options: Any, code: str = "bad_request") -> Field:
    """One of a few texts or numbers."""

    def fits(value: Any) -> bool:
        # True equals 1 in Python.
        return not isinstance(value, (bool, list, dict)) and value in options

    return _that(fits, f"one of {', '.join(map(str, options))}", code)


def numbers(count: int) -> Field:
    """A list of `count` finite numbers."""

    def fits(value: Any) -> bool:
        return isinstance(value, list) and len(value) == count and all(map(_is_number, value))

    return _that(fits, f"{count} numbers", convert=lambda value: [float(one) for one in value])


def points() -> Field:
    """A list of [x, y]."""
    pair = numbers(2).reader

    def read(name: str, value: Any) -> list[list[float]]:
        if not isinstance(value, list) or not 0 < len(value) <= MAX_POINTS:
            raise refused(name, f"1 to {MAX_POINTS} points [x, y]", value)
        return [pair(f"{name}[{place}]", one) for place, one in enumerate(value)]

    return Field(read)


def labels() -> Field:
    """A list of 1 (on the object) and 0 (not on it)."""

    def fits(value: Any) -> bool:
        plain = isinstance(value, list) and all(type(one) is int and one in (0, 1) for one in value)
        return plain and 0 < len(value) <= MAX_POINTS

    return _that(fits, "a list of 1 (on the object) and 0 (not on it)")


def several(one: Field, most: int) -> Field:
    """A list of at most so many values."""

    def read(name: str, value: Any) -> list[Any]:
        if not isinstance(value, list) or len(value) > most:
            raise refused(name, f"a list of at most {most}", value)
        return [one.reader(f"{name}[{place}]", each) for place, each in enumerate(value)]

    return Field(read)


def part(make: Callable[..., Any], **schema: Field) -> Field:
    """An object with fields of its own.

    Args:
        make: takes the values by name.
        schema: its fields.
    """
    return Field(lambda name, value: make(**read_fields(value, schema, name + ".")))


def record(kind: type) -> Field:
    """An object with the fields of a dataclass of plain values, all of which may be left out."""
    hints = get_type_hints(kind)
    plain = {bool: flag(), int: integer(-(2**31), 2**31), float: number(), str: text()}
    schema = {}
    for one in dataclass_fields(kind):
        hint = hints[one.name]
        if get_origin(hint) in (Union, types.UnionType):
            hint = next(arm for arm in get_args(hint) if arm is not type(None))
        schema[one.name] = plain[hint].otherwise(one.default)
    return part(kind, **schema)


def _is_number(value: Any) -> bool:
    # An integer too large for a float is none that a picture has.
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return abs(value) < 1e30
