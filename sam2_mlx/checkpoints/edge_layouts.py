"""Rules for what EdgeTAM has that SAM 2 has not: RepViT and the perceiver.

Convolutions get our names with their batch norms and branches still beside them; see `merge`.
"""

from __future__ import annotations

from sam2_mlx.checkpoints.rules import CONV, Rule, module

_TRUNK = "image_encoder.trunk"
_NORM = "weight|bias|running_mean|running_var"


def edge_rules() -> tuple[Rule, ...]:
    """Meta's names."""
    layer, ours = r"spatial_perceiver\.layers\.(\d+)", r"memory.perceiver.layers.\1"
    return (
        *_trunk_rules(r"image_encoder\.trunk\.body"),
        Rule(r"spatial_perceiver\.(latents|latents_2d)", r"memory.perceiver.\1"),
        Rule(rf"{layer}\.(self_attn|attn)\.(to_q|to_kv|to_out)\.weight", rf"{ours}.\2.\3.weight"),
        *module(rf"{layer}\.attn\.(norm_latents|norm_x)", rf"{ours}.attn.\2"),
        *module(rf"{layer}\.self_attn\.norm", f"{ours}.self_attn.norm"),
        *module(rf"{layer}\.(ff|self_ff)\.0", rf"{ours}.\2.norm"),
        Rule(rf"{layer}\.(ff|self_ff)\.1\.weight", rf"{ours}.\2.linear1.weight"),
        Rule(rf"{layer}\.(ff|self_ff)\.3\.weight", rf"{ours}.\2.linear2.weight"),
        *module(r"spatial_perceiver\.norm", "memory.perceiver.norm"),
    )


def transformers_edge_rules() -> tuple[Rule, ...]:
    """The transformers library's names."""
    layer, ours = r"spatial_perceiver\.layers\.(\d+)", r"memory.perceiver.layers.\1"
    rules: list[Rule] = []
    for attention, target in (("cross_attention", "attn"), ("self_attention", "self_attn")):
        source = rf"{layer}\.{attention}"
        rules += (Rule(rf"{source}\.([qkv])_proj\.weight", rf"{ours}.{target}.to_\2.weight"),)
        rules += (Rule(rf"{source}\.o_proj\.weight", f"{ours}.{target}.to_out.weight"),)
    for mlp, target in (("mlp", "ff"), ("self_mlp", "self_ff")):
        source = rf"{layer}\.{mlp}"
        rules += module(rf"{source}\.layer_norm", f"{ours}.{target}.norm")
        rules += (Rule(rf"{source}\.up_proj\.weight", f"{ours}.{target}.linear1.weight"),)
        rules += (Rule(rf"{source}\.down_proj\.weight", f"{ours}.{target}.linear2.weight"),)
    remembered, mixed = r"memory_attention\.layers\.(\d+)\.mlp", r"memory.attention.layers.\1"
    return (
        *_trunk_rules(r"vision_encoder\.backbone\.timm_model"),
        *rules,
        Rule(r"spatial_perceiver\.latents_1d", "memory.perceiver.latents"),
        Rule(r"spatial_perceiver\.latents_2d", "memory.perceiver.latents_2d"),
        *module(rf"{layer}\.layer_norm_latents", f"{ours}.attn.norm_latents"),
        *module(rf"{layer}\.layer_norm_input", f"{ours}.attn.norm_x"),
        *module(rf"{layer}\.layer_norm_self", f"{ours}.self_attn.norm"),
        *module(r"spatial_perceiver\.layer_norm", "memory.perceiver.norm"),
        *module(rf"{remembered}\.up_proj", f"{mixed}.linear1"),
        *module(rf"{remembered}\.down_proj", f"{mixed}.linear2"),
    )


def _trunk_rules(trunk: str) -> tuple[Rule, ...]:
    """RepViT, as timm names it."""
    mixers = r"token_mixer\.conv1?|channel_mixer\.conv[12]"
    step = rf"downsample\.(?:pre_block\.(?:{mixers})|ffn\.conv[12]|(?:spatial|channel)_downsample)"
    convolution = rf"blocks\.\d+\.(?:{mixers})|{step}"
    stage, ours = rf"{trunk}\.stages_(\d+)", rf"{_TRUNK}.stages.\1"
    return (
        Rule(rf"{trunk}\.stem\.(conv[12])\.c\.weight", rf"{_TRUNK}.stem.\1.c.weight", CONV),
        Rule(rf"{trunk}\.stem\.(conv[12])\.bn\.({_NORM})", rf"{_TRUNK}.stem.\1.bn.\2"),
        Rule(rf"{stage}\.({convolution})\.c\.weight", rf"{ours}.\2.c.weight", CONV),
        Rule(rf"{stage}\.({convolution})\.bn\.({_NORM})", rf"{ours}.\2.bn.\3"),
        *module(rf"{stage}\.(blocks\.\d+\.se\.fc[12])", rf"{ours}.\2", CONV),
    )
