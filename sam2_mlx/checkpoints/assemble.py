"""From a checkpoint file to a config and a complete set of weights, every key accounted for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import mlx.core as mx
from mlx.utils import tree_flatten

from sam2_mlx.checkpoints.compare import DTYPES as DTYPES
from sam2_mlx.checkpoints.compare import IMPOSSIBLE, compare, refuse_more_layers
from sam2_mlx.checkpoints.files import open_tensors, read_given
from sam2_mlx.checkpoints.infer import infer_config
from sam2_mlx.checkpoints.layouts import OURS
from sam2_mlx.checkpoints.quantized import Quantization, is_quantized, read_quantized
from sam2_mlx.checkpoints.rename import Renamed, rename
from sam2_mlx.checkpoints.tensors import CheckpointError, StoredTensor
from sam2_mlx.config import ModelConfig

_CONFIG = "config.json"
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
        quantization: how the weights are packed, or None where they are not; packed weights are
            those of a folded model.
    """

    config: ModelConfig
    arrays: dict[str, mx.array]
    layout: str
    quantization: Quantization | None = None


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
            if is_quantized(tensors):
                return _read_quantized(tensors, path.parent / _CONFIG, config, image_size, dtype)
            renamed = rename(tensors)
            if config is None:
                given = read_given(path.parent / _CONFIG)
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
    tensors = renamed.tensors
    try:
        refuse_more_layers(config, len(tensors))
        shapes = expected_shapes(config)
    except CheckpointError:
        raise
    except IMPOSSIBLE as error:
        raise CheckpointError(f"has impossible dimensions ({error}): {config}") from error
    wanted = {key: (shape, False) for key, shape in shapes.items()}
    found = compare(tensors, renamed.sources, wanted, renamed.unexpected)
    if found:
        raise CheckpointError(f"does not fit the {config.name} model: {found}")


def _read_quantized(
    tensors: Mapping[str, StoredTensor],
    config_file: Path,
    config: ModelConfig | None,
    image_size: int | None,
    dtype: mx.Dtype | None,
) -> Weights:
    config, quantization = read_quantized(tensors, config_file, config, image_size)
    arrays: dict[str, mx.array] = {}
    for key, tensor in tensors.items():
        value = tensor.read()
        arrays[key] = value if dtype is None or value.dtype == mx.uint32 else value.astype(dtype)
        mx.eval(arrays[key])
    return Weights(config, arrays, OURS.name, quantization)


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
