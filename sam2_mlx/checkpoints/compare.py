"""Hold a checkpoint's tensors against the model they are for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sam2_mlx.checkpoints.tensors import CheckpointError, StoredTensor, shortened
from sam2_mlx.config import ModelConfig
from sam2_mlx.ops.dtypes import FLOATS

IMPOSSIBLE = (ArithmeticError, AttributeError, IndexError, RuntimeError, TypeError, ValueError)
"""What making a model of impossible dimensions can raise."""


def compare(
    tensors: Mapping[str, StoredTensor],
    sources: Mapping[str, str],
    wanted: Mapping[str, tuple[tuple[int, ...], bool]],
    unexpected: Iterable[str] = (),
) -> str:
    """What is wrong with a set of tensors, both ways.

    Args:
        tensors: our names -> tensors.
        sources: our names -> the keys they came from.
        wanted: our names -> the shape, and whether the values are packed (uint32) or floats.
        unexpected: keys that are known to be too many.

    Returns:
        Keys too many or too few, or of another shape or type, up to ten of each; empty if none.
    """
    extra = [*unexpected, *(sources[key] for key in tensors if key not in wanted)]
    missing = [key for key in wanted if key not in tensors]
    wrong = []
    for key, tensor in tensors.items():
        shape, packed = wanted.get(key, (tensor.shape, tensor.dtype not in FLOATS))
        kinds: Iterable[str] = ("uint32",) if packed else FLOATS
        if tensor.shape != shape or tensor.dtype not in kinds:
            wrong.append(f"{sources[key]} {tensor.shape} {tensor.dtype} for {key} {shape}")
    parts = (("unexpected", extra), ("missing", missing), ("wrong shape or type", wrong))
    # A source may fill several targets, so the same key can come up twice.
    lines = [f"{len(set(keys))} {title}: {shortened(keys)}" for title, keys in parts if keys]
    return "; ".join(lines)


def refuse_more_layers(config: ModelConfig, tensors: int) -> None:
    """Refuse dimensions with more layers than there are tensors, before any layer is made.

    Args:
        config: dimensions that may come from a file.
        tensors: how many tensors the checkpoint holds.

    Raises:
        CheckpointError: too many layers.
        TypeError: a number of layers that is not a number.
    """
    encoder, decoder, memory = config.encoder, config.decoder, config.memory
    layers = sum(getattr(encoder, "stages", ())) + getattr(encoder, "depth", 0)
    layers += decoder.num_layers + decoder.num_multimasks
    if memory is not None:
        layers += memory.num_layers + memory.fuser_layers
        layers += memory.perceiver.num_layers if memory.perceiver else 0
    if layers > tensors:
        raise CheckpointError(f"has impossible dimensions: {layers} layers in {tensors} tensors")
