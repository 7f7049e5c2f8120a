"""Rule tables: how each family of checkpoints names its tensors, and our name for each.

Three layouts are known: Meta's own key names (`.pt` or safetensors), the transformers library's
(`Sam2Model`, `Sam2VideoModel`), and ours. A rule is a pattern for a source key, the name it gets
here, and how its axes change; convolution weights become channels last, once, here.
"""

from __future__ import annotations

import re
from dataclasses import replace

from sam2_mlx.checkpoints.edge_layouts import edge_rules, transformers_edge_rules
from sam2_mlx.checkpoints.rules import CONV, UPCONV, Layout, Rule, module


def _norms(source: str, target: str, number: str) -> tuple[Rule, ...]:
    return module(rf"{source}\.layer_norm({number})", rf"{target}.norm\{_groups(source) + 1}")


def _mlp(source: str, target: str, last: int) -> tuple[Rule, ...]:
    """The transformers library's MLP (proj_in, layers, proj_out) as layers.0 to layers.`last`."""
    middle = module(rf"{source}\.layers\.0", f"{target}.layers.1") if last == 2 else ()
    return (
        *module(rf"{source}\.proj_in", f"{target}.layers.0"),
        *middle,
        *module(rf"{source}\.proj_out", f"{target}.layers.{last}"),
    )


def _attention(source: str, target: str) -> tuple[Rule, ...]:
    """The transformers library's attention: only the output projection has another name."""
    at = _groups(source) + 1
    return (
        *module(rf"{source}\.([qkv]_proj)", rf"{target}.\{at}"),
        *module(rf"{source}\.o_proj", f"{target}.out_proj"),
    )


def _groups(pattern: str) -> int:
    return re.compile(pattern).groups


_TRUNK = "image_encoder.trunk"
_BLOCK = rf"{_TRUNK}.blocks.\1"
_DENSE = "prompt_encoder.mask_downscaling"
_TWO_WAY = "mask_decoder.transformer"
_LAYER = rf"{_TWO_WAY}.layers.\1"
_FUSER = r"memory.encoder.fuser.layers.\1"
_DOWN = "memory.encoder.mask_downsampler"
_PROJECTIONS = r"(?:q|k|v|out)_proj"


def _meta_rules() -> tuple[Rule, ...]:
    trunk = r"image_encoder\.trunk"
    block = r"norm[12]|attn\.qkv|attn\.proj|mlp\.layers\.[01]|proj"
    dense = r"sam_prompt_encoder\.mask_downscaling"
    decoder = r"sam_mask_decoder"
    cross = "cross_attn_token_to_image|cross_attn_image_to_token"
    two_way = rf"(?:self_attn|{cross})\.{_PROJECTIONS}|norm[1-4]|mlp\.layers\.[01]"
    heads = r"output_hypernetworks_mlps\.\d+|iou_prediction_head|pred_obj_score_head"
    remembered = rf"(?:self_attn|cross_attn_image)\.{_PROJECTIONS}|linear[12]|norm[1-3]"
    return (
        *module(rf"{trunk}\.patch_embed\.proj", f"{_TRUNK}.patch_embed.proj", CONV),
        Rule(rf"{trunk}\.(pos_embed|pos_embed_window)", rf"{_TRUNK}.\1", CONV),
        *module(rf"{trunk}\.blocks\.(\d+)\.({block})", rf"{_BLOCK}.\2"),
        *module(
            r"image_encoder\.neck\.convs\.(\d+)\.conv", r"image_encoder.neck.convs.\1.conv", CONV
        ),
        Rule(
            r"sam_prompt_encoder\.(pe_layer\.positional_encoding_gaussian_matrix"
            r"|point_embeddings\.\d+\.weight|not_a_point_embed\.weight|no_mask_embed\.weight)",
            r"prompt_encoder.\1",
        ),
        *module(rf"{dense}\.0", f"{_DENSE}.conv1", CONV),
        *module(rf"{dense}\.1", f"{_DENSE}.norm1"),
        *module(rf"{dense}\.3", f"{_DENSE}.conv2", CONV),
        *module(rf"{dense}\.4", f"{_DENSE}.norm2"),
        *module(rf"{dense}\.6", f"{_DENSE}.conv3", CONV),
        *module(rf"{decoder}\.transformer\.layers\.(\d+)\.({two_way})", rf"{_LAYER}.\2"),
        *module(
            rf"{decoder}\.transformer\."
            rf"(final_attn_token_to_image\.{_PROJECTIONS}|norm_final_attn)",
            rf"{_TWO_WAY}.\1",
        ),
        Rule(
            rf"{decoder}\.((?:iou_token|mask_tokens|obj_score_token)\.weight)", r"mask_decoder.\1"
        ),
        *module(rf"{decoder}\.output_upscaling\.0", "mask_decoder.upscaling.conv1", UPCONV),
        *module(rf"{decoder}\.output_upscaling\.1", "mask_decoder.upscaling.norm1"),
        *module(rf"{decoder}\.output_upscaling\.3", "mask_decoder.upscaling.conv2", UPCONV),
        *module(rf"{decoder}\.(conv_s[01])", r"mask_decoder.\1", CONV),
        *module(rf"{decoder}\.((?:{heads})\.layers\.\d+)", r"mask_decoder.\1"),
        *module(
            rf"memory_attention\.layers\.(\d+)\.({remembered})", r"memory.attention.layers.\1.\2"
        ),
        *module(r"memory_attention\.norm", "memory.attention.norm"),
        *_meta_mask_downsampler(),
        *module(r"memory_encoder\.(pix_feat_proj|out_proj)", r"memory.encoder.\1", CONV),
        Rule(r"memory_encoder\.fuser\.layers\.(\d+)\.gamma", f"{_FUSER}.gamma"),
        *module(r"memory_encoder\.fuser\.layers\.(\d+)\.dwconv", f"{_FUSER}.dwconv", CONV),
        *module(r"memory_encoder\.fuser\.layers\.(\d+)\.(norm|pwconv[12])", rf"{_FUSER}.\2"),
        *module(r"mask_downsample", "memory.mask_downsample", CONV),
        *module(r"obj_ptr_proj\.layers\.(\d+)", r"memory.pointer_projection.layers.\1"),
        *module(r"obj_ptr_tpos_proj", "memory.pointer_time_projection"),
        Rule(r"maskmem_tpos_enc", "memory.time_embedding", drop=(1, 2)),
        Rule(r"no_mem_embed", "memory.no_memory_embedding", drop=(0, 1)),
        Rule(r"no_obj_ptr", "memory.absent_pointer", drop=(0,)),
        Rule(r"no_obj_embed_spatial", "memory.absent_embedding", drop=(0,)),
        *edge_rules(),
    )


def _meta_mask_downsampler() -> tuple[Rule, ...]:
    # Four rounds of convolution, norm and activation, then a last convolution: 0, 1, 3, 4, ... 12.
    source = r"memory_encoder\.mask_downsampler\.encoder"
    rules: list[Rule] = []
    for i in range(4):
        rules += module(rf"{source}\.{3 * i}", f"{_DOWN}.conv{i + 1}", CONV)
        rules += module(rf"{source}\.{3 * i + 1}", f"{_DOWN}.norm{i + 1}")
    return (*rules, *module(rf"{source}\.12", f"{_DOWN}.conv5", CONV))


def _transformers_rules() -> tuple[Rule, ...]:
    return (
        *_transformers_image_rules(),
        *_transformers_decoder_rules(),
        *_transformers_memory_rules(),
        *transformers_edge_rules(),
    )


def _transformers_image_rules() -> tuple[Rule, ...]:
    trunk = r"vision_encoder\.backbone"
    block = rf"{trunk}\.blocks\.(\d+)"
    dense = r"prompt_encoder\.mask_embed"
    gaussian = "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
    return (
        *module(rf"{trunk}\.patch_embed\.projection", f"{_TRUNK}.patch_embed.proj", CONV),
        Rule(rf"{trunk}\.(pos_embed|pos_embed_window)", rf"{_TRUNK}.\1", CONV),
        *module(rf"{block}\.(attn\.qkv|attn\.proj|proj)", rf"{_BLOCK}.\2"),
        *_norms(block, _BLOCK, "[12]"),
        *_mlp(rf"{block}\.mlp", f"{_BLOCK}.mlp", last=1),
        *module(r"vision_encoder\.neck\.convs\.(\d+)", r"image_encoder.neck.convs.\1.conv", CONV),
        # One matrix, stored under either name or both.
        Rule(r"prompt_encoder\.shared_embedding\.positional_embedding", gaussian),
        Rule(r"shared_image_embedding\.positional_embedding", gaussian),
        Rule(
            r"prompt_encoder\.point_embed\.weight",
            "prompt_encoder.point_embeddings.{row}.weight",
            split=True,
        ),
        Rule(
            r"prompt_encoder\.((?:not_a_point_embed|no_mask_embed)\.weight)", r"prompt_encoder.\1"
        ),
        *module(rf"{dense}\.(conv[123])", rf"{_DENSE}.\1", CONV),
        *_norms(dense, _DENSE, "[12]"),
    )


def _transformers_decoder_rules() -> tuple[Rule, ...]:
    two_way = r"mask_decoder\.transformer"
    layer = rf"{two_way}\.layers\.(\d+)"
    kinds = "self_attn|cross_attn_token_to_image|cross_attn_image_to_token"
    heads = r"output_hypernetworks_mlps\.\d+|iou_prediction_head|pred_obj_score_head"
    return (
        *_attention(rf"{layer}\.({kinds})", rf"{_LAYER}.\2"),
        *_norms(layer, _LAYER, "[1-4]"),
        *_mlp(rf"{layer}\.mlp", f"{_LAYER}.mlp", last=1),
        *_attention(
            rf"{two_way}\.final_attn_token_to_image", f"{_TWO_WAY}.final_attn_token_to_image"
        ),
        *module(rf"{two_way}\.layer_norm_final_attn", f"{_TWO_WAY}.norm_final_attn"),
        Rule(
            r"mask_decoder\.((?:iou_token|mask_tokens|obj_score_token)\.weight)",
            r"mask_decoder.\1",
        ),
        *module(r"mask_decoder\.upscale_(conv[12])", r"mask_decoder.upscaling.\1", UPCONV),
        *module(r"mask_decoder\.upscale_layer_norm", "mask_decoder.upscaling.norm1"),
        *module(r"mask_decoder\.(conv_s[01])", r"mask_decoder.\1", CONV),
        *_mlp(rf"mask_decoder\.({heads})", r"mask_decoder.\1", last=2),
    )


def _transformers_memory_rules() -> tuple[Rule, ...]:
    layer = r"memory_attention\.layers\.(\d+)"
    target = r"memory.attention.layers.\1"
    down = r"memory_encoder\.mask_downsampler"
    fuser = r"memory_encoder\.memory_fuser\.layers\.(\d+)"
    rules: list[Rule] = []
    for i in range(4):
        rules += module(rf"{down}\.layers\.{i}\.conv", f"{_DOWN}.conv{i + 1}", CONV)
        rules += module(rf"{down}\.layers\.{i}\.layer_norm", f"{_DOWN}.norm{i + 1}")
    return (
        *_attention(rf"{layer}\.(self_attn|cross_attn_image)", rf"{target}.\2"),
        *module(rf"{layer}\.(linear[12])", rf"{target}.\2"),
        *_norms(layer, target, "[1-3]"),
        *module(r"memory_attention\.layer_norm", "memory.attention.norm"),
        *rules,
        *module(rf"{down}\.final_conv", f"{_DOWN}.conv5", CONV),
        *module(r"memory_encoder\.feature_projection", "memory.encoder.pix_feat_proj", CONV),
        *module(r"memory_encoder\.projection", "memory.encoder.out_proj", CONV),
        Rule(rf"{fuser}\.scale", f"{_FUSER}.gamma"),
        *module(rf"{fuser}\.depthwise_conv", f"{_FUSER}.dwconv", CONV),
        *module(rf"{fuser}\.layer_norm", f"{_FUSER}.norm"),
        *module(rf"{fuser}\.pointwise_conv([12])", rf"{_FUSER}.pwconv\2"),
        *module(r"mask_downsample", "memory.mask_downsample", CONV),
        *_mlp(r"object_pointer_proj", "memory.pointer_projection", last=2),
        *module(r"temporal_positional_encoding_projection_layer", "memory.pointer_time_projection"),
        Rule(r"memory_temporal_positional_encoding", "memory.time_embedding", drop=(1, 2)),
        Rule(r"no_memory_embedding", "memory.no_memory_embedding", drop=(0, 1)),
        Rule(r"no_object_pointer", "memory.absent_pointer", drop=(0,)),
        Rule(r"occlusion_spatial_embedding_parameter", "memory.absent_embedding", drop=(0,)),
    )


_COUNTERS = r".*\.num_batches_tracked"
META = Layout(
    "meta",
    "sam_prompt_encoder.not_a_point_embed.weight",
    _meta_rules(),
    ignored=("no_mem_pos_enc", _COUNTERS),
)
TRANSFORMERS = Layout(
    "transformers",
    "vision_encoder.backbone.patch_embed.projection.weight",
    _transformers_rules(),
    ignored=("no_memory_positional_encoding", _COUNTERS),
)
TRANSFORMERS_EDGE = replace(
    TRANSFORMERS, sign="vision_encoder.backbone.timm_model.stem.conv1.c.weight"
)
OURS = Layout("sam2_mlx", "prompt_encoder.mask_downscaling.conv1.weight", (Rule(r"(.*)", r"\1"),))
LAYOUTS = (META, TRANSFORMERS, TRANSFORMERS_EDGE, OURS)
