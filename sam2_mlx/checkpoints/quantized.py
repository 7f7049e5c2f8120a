"""Quantised folders: linear weights in 8 or 4 bits, in groups that share a scale and an offset.

Weights are folded first and quantised then, so such a folder holds the folded form: loading folds
the empty model, and fills it. Convolutions, norms, embeddings, the mask decoder and the encoder's
first blocks stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_unflatten

from sam2_mlx.checkpoints.files import read_config
from sam2_mlx.checkpoints.tensors import CheckpointError, StoredTensor
from sam2_mlx.config import ModelConfig
from sam2_mlx.files import quoted
from sam2_mlx.model.folding import fold, pad_heads
from sam2_mlx.model.image_encoder.hiera import MultiScaleAttention
from sam2_mlx.model.layers import Linear
from sam2_mlx.model.sam import Sam
from sam2_mlx.ops.attention import fused_width
from sam2_mlx.ops.device import on_gpu

GROUP_SIZES = {8: 64, 4: 32}
"""Bits of a weight -> weights that share a scale, as `convert` writes them."""

_GROUPS = (32, 64, 128)  # what MLX computes with
# Few weights, and masks suffer most from them: the trained model that comes with the package lost
# 0.11 of mean IoU with its decoder in 4 bits, and 0.007 with the first two blocks.
_LEFT_ALONE = (
    "image_encoder.trunk.blocks.0.",
    "image_encoder.trunk.blocks.1.",
    "mask_decoder.",
    "memory.pointer_projection.",
    "memory.pointer_time_projection.",
)


@dataclass(frozen=True)
class Quantization:
    """How the weights of a folder are stored.

    Attributes:
        bits: of a weight, 8 or 4.
        group_size: neighbouring weights of a row that share a scale and an offset.
        modules: names of the linear layers that are quantised.
    """

    bits: int
    group_size: int
    modules: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for config.json."""
        return {"mode": "affine", **asdict(self), "modules": list(self.modules)}


def quantize(model: Sam, bits: int) -> Quantization:
    """Fold a model and quantise its linear layers, both in place; returns what was done.

    Args:
        model: a model with its weights loaded, in float32.
        bits: of a weight, 8 or 4.

    Raises:
        ValueError: another number of bits.
    """
    if bits not in GROUP_SIZES:
        raise ValueError(f"weights are quantised to 8 or 4 bits; got {bits}")
    fold(model, widen_heads=False)
    group = GROUP_SIZES[bits]
    names = tuple(
        name
        for name, layer in sorted(_linear_layers(model).items())
        if layer.weight.shape[1] % group == 0 and not name.startswith(_LEFT_ALONE)
    )
    made = Quantization(bits, group, names)
    _replace(model, made)
    return made


def is_quantized(tensors: Mapping[str, StoredTensor]) -> bool:
    """Whether tensors are those of a quantised folder."""
    return any(key.endswith(".weight") and t.dtype == "uint32" for key, t in tensors.items())


def read_quantization(config_file: Path) -> Quantization:
    """How the weights are stored, from the config.json beside them.

    Raises:
        CheckpointError: a file that is missing, or a record in it that cannot be used.
    """
    return _recorded((read_config(config_file) or {}).get("quantization"))


def empty_model(config: ModelConfig, quantization: Quantization | None = None) -> Sam:
    """A model without weights; one that is quantised, as told, is folded.

    Raises:
        ValueError: a layer that the model does not have, or that cannot be quantised so.
    """
    model = Sam(config)
    if quantization is None:
        return model
    fold(model, widen_heads=False)
    layers = _linear_layers(model)
    for name in quantization.modules:
        if name not in layers:
            raise ValueError(f"quantization names {name!r}, which is no linear layer of the model")
        width = layers[name].weight.shape[1]
        if width % quantization.group_size:
            raise ValueError(
                f"quantization names {name!r}, whose {width} inputs are no multiple of "
                f"{quantization.group_size}"
            )
    _replace(model, quantization)
    return model


def adapt(model: Sam) -> None:
    """Bring a loaded quantised model into the form that suits the default device, in place.

    MLX's CPU backend multiplies by packed weights 60 to 75 times slower than by plain ones, so
    there the weights are unpacked, and only the folder is smaller. On a GPU they stay packed; heads
    of a width without a fused kernel are padded, and the projection after them is unpacked for it.
    """
    if on_gpu():
        for module in model.modules():
            if isinstance(module, MultiScaleAttention):
                _pad_packed_heads(module)
        return
    plain = [
        (name, _unpacked(layer))
        for name, layer in model.named_modules()
        if isinstance(layer, nn.QuantizedLinear)
    ]
    model.update_modules(tree_unflatten(plain))


def _pad_packed_heads(attention: MultiScaleAttention) -> None:
    width = fused_width(attention.head_dims)
    if width == attention.head_dims:
        return
    # The columns of a head are no whole groups, so they can only be padded unpacked.
    if isinstance(attention.proj, nn.QuantizedLinear):
        attention.proj = _unpacked(attention.proj)
    pad_heads(attention, width)


def _linear_layers(model: Sam) -> dict[str, nn.Linear]:
    return {name: m for name, m in model.named_modules() if isinstance(m, nn.Linear)}


def _replace(model: Sam, quantization: Quantization) -> None:
    layers = _linear_layers(model)
    bits, group = quantization.bits, quantization.group_size
    packed = [
        (name, nn.QuantizedLinear.from_linear(layers[name], group, bits))
        for name in quantization.modules
    ]
    model.update_modules(tree_unflatten(packed))


def _unpacked(layer: nn.QuantizedLinear) -> Linear:
    plain = Linear(1, 1)
    plain.weight = mx.dequantize(
        layer.weight, layer.scales, layer.biases, layer.group_size, layer.bits
    )
    plain.bias = layer.bias
    return plain


def _recorded(values: Any) -> Quantization:
    """The record in a config.json, checked."""
    if values is None:
        raise CheckpointError(
            "is quantised, but has no config.json beside it that says how; keep the two files of "
            "the converted folder together"
        )
    try:
        mode, bits, group = values["mode"], values["bits"], values["group_size"]
        modules = values["modules"]
    except (KeyError, TypeError) as error:
        raise CheckpointError(
            "has a config.json that cannot be used: quantization needs mode, bits, group_size and "
            f"modules; got {quoted(values)}"
        ) from error
    possible = mode == "affine" and bits in tuple(GROUP_SIZES) and group in _GROUPS
    if not possible or isinstance(bits, float) or isinstance(group, float):
        raise CheckpointError(
            "has a config.json that cannot be used: quantization is affine, in 8 or 4 bits, in "
            f"groups of {', '.join(map(str, _GROUPS))}; got {quoted([mode, bits, group])}"
        )
    if not isinstance(modules, list) or not all(isinstance(name, str) for name in modules):
        raise CheckpointError(
            "has a config.json that cannot be used: quantization.modules is a list of names; got "
            f"{quoted(modules)}"
        )
    return Quantization(bits, group, tuple(dict.fromkeys(modules)))
