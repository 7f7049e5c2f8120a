"""From a checkpoint file to a config and a complete set of weights, every key accounted for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import mlx.core as mx
from mlx.utils import tree_flatten

from sam2_mlx.config import ModelConfig

from .files import open_tensors, read_given
from .infer import infer_config
from .rename import Renamed, rename
from .stored import CheckpointError

DTYPES = {"float32": mx.float32, "float16": mx.float16, "bfloat16": mx.bfloat16}
"""The element types that a model can have, by name."""

_SHOWN = 10
_NO_MEMORY = "memory.no_memory_embedding"
# The neck stores its convolutions coarse first: this one makes the level at stride 16.
_COARSE_BIAS = "image_encoder.neck.convs.1.conv.bias"


@dataclass(frozen=True)
class Weights:
    """A checkpoint that has been read and checked.

    Attributes:
        config: the model's dimensions.
        arrays: our parameter names -> values, evaluated.
        layout: name of the layout the file came in.
    """

    config: ModelConfig
    arrays: dict[str, mx.array]
    layout: str


def read_weights(
    path: Path,
    *,
    config: ModelConfig | None = None,
    image_size: int | None = None,
    dtype: mx.Dtype | None = None,
) -> Weights:
    """Read a checkpoint file of any known format and layout.

    Args:
        path: a `.pt` or safetensors file; recognised by its content, not by its name.
        config: the dimensions, where they are known; otherwise inferred from the tensors, with a
            `config.json` beside the file for what tensors cannot show.
        image_size: input size in pixels instead of the config's.
        dtype: type to convert the weights to; None keeps each as stored.

    Raises:
        FileNotFoundError: no such file.
        CheckpointError: a file that is damaged, foreign, or does not fit the model, in one line.
    """
    try:
        with open_tensors(path) as tensors:
            renamed = rename(tensors)
            if config is None:
                given = read_given(path.parent / "config.json")
                config = infer_config({k: t.shape for k, t in renamed.tensors.items()}, given)
            config = config.with_image_size(image_size)
            arrays = _read(renamed, config, dtype)
    except CheckpointError as error:
        raise CheckpointError(f"{path.name} {error}") from error
    return Weights(config, arrays, renamed.layout.name)


def expected_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Shape of every parameter that a model of these dimensions has, by name."""
    from sam2_mlx.model.sam import Sam

    parameters = dict(tree_flatten(Sam(config).parameters()))
    return {key: value.shape for key, value in parameters.items()}


def check(renamed: Renamed, config: ModelConfig) -> None:
    """Hold a renamed checkpoint against the model, both ways.

    Args:
        renamed: the checkpoint under our names.
        config: the model's dimensions.

    Raises:
        CheckpointError: keys too many or too few, or of another shape; up to ten of each.
    """
    tensors, sources = renamed.tensors, renamed.sources
    try:
        shapes = expected_shapes(config)
    except (ArithmeticError, TypeError, ValueError) as error:
        raise CheckpointError(f"has impossible dimensions ({error}): {config}") from error
    unexpected = [*renamed.unexpected, *(sources[key] for key in tensors if key not in shapes)]
    missing = [key for key in shapes if key not in tensors]
    wrong = [
        f"{sources[key]} {tensor.shape} {tensor.dtype} for {key} {shapes[key]}"
        for key, tensor in tensors.items()
        if key in shapes and (tensor.shape != shapes[key] or tensor.dtype not in DTYPES)
    ]
    parts = (("unexpected", unexpected), ("missing", missing), ("wrong shape or type", wrong))
    found = "; ".join(_listed(title, keys) for title, keys in parts if keys)
    if found:
        raise CheckpointError(f"does not fit the {config.name} model: {found}")


def _listed(title: str, keys: Iterable[str]) -> str:
    # A source may fill several targets, so the same key can come up twice.
    unique = list(dict.fromkeys(keys))
    more = f" and {len(unique) - _SHOWN} more" if len(unique) > _SHOWN else ""
    return f"{len(unique)} {title}: {', '.join(unique[:_SHOWN])}{more}"


def _read(renamed: Renamed, config: ModelConfig, dtype: mx.Dtype | None) -> dict[str, mx.array]:
    tensors = renamed.tensors
    # Without a memory, the picture's features always get the no-memory embedding. It is added to
    # one level of the neck and nowhere else, so it can live in that level's bias.
    embedding = None if config.memory else tensors.pop(_NO_MEMORY, None)
    check(renamed, config)
    arrays: dict[str, mx.array] = {}
    for key, tensor in tensors.items():
        value = tensor.read()
        if key == _COARSE_BIAS and embedding is not None:
            value = value.astype(mx.float32) + embedding.read().astype(mx.float32)
        arrays[key] = value if dtype is None else value.astype(dtype)
        # One by one: a deferred read would outlive the file, and double the memory.
        mx.eval(arrays[key])
    return arrays
