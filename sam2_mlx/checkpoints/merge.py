"""Several tensors of a checkpoint that are one here: what they amount to.

A convolution and its batch norm are one convolution, and so are the branches of a token mixer;
keys and values are projected together. Computed in float64, when the tensor is read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import mlx.core as mx
import numpy as np

from sam2_mlx.checkpoints.tensors import StoredTensor
from sam2_mlx.ops.dtypes import FLOATS

Shape = tuple[int, ...]

_EPSILON = 1e-5


@dataclass(frozen=True)
class _Merge:
    """Parts with one name before them, and what they become.

    Attributes:
        parts: how the names of the parts end.
        results: how the names of the results end.
        shapes: the results' shapes for those of the parts, or None if these do not fit together.
        values: the results for the parts, all in float64.
    """

    parts: tuple[str, ...]
    results: tuple[str, ...]
    shapes: Callable[..., tuple[Shape, ...] | None]
    values: Callable[..., tuple[np.ndarray, ...]]


def merge(tensors: dict[str, StoredTensor], sources: dict[str, str]) -> None:
    """Put what tensors amount to in their place; parts that are incomplete stay as they are.

    Args:
        tensors: our names -> tensors, convolution weights channels last.
        sources: our names -> the keys they came from; a result has that of its first part.
    """
    for rule in _MERGES:
        for first in [name for name in tensors if name.endswith(f".{rule.parts[0]}")]:
            root = first.removesuffix(rule.parts[0])
            names = [root + part for part in rule.parts]
            parts = [tensors[name] for name in names if name in tensors]
            if len(parts) < len(names) or any(part.dtype not in FLOATS for part in parts):
                continue
            for index, shape in enumerate(rule.shapes(*(part.shape for part in parts)) or ()):
                result = root + rule.results[index]
                read = partial(_read, rule.values, parts, index)
                tensors[result] = StoredTensor(shape, "float32", read)
                sources[result] = sources[first]
            if root + rule.results[0] in tensors:
                for name in names:
                    del tensors[name]


def _read(values: Callable[..., Any], parts: list[StoredTensor], index: int) -> mx.array:
    arrays = [np.array(part.read().astype(mx.float32), np.float64) for part in parts]
    return mx.array(values(*arrays)[index].astype(np.float32))


def _convolution(weight: Shape, *vectors: Shape) -> tuple[Shape, ...] | None:
    return (weight, weight[:1]) if set(vectors) == {weight[:1]} and len(weight) == 4 else None


def _with_batch_norm(
    weight: np.ndarray,
    gain: np.ndarray,
    shift: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
) -> tuple[np.ndarray, ...]:
    scale = gain / np.sqrt(variance + _EPSILON)
    return weight * scale[:, None, None, None], shift - mean * scale


def _two_branches(
    weight: Shape, bias: Shape, inner: Shape, inner_bias: Shape
) -> tuple[Shape, ...] | None:
    fits = weight[1:] == (3, 3, 1) and inner == (*weight[:1], 1, 1, 1)
    return _convolution(weight, bias, inner_bias) if fits else None


def _with_branches(
    weight: np.ndarray, bias: np.ndarray, inner: np.ndarray, inner_bias: np.ndarray
) -> tuple[np.ndarray, ...]:
    # The third branch is the identity.
    weight[:, 1:2, 1:2] += inner + 1
    return weight, bias + inner_bias


def _stacked(keys: Shape, values: Shape) -> tuple[Shape, ...] | None:
    fits = len(keys) == 2 and keys[1:] == values[1:]
    return ((keys[0] + values[0], keys[1]),) if fits else None


_PARTS = ("weight", "bias")
_MERGES = (
    _Merge(
        ("c.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"),
        _PARTS,
        _convolution,
        _with_batch_norm,
    ),
    _Merge(
        tuple(f"token_mixer.{conv}.{part}" for conv in ("conv", "conv1") for part in _PARTS),
        ("token_mixer.weight", "token_mixer.bias"),
        _two_branches,
        _with_branches,
    ),
    _Merge(
        ("to_k.weight", "to_v.weight"),
        ("to_kv.weight",),
        _stacked,
        lambda keys, values: (np.concatenate([keys, values]),),
    ),
)
