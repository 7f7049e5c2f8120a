"""A model's dimensions, read off its tensors, so that a fine-tune loads without a config file.

Four things leave no trace in the tensors: the attention heads of the encoder, its global blocks,
its window sizes after the first stage, and the image size. They come from the published model with
the same encoder, or from a `config.json` beside the file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from sam2_mlx.checkpoints.infer_first import (
    first_behaviour,
    infer_first_encoder,
    is_first,
    published_name,
)
from sam2_mlx.checkpoints.tensors import CheckpointError
from sam2_mlx.config import MODELS, HieraConfig, ModelConfig

Shapes = Mapping[str, tuple[int, ...]]

_TRUNK = "image_encoder.trunk"
_UNSEEN = ("num_heads", "global_blocks", "window_sizes")


def infer_config(shapes: Shapes, stated: Mapping[str, Any] | None = None) -> ModelConfig:
    """Work out the dimensions of a checkpoint.

    Args:
        shapes: our parameter names -> shapes in our axis order.
        stated: values that the tensors cannot show (and any other), as in config.json: a nested
            dict with some of `ModelConfig`'s keys. They go before what is inferred.

    Returns:
        A config whose model has these tensors; without a memory if the checkpoint has none.

    Raises:
        CheckpointError: a tensor that must be there is missing; the encoder is not a published one
            and `stated` lacks what the tensors cannot show; or `stated` holds an impossible value.
    """
    stated = dict(stated or {})
    if is_first(shapes):
        return _infer_first(shapes, stated)
    repvit = any(name.startswith(f"{_TRUNK}.stem.") for name in shapes)
    encoder = _infer_repvit(shapes) if repvit else _infer_encoder(shapes)
    encoder |= _part(stated, "encoder")
    memory = _infer_memory(shapes)
    if memory is not None:
        memory |= _part(stated, "memory")
    decoder = {**_infer_decoder(shapes), **_part(stated, "decoder")}
    values: dict[str, Any] = {"hidden_dim": _shape(shapes, _NECK_BIAS)[0]}
    if repvit:
        # Tensors do not show the image size; no other than the published one is known.
        values |= {"name": published_name(encoder), "image_size": MODELS["edgetam"].image_size}
    elif (published := _published(encoder, memory)) is not None:
        values |= {"name": published.name, "image_size": published.image_size}
        for key in _UNSEEN:
            encoder.setdefault(key, getattr(published.encoder, key))
    values |= {k: v for k, v in stated.items() if k not in ("encoder", "decoder", "memory")}
    if not repvit:
        _require_unseen(values, encoder)
    values.setdefault("name", "custom")
    return config_of(values | {"encoder": encoder, "decoder": decoder, "memory": memory})


def _infer_first(shapes: Shapes, stated: dict[str, Any]) -> ModelConfig:
    """A model of the first generation; its tensors show all of the encoder."""
    encoder = {**infer_first_encoder(shapes), **_part(stated, "encoder")}
    values = first_behaviour()
    decoder = {**values["decoder"], **_infer_decoder(shapes), **_part(stated, "decoder")}
    values |= {
        "name": published_name(encoder),
        "image_size": 16 * encoder.get("grid", 64),
        "hidden_dim": _shape(shapes, "image_encoder.neck.norm1.bias")[0],
    }
    values |= {k: v for k, v in stated.items() if k not in ("encoder", "decoder", "memory")}
    return config_of(values | {"encoder": encoder, "decoder": decoder})


def config_of(values: dict[str, Any]) -> ModelConfig:
    """The dimensions in a config.json; raises a `CheckpointError` for impossible ones."""
    try:
        return ModelConfig.from_dict(values)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"has a config.json that cannot be used: {error}") from error


_NECK_BIAS = "image_encoder.neck.convs.0.conv.bias"


def _infer_encoder(shapes: Shapes) -> dict[str, Any]:
    embedding = _shape(shapes, f"{_TRUNK}.pos_embed")
    blocks = _count(shapes, rf"{_TRUNK}\.blocks\.(\d+)\.norm1\.weight")
    starts = [0] + [i for i in range(1, blocks) if f"{_TRUNK}.blocks.{i}.proj.weight" in shapes]
    return {
        "embed_dim": embedding[-1],
        "stages": tuple(b - a for a, b in zip(starts, [*starts[1:], blocks], strict=True)),
        "background_size": embedding[1:3],
    }


def _infer_repvit(shapes: Shapes) -> dict[str, Any]:
    stages = _count(shapes, rf"{_TRUNK}\.stages\.(\d+)\.blocks\.0\.token_mixer\.weight")
    first = [f"{_TRUNK}.stages.{index}.blocks.0" for index in range(stages)]
    blocks = rf"{_TRUNK}\.stages\.%d\.blocks\.(\d+)\.token_mixer\.weight"
    dims = [_shape(shapes, f"{block}.token_mixer.bias")[0] for block in first]
    wide = _shape(shapes, f"{_TRUNK}.stages.0.blocks.0.channel_mixer.conv1.bias")[0]
    return {
        "kind": "repvit",
        "stage_dims": tuple(dims),
        "stages": tuple(_count(shapes, blocks % index) for index in range(stages)),
        "expansion": wide // dims[0],
        "squeeze_dims": tuple(_shape(shapes, f"{block}.se.fc1.bias")[0] for block in first),
    }


def _infer_decoder(shapes: Shapes) -> dict[str, Any]:
    layers = "mask_decoder.transformer.layers"
    return {
        "num_layers": _count(shapes, r"mask_decoder\.transformer\.layers\.(\d+)\.norm1\.weight"),
        "mlp_dim": _shape(shapes, f"{layers}.0.mlp.layers.0.bias")[0],
        "iou_hidden_dim": _shape(shapes, "mask_decoder.iou_prediction_head.layers.0.bias")[0],
        "num_multimasks": _shape(shapes, "mask_decoder.mask_tokens.weight")[0] - 1,
    }


def _infer_memory(shapes: Shapes) -> dict[str, Any] | None:
    if "memory.time_embedding" not in shapes:
        return None
    frames, dim = _shape(shapes, "memory.time_embedding")
    return {
        "dim": dim,
        "num_frames": frames,
        "num_layers": _count(shapes, r"memory\.attention\.layers\.(\d+)\.norm1\.weight"),
        "feedforward_dim": _shape(shapes, "memory.attention.layers.0.linear1.bias")[0],
        "fuser_layers": _count(shapes, r"memory\.encoder\.fuser\.layers\.(\d+)\.gamma"),
        "absent_embedding": "memory.absent_embedding" in shapes,
        "pointer_time": "memory.pointer_time_projection.weight" in shapes,
        "perceiver": _infer_perceiver(shapes),
    }


def _infer_perceiver(shapes: Shapes) -> dict[str, Any] | None:
    perceiver = "memory.perceiver"
    if f"{perceiver}.latents" not in shapes:
        return None
    wide, dims = _shape(shapes, f"{perceiver}.layers.0.ff.linear1.weight")
    return {
        "latents": _shape(shapes, f"{perceiver}.latents")[0],
        "side": math.isqrt(_shape(shapes, f"{perceiver}.latents_2d")[0]),
        "num_layers": _count(shapes, rf"{perceiver}\.layers\.(\d+)\.self_attn\.norm\.weight"),
        "expansion": wide // dims,
    }


def _published(encoder: dict[str, Any], memory: dict[str, Any] | None) -> ModelConfig | None:
    """The published model with this encoder, and with this memory's switches if there is one."""
    trunk = encoder["embed_dim"], tuple(encoder["stages"])
    same = [
        model
        for model in MODELS.values()
        if isinstance(model.encoder, HieraConfig)
        and (model.encoder.embed_dim, model.encoder.stages) == trunk
    ]
    for model in same:
        switches = ("absent_embedding", "pointer_time")
        if memory and all(getattr(model.memory, key) == memory[key] for key in switches):
            return model
    return same[0] if same else None


def _require_unseen(values: dict[str, Any], encoder: dict[str, Any]) -> None:
    missing = [f"encoder.{key}" for key in _UNSEEN if key not in encoder]
    missing += ["image_size"] if "image_size" not in values else []
    if missing:
        raise CheckpointError(
            f"has an encoder of its own (embed_dim {encoder['embed_dim']}, stages "
            f"{list(encoder['stages'])}), and tensors do not show {', '.join(missing)}; put a "
            'config.json beside it, such as {"image_size": 1024, "encoder": {"num_heads": 1, '
            '"global_blocks": [5, 7, 9], "window_sizes": [8, 4, 14, 7]}}'
        )


def _part(stated: dict[str, Any], key: str) -> dict[str, Any]:
    value = stated.get(key) or {}
    if not isinstance(value, dict):
        raise CheckpointError(f"has a config.json whose {key!r} is not an object: {value!r}")
    return value


def _shape(shapes: Shapes, name: str) -> tuple[int, ...]:
    shape = shapes.get(name)
    if shape is None or 0 in shape or len(shape) != _RANKS.get(name.rsplit(".", 1)[-1], 2):
        problem = "is missing" if shape is None else f"has the shape {shape}"
        raise CheckpointError(f"cannot be understood: its parameter {name} {problem}")
    return shape


_RANKS = {"bias": 1, "pos_embed": 4}


def _count(shapes: Shapes, pattern: str) -> int:
    return len({int(match[1]) for name in shapes if (match := re.fullmatch(pattern, name))})
