"""The encoder of a checkpoint of the first Segment Anything or of MobileSAM, from its tensors."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from sam2_mlx.checkpoints.tensors import CheckpointError
from sam2_mlx.config import MODELS, TinyViTConfig

Shapes = Mapping[str, tuple[int, ...]]

_TRUNK = "image_encoder.trunk"
_DISTANCES = rf"{_TRUNK}\.blocks\.(\d+)\.attn\.rel_pos_h"
_BIASES = rf"{_TRUNK}\.layers\.(\d+)\.blocks\.0\.attn\.attention_biases"
_EXAMPLE = MODELS["sam1-vit-b"]


def is_first(shapes: Shapes) -> bool:
    """Whether tensors, under our names, are those of a first Segment Anything or a MobileSAM."""
    return any(re.fullmatch(f"{_DISTANCES}|{_BIASES}", name) for name in shapes)


def first_behaviour() -> dict[str, Any]:
    """What such models do otherwise than the second generation: values for `ModelConfig`."""
    values = _EXAMPLE.to_dict()
    return {key: values[key] for key in ("keep_aspect", "pad_boxes", "decoder", "memory")}


def infer_first_encoder(shapes: Shapes) -> dict[str, Any]:
    """The dimensions of the encoder with its `kind`: values for `ViTConfig` or `TinyViTConfig`.

    Args:
        shapes: our parameter names -> shapes in our axis order.

    Raises:
        CheckpointError: a tensor that must be there is missing or has an impossible shape.
    """
    try:
        if any(re.fullmatch(_DISTANCES, name) for name in shapes):
            return _infer_vit(shapes)
        return _infer_tiny_vit(shapes)
    except (KeyError, IndexError, ValueError) as error:
        raise CheckpointError(f"cannot be understood: its image encoder lacks {error}") from error


def published_name(encoder: dict[str, Any]) -> str:
    """The published model with this encoder, or `custom`."""
    for name, model in MODELS.items():
        if model.to_dict()["encoder"] == encoder:
            return name
    return "custom"


def _infer_vit(shapes: Shapes) -> dict[str, Any]:
    _, grid, _, dims = shapes[f"{_TRUNK}.pos_embed"]
    tables = {int(m[1]): shapes[name] for name in shapes if (m := re.fullmatch(_DISTANCES, name))}
    lengths = {length for length, _ in tables.values()}
    whole = 2 * grid - 1
    window = min(lengths - {whole}, default=0)
    return {
        "kind": "vit",
        "embed_dim": dims,
        "depth": len(tables),
        "num_heads": dims // tables[0][1],
        "global_blocks": tuple(i for i in sorted(tables) if tables[i][0] == whole),
        "window_size": (window + 1) // 2 if window else grid,
        "grid": grid,
    }


def _infer_tiny_vit(shapes: Shapes) -> dict[str, Any]:
    published = TinyViTConfig()
    layers = rf"{_TRUNK}\.layers\.(\d+)\.blocks\.(\d+)\.(?:attn\.qkv|conv1)\.weight"
    blocks = [(int(m[1]), int(m[2])) for name in shapes if (m := re.fullmatch(layers, name))]
    stages = [sum(layer == index for layer, _ in blocks) for index in range(1 + max(blocks)[0])]
    biases = [
        shapes[f"{_TRUNK}.layers.{index}.blocks.0.attn.attention_biases"]
        for index in range(1, len(stages))
    ]
    first = shapes[f"{_TRUNK}.layers.0.blocks.0.conv1.weight"][-1]
    rest = [
        shapes[f"{_TRUNK}.layers.{index}.blocks.0.attn.norm.weight"][0]
        for index in range(1, len(stages))
    ]
    return {
        "kind": "tiny_vit",
        "stage_dims": (first, *rest),
        "stages": tuple(stages),
        # The first stage has neither heads nor windows.
        "num_heads": (published.num_heads[0], *(heads for heads, _ in biases)),
        "window_sizes": (published.window_sizes[0], *(math.isqrt(n) for _, n in biases)),
    }
