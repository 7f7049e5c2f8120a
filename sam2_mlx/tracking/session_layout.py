"""What the description in a saved session must look like, checked before anything is made of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from sam2_mlx.files import quoted
from sam2_mlx.tracking.policies import POLICIES

Check = Callable[[Any, str], None]
"""Looks at a value and raises ValueError with its place if it is something else."""

_LAST_FRAME = 2**31
_MOST = 100_000


def _that(fits: Callable[[Any], bool], wanted: str) -> Check:
    def check(value: Any, place: str) -> None:
        if not fits(value):
            raise ValueError(f"{place} is {wanted}; got {quoted(value)}")

    return check


def whole(low: int, high: int) -> Check:
    """A whole number in a range."""
    wanted = f"a whole number from {low} to {high}"
    return _that(lambda value: type(value) is int and low <= value <= high, wanted)


def number(low: float, high: float) -> Check:
    """A finite number in a range."""

    def fits(value: Any) -> bool:
        return type(value) in (int, float) and math.isfinite(value) and low <= value <= high

    return _that(fits, f"a number from {low:g} to {high:g}")


def one_of(*options: Any) -> Check:
    """One of a few texts."""
    wanted = f"one of {', '.join(options)}"
    return _that(lambda value: isinstance(value, str) and value in options, wanted)


_object = _that(lambda value: isinstance(value, dict), "an object")
flag = _that(lambda value: isinstance(value, bool), "true or false")
text = _that(
    lambda value: isinstance(value, str) and len(value) <= 100 and value.isprintable(),
    "a short text",
)


def _number_or_text(value: Any, place: str) -> None:
    if not isinstance(value, str):
        whole(-(2**63), 2**63 - 1)(value, place)


def optional(check: Check) -> Check:
    """None, or what a check lets pass."""
    return lambda value, place: None if value is None else check(value, place)


def each(item: Check, most: int = _MOST) -> Check:
    """A list of such items."""
    bounded = _that(
        lambda value: isinstance(value, list) and len(value) <= most, f"a list of up to {most}"
    )

    def check(value: Any, place: str) -> None:
        bounded(value, place)
        for index, entry in enumerate(value):
            item(entry, f"{place}[{index}]")

    return check


def row(*items: Check) -> Check:
    """A list with one item for each check."""
    fitting = _that(
        lambda value: isinstance(value, list) and len(value) == len(items),
        f"a list of {len(items)}",
    )

    def check(value: Any, place: str) -> None:
        fitting(value, place)
        for index, (item, entry) in enumerate(zip(items, value, strict=True)):
            item(entry, f"{place}[{index}]")

    return check


def table(parts: dict[str, Check], more: tuple[str, ...] = ()) -> Check:
    """An object with these keys; `more` are keys that may be there and are looked at elsewhere."""

    def check(value: Any, place: str) -> None:
        _object(value, place or "it")
        for key in value.keys() - parts.keys() - set(more):
            raise ValueError(f"{place or 'it'} has an unknown key {quoted(key)}")
        for key, part in parts.items():
            name = f"{place}.{key}" if place else key
            if key not in value:
                raise ValueError(f"{name} is missing")
            part(value[key], name)

    return check


frame_number = whole(0, _LAST_FRAME)
_record = table(
    {"pointer": text, "tokens": optional(text), "mask": optional(row(text, text, text, text))}
)
_shelf = each(row(frame_number, _record))
_place = number(-1e9, 1e9)
_prompt = table(
    {
        "points": each(row(_place, _place)),
        "labels": each(whole(-1, 3)),
        "mask": optional(text),
    }
)
_followed = {
    "id": _number_or_text,
    "tracked": each(row(frame_number, flag)),
    "prompts": each(row(frame_number, _prompt)),
}
_shelves = {"prompted": _shelf, "recent": _shelf}
_OBJECTS = {
    # What a policy noted is looked at by the policy.
    2: table({**_followed, "shelves": table(_shelves)}, more=("policy",)),
    1: table(
        {
            **_followed,
            "areas": each(row(frame_number, whole(0, 2**40))),
            "shelves": table({**_shelves, "appearances": _shelf, "anchors": _shelf}),
        }
    ),
}
_HEAD = {
    "dtype": text,
    "memory": one_of(*POLICIES),
    "num_frames": optional(whole(1, _LAST_FRAME)),
    "options": table(
        {
            "fill_hole_area": number(0, 1e12),
            "non_overlap_masks": flag,
            "clear_memory_around_prompts": flag,
            "corrections_become_prompts": flag,
            "max_prompted_frames": optional(whole(-1, _LAST_FRAME)),
            "memory_stride": whole(1, _LAST_FRAME),
            "binarise_prompted_masks": flag,
            "read_ahead": whole(0, 1024),
        }
    ),
    "frame": optional(frame_number),
    "reverse": optional(flag),
}


def check_description(description: Any) -> None:
    """Check the description in a saved session.

    Raises:
        ValueError: a key too many or too few, or a value of another type or out of its range.
    """
    version = description.get("version") if isinstance(description, dict) else None
    if type(version) is not int or version not in _OBJECTS:
        raise ValueError(f"the format is {quoted(version)}; this version reads up to 2")
    # The model's part is held against the model.
    parts = {**_HEAD, "objects": each(_OBJECTS[version], most=10_000)}
    table(parts, more=("version", "model"))(description, "")
    for index, entry in enumerate(description["objects"]):
        for at, prompt in entry["prompts"]:
            if len(prompt["points"]) != len(prompt["labels"]):
                raise ValueError(f"objects[{index}] has points without labels on frame {at}")
        for at, record in entry["shelves"]["prompted"]:
            if record["tokens"] is None:
                raise ValueError(f"objects[{index}] remembers nothing of its prompt on frame {at}")
