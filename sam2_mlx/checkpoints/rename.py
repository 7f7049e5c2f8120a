"""Put a checkpoint's tensors under our names and in our axis order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import mlx.core as mx

from sam2_mlx.checkpoints.first_layouts import FIRST_LAYOUTS
from sam2_mlx.checkpoints.layouts import LAYOUTS
from sam2_mlx.checkpoints.merge import merge
from sam2_mlx.checkpoints.rules import Layout, Rule
from sam2_mlx.checkpoints.tensors import CheckpointError, StoredTensor, shortened

_MAX_ROWS = 16
# What training modules hold beside the model.
_BYSTANDER = re.compile(r"(?:loss_fn|loss|criterion)\.")
_KNOWN = (*LAYOUTS, *FIRST_LAYOUTS)


@dataclass
class Renamed:
    """A checkpoint under our names.

    Attributes:
        layout: the layout it came in.
        tensors: our name -> the tensor, in our axis order, still unread.
        sources: our name -> the key it came from.
        unexpected: source keys that no rule matches.
    """

    layout: Layout
    tensors: dict[str, StoredTensor] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    unexpected: list[str] = field(default_factory=list)


def rename(tensors: Mapping[str, StoredTensor]) -> Renamed:
    """Recognise the layout of a checkpoint and translate every key.

    Returns:
        The same tensors under our names, merged where several are one here; keys without a rule
        are listed, not dropped.

    Raises:
        CheckpointError: a layout we do not know, or one parameter under two keys with two values.
    """
    layout, prefix = find_layout(tensors)
    rules = [(re.compile(rule.source), rule) for rule in layout.rules]
    ignored = [re.compile(pattern) for pattern in layout.ignored]
    result = Renamed(layout)
    for key, tensor in tensors.items():
        name = key.removeprefix(prefix)
        if not key.startswith(prefix) or _BYSTANDER.match(name):
            continue
        if any(pattern.fullmatch(name) for pattern in ignored):
            continue
        for pattern, rule in rules:
            match = pattern.fullmatch(name)
            changed = list(_apply(rule, match, tensor)) if match else []
            if changed:
                for target, value in changed:
                    _put(result, key, target, value)
                break
        else:
            result.unexpected.append(key)
    merge(result.tensors, result.sources)
    return result


def has_layout(keys: Iterable[str]) -> bool:
    """Whether names are those of a model that we know, whatever stands before all of them."""
    signs = tuple(layout.sign for layout in _KNOWN)
    return any(key.endswith(signs) for key in keys)


def find_layout(keys: Iterable[str]) -> tuple[Layout, str]:
    """The layout whose sign is among the keys, and what stands in front of every key.

    Raises:
        CheckpointError: no known layout.
    """
    prefixes = [
        (layout, key.removesuffix(layout.sign))
        for key in keys
        for layout in _KNOWN
        if f".{key}".endswith(f".{layout.sign}")
    ]
    if prefixes:
        # The model itself goes before a copy inside a wrapper, and that before averaged weights.
        return min(prefixes, key=lambda at: (bool(at[1]), "ema" in at[1].lower()))
    raise CheckpointError(
        "is not a SAM 2 checkpoint: its keys are neither Meta's, nor the transformers library's, "
        f"nor ours; the first keys are {shortened(keys, 4) or 'none'}"
    )


def _apply(
    rule: Rule, match: re.Match[str], tensor: StoredTensor
) -> Iterator[tuple[str, StoredTensor]]:
    """The tensors that a rule makes; nothing when the tensor has not the shape it is for."""
    target = match.expand(rule.target)
    shape = tensor.shape
    if rule.split:
        if len(shape) == 2 and shape[0] <= _MAX_ROWS:
            for row in range(shape[0]):
                yield target.format(row=row), _row(tensor, row)
    elif rule.axes is not None and len(shape) == len(rule.axes):
        yield target, _transposed(tensor, rule.axes)
    elif rule.drop and all(axis < len(shape) and shape[axis] == 1 for axis in rule.drop):
        yield target, _squeezed(tensor, rule.drop)
    else:
        yield target, tensor


def _row(tensor: StoredTensor, row: int) -> StoredTensor:
    return StoredTensor((1, tensor.shape[1]), tensor.dtype, lambda: tensor.read()[row : row + 1])


def _transposed(tensor: StoredTensor, axes: tuple[int, ...]) -> StoredTensor:
    shape = tuple(tensor.shape[axis] for axis in axes)
    return StoredTensor(
        shape, tensor.dtype, lambda: mx.contiguous(mx.transpose(tensor.read(), axes))
    )


def _squeezed(tensor: StoredTensor, drop: tuple[int, ...]) -> StoredTensor:
    shape = tuple(n for axis, n in enumerate(tensor.shape) if axis not in drop)
    return StoredTensor(shape, tensor.dtype, lambda: tensor.read().reshape(shape))


def _put(result: Renamed, key: str, target: str, value: StoredTensor) -> None:
    earlier = result.tensors.get(target)
    if earlier is not None:
        same = earlier.shape == value.shape and mx.array_equal(earlier.read(), value.read()).item()
        if not same:
            raise CheckpointError(
                f"holds two different values for one parameter: {result.sources[target]!r} and "
                f"{key!r}"
            )
    result.tensors[target] = value
    result.sources[target] = key
