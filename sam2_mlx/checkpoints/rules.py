"""What a rule table is made of: a pattern for a source key, its name here, and its axes."""

from __future__ import annotations

from dataclasses import dataclass

CONV = (0, 2, 3, 1)  # (out, in, h, w) -> (out, h, w, in); depthwise and (1, C, h, w) likewise
UPCONV = (1, 2, 3, 0)  # transposed: (in, out, h, w) -> (out, h, w, in)


@dataclass(frozen=True)
class Rule:
    r"""One line of a layout's table.

    Attributes:
        source: pattern of the whole source key.
        target: our name, with the pattern's groups as `\1`, `\2`, ...
        axes: new order of the source's axes, or None to keep them.
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


def module(source: str, target: str, axes: tuple[int, ...] | None = None) -> tuple[Rule, ...]:
    """A module's weight, whose axes may change, and its bias."""
    return (
        Rule(rf"{source}\.weight", f"{target}.weight", axes),
        Rule(rf"{source}\.bias", f"{target}.bias"),
    )
