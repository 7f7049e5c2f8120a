"""From a checkpoint file to a model and the values for it, every key accounted for."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import mlx.core as mx
from mlx.utils import tree_flatten

from sam2_mlx.checkpoints.bounds import check_values
from sam2_mlx.checkpoints.compare import IMPOSSIBLE, compare, refuse_more_layers
from sam2_mlx.checkpoints.files import CONFIG_NAME, open_tensors, read_given
from sam2_mlx.checkpoints.infer import config_of, infer_config
from sam2_mlx.checkpoints.names import PUBLISHED
from sam2_mlx.checkpoints.quantized import (
    Quantization,
    empty_model,
    is_quantized,
    read_quantization,
)
from sam2_mlx.checkpoints.rename import Renamed, rename
from sam2_mlx.checkpoints.tensors import CheckpointError
from sam2_mlx.config import HieraConfig, ModelConfig
from sam2_mlx.model.sam import Sam

_NO_MEMORY = "memory.no_memory_embedding"
# The neck stores its convolutions coarse first: this one makes the level at stride 16.
_COARSE_BIAS = "image_encoder.neck.convs.1.conv.bias"


@dataclass(frozen=True)
class Weights:
    """A checkpoint that has been read and checked.

    Attributes:
        model: a model of its dimensions, still without these values.
        arrays: our parameter names -> values, evaluated.
        layout: name of the layout the file came in.
        stored: the dimensions before another image size was asked for.
        quantization: how the weights are packed, or None where they are not; packed weights are
            those of a folded model.
    """

    model: Sam
    arrays: dict[str, mx.array]
    layout: str
    stored: ModelConfig
    quantization: Quantization | None = None

    @property
    def config(self) -> ModelConfig:
        """The model's dimensions."""
        return self.model.config


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
    beside = path.parent / CONFIG_NAME
    try:
        with open_tensors(path) as tensors:
            renamed = rename(tensors)
            packed = is_quantized(renamed.tensors)
            quantization = read_quantization(beside) if packed else None
            if config is None:
                stated = read_given(beside)
                config = _config(renamed, stated, packed)
                if image_size is None and "image_size" not in (stated or {}):
                    _warn_of_size(path, config)
            # Without a memory, the picture's features always get the no-memory embedding. It is
            # added to one level of the neck and nowhere else, so it can live in that level's bias.
            embedding = None if config.memory else renamed.tensors.pop(_NO_MEMORY, None)
            model = fitting_model(renamed, config.with_image_size(image_size), quantization)
            arrays: dict[str, mx.array] = {}
            for key, tensor in renamed.tensors.items():
                value = tensor.read()
                if key == _COARSE_BIAS and embedding is not None:
                    value = value.astype(mx.float32) + embedding.read().astype(mx.float32)
                if dtype is not None and value.dtype != mx.uint32:
                    value = value.astype(dtype)
                arrays[key] = value
                # One by one: a deferred read would outlive the file, and double the memory.
                mx.eval(value)
    except CheckpointError as error:
        raise type(error)(f"{path} {error}") from error
    return Weights(model, arrays, renamed.layout.name, config, quantization)


def fitting_model(
    renamed: Renamed, config: ModelConfig, quantization: Quantization | None = None
) -> Sam:
    """A model without weights, once every key of a checkpoint is accounted for.

    Args:
        renamed: the checkpoint under our names.
        config: the model's dimensions.
        quantization: how the weights are packed, if they are.

    Raises:
        CheckpointError: keys too many or too few, or of another shape or type, up to ten of each;
            or impossible dimensions.
    """
    check_values(config.to_dict(), "dimensions")
    try:
        refuse_more_layers(config, len(renamed.tensors))
        model = empty_model(config, quantization)
        parameters = dict(tree_flatten(model.parameters()))
    except CheckpointError:
        raise
    except IMPOSSIBLE as error:
        raise CheckpointError(f"has impossible dimensions ({error}): {config}") from error
    wanted = {key: (value.shape, value.dtype == mx.uint32) for key, value in parameters.items()}
    problem = compare(renamed.tensors, renamed.sources, wanted, renamed.unexpected)
    if problem:
        raise CheckpointError(f"does not fit the {config.name} model: {problem}")
    return model


def _warn_of_size(path: Path, config: ModelConfig) -> None:
    """Say that the input size is a guess, for a file that is not the published one."""
    # The first Segment Anything has a parameter for each place.
    guessed = config.name in PUBLISHED and isinstance(config.encoder, HieraConfig)
    if guessed and PUBLISHED[config.name].filename != path.name:
        warnings.warn(
            f"nothing in {path.name} tells its input size; it is taken as {config.image_size}, as "
            f"in {config.name}; image_size= (--image-size) sets another one",
            stacklevel=4,
        )


def _config(renamed: Renamed, stated: dict[str, object] | None, packed: bool) -> ModelConfig:
    # Shapes of packed weights do not tell the dimensions.
    if packed:
        return config_of(stated or {})
    return infer_config({key: tensor.shape for key, tensor in renamed.tensors.items()}, stated)
