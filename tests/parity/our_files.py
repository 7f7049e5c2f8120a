"""What the torch side needs of this project, read from its files: the package itself needs MLX."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tests.parity.meta_shapes import meta_shapes

PACKAGE = Path(__file__).parents[2] / "sam2_mlx"


def _module(path: str) -> Any:
    name = "sam2_mlx_file_" + Path(path).stem
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, PACKAGE / path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


def our_config(model: str) -> Any:
    """The `ModelConfig` of a name."""
    return _module("config.py").MODELS[model]


def bundled_state() -> dict[str, np.ndarray]:
    """The bundled weights under Meta's names and in Meta's layouts, float32."""
    from safetensors.numpy import load_file

    stored = load_file(PACKAGE / "assets" / "nano" / "model.safetensors")
    layout = _module("checkpoints/layouts.py").META
    state = {}
    for name, shape in meta_shapes(our_config("nano")).items():
        if any(re.fullmatch(pattern, name) for pattern in layout.ignored):
            state[name] = np.zeros(shape, np.float32)
            continue
        rule, match = next(
            (rule, match)
            for rule in layout.rules
            if (match := re.fullmatch(rule.source, name)) is not None
        )
        value = stored[match.expand(rule.target)].astype(np.float32)
        if rule.axes is not None and len(rule.axes) == value.ndim:
            value = value.transpose(np.argsort(rule.axes))
        state[name] = np.ascontiguousarray(value).reshape(shape)
    return state


def reference_overrides(config: Any) -> dict[str, Any]:
    """Settings that turn the reference's smallest 2.1 configuration into another one of ours."""
    encoder, memory, hidden = config.encoder, config.memory, config.hidden_dim
    trunk, neck, layer = "image_encoder.trunk", "image_encoder.neck", "memory_attention.layer"
    grid = [config.grid, config.grid]
    settings = {
        f"{trunk}.embed_dim": encoder.embed_dim,
        f"{trunk}.num_heads": encoder.num_heads,
        f"{trunk}.stages": list(encoder.stages),
        f"{trunk}.global_att_blocks": list(encoder.global_blocks),
        f"{trunk}.window_spec": list(encoder.window_sizes),
        f"{trunk}.window_pos_embed_bkg_spatial_size": list(encoder.background_size),
        f"{neck}.d_model": hidden,
        f"{neck}.backbone_channel_list": list(reversed(encoder.stage_dims)),
        f"{neck}.position_encoding.num_pos_feats": hidden,
        "memory_attention.d_model": hidden,
        "memory_attention.num_layers": memory.num_layers,
        f"{layer}.d_model": hidden,
        f"{layer}.dim_feedforward": memory.feedforward_dim,
        "memory_encoder.in_dim": hidden,
        "memory_encoder.out_dim": memory.dim,
        "memory_encoder.position_encoding.num_pos_feats": memory.dim,
        "memory_encoder.mask_downsampler.embed_dim": hidden,
        "memory_encoder.fuser.layer.dim": hidden,
        "memory_encoder.fuser.num_layers": memory.fuser_layers,
        "num_maskmem": memory.num_frames,
    }
    for kind in ("self_attention", "cross_attention"):
        settings[f"{layer}.{kind}.embedding_dim"] = hidden
        settings[f"{layer}.{kind}.num_heads"] = memory.num_heads
        settings[f"{layer}.{kind}.feat_sizes"] = grid
    settings[f"{layer}.cross_attention.kv_in_dim"] = memory.dim
    return settings
