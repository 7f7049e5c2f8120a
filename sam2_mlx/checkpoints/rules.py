"""What a rule table is made of: a pattern for a source key, its name here, and its axes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

CONV = (0, 2, 3, 1)  # (out, in, h, w) -> (out, h, w, in); depthwise and (1, C, h, w) likewise
UPCONV = (1, 2, 3, 0)  # transposed: (in, out, h, w) -> (out, h, w, in)

_MARKS = {
    "#": r"(\d+)",
    "@": "(weight|bias)",
    "$": r"(c\.weight|bn\.(?:weight|bias|running_mean|running_var))",
    "<": "(",
    ">": ")",
    ".": r"\.",
}
_CHANGES: dict[str, dict[str, Any]] = {
    "conv": {"axes": CONV},
    "upconv": {"axes": UPCONV},
    "rows": {"split": True},
    "drop0": {"drop": (0,)},
    "drop01": {"drop": (0, 1)},
    "drop12": {"drop": (1, 2)},
}


@dataclass(frozen=True)
class Rule:
    r"""One line of a layout's table.

    Attributes:
        source: pattern of the whole source key.
        target: our name, with the pattern's groups as `\1`, `\2`, ...
        axes: new order of the source's axes, where it has so many; None keeps them.
        drop: axes of size one that we leave out.
        split: each row of the source is a parameter of its own, `{row}` in the target.
    """

    source: str
    target: str
    axes: tuple[int, ...] | None = None
    drop: tuple[int, ...] = ()
    split: bool = False


@dataclass(frozen=True)
class Layout:
    """How one family of checkpoints names its tensors.

    Attributes:
        name: for messages and config.json.
        sign: a key that every such checkpoint has and no other layout's does.
        rules: the table.
        ignored: patterns of keys that the network never reads.
    """

    name: str
    sign: str
    rules: tuple[Rule, ...]
    ignored: tuple[str, ...] = ()


def read_rules(table: str) -> tuple[Rule, ...]:
    """The rules of a table: on each line a source key, our name, and what becomes of the axes.

    In a key `#` is a number, `@` weight or bias, `$` the weight of a convolution or what its batch
    norm has, and `<a|b>` one of several. Each `*` of our name is what the next of them stands for;
    `=` is the source's own name. A line that begins with a space goes on with the one before.
    """
    rules = []
    for line in re.split(r"\n+(?! )", table.strip()):
        key, name, *changes = line.split()
        source = re.sub(r"[#@$<>.]", lambda mark: _MARKS[mark[0]], key)
        first, *others = (re.sub(r"[#@$]|<[^>]*>", "*", key) if name == "=" else name).split("*")
        target = first + "".join(f"\\{place}{text}" for place, text in enumerate(others, 1))
        rules.append(Rule(source, target, **(_CHANGES[changes[0]] if changes else {})))
    return tuple(rules)
