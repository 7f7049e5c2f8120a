"""Rule tables for checkpoints of the first Segment Anything and of MobileSAM.

Meta's own key names (`sam_vit_b_01ec64.pth`), the transformers library's (`SamModel`), and
MobileSAM's (`mobile_sam.pt`), which are Meta's but for the image encoder.
"""

from __future__ import annotations

import re

from sam2_mlx.checkpoints.rules import CONV, UPCONV, Layout, Rule, module

_TRUNK = "image_encoder.trunk"
_NECK = "image_encoder.neck"
_DENSE = "prompt_encoder.mask_downscaling"
_DECODER = "mask_decoder"
_KINDS = "self_attn|cross_attn_token_to_image|cross_attn_image_to_token"
_PROJECTION = "(?:q|k|v|out)_proj"
_HEADS = r"output_hypernetworks_mlps\.\d+|iou_prediction_head"
_GAUSSIAN = "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"


def _mlp(source: str, target: str) -> tuple[Rule, ...]:
    """`lin1` and `lin2` as layers.0 and layers.1."""
    return (
        *module(rf"{source}\.lin1", f"{target}.layers.0"),
        *module(rf"{source}\.lin2", f"{target}.layers.1"),
    )


def _common_rules() -> tuple[Rule, ...]:
    """What Meta and the transformers library name alike, or nearly."""
    layer = r"mask_decoder\.transformer\.layers\.(\d+)"
    ours = rf"{_DECODER}.transformer.layers.\1"
    final = r"mask_decoder\.transformer\.final_attn_token_to_image"
    return (
        *module(rf"{layer}\.((?:{_KINDS})\.{_PROJECTION})", rf"{ours}.\2"),
        *module(rf"{layer}\.(?:layer_)?norm([1-4])", rf"{ours}.norm\2"),
        *_mlp(rf"{layer}\.mlp", f"{ours}.mlp"),
        *module(
            rf"{final}\.({_PROJECTION})", rf"{_DECODER}.transformer.final_attn_token_to_image.\1"
        ),
        *module(
            r"mask_decoder\.transformer\.(?:layer_)?norm_final_attn",
            f"{_DECODER}.transformer.norm_final_attn",
        ),
        Rule(r"mask_decoder\.(iou_token|mask_tokens)\.weight", rf"{_DECODER}.\1.weight"),
        Rule(
            r"prompt_encoder\.(not_a_point_embed|no_mask_embed)\.weight",
            r"prompt_encoder.\1.weight",
        ),
    )


def _meta_rules() -> tuple[Rule, ...]:
    """Prompt encoder, mask decoder and neck in Meta's names."""
    dense, up = r"prompt_encoder\.mask_downscaling", r"mask_decoder\.output_upscaling"
    neck = r"image_encoder\.neck"
    return (
        *_common_rules(),
        Rule(r"prompt_encoder\.pe_layer\.positional_encoding_gaussian_matrix", _GAUSSIAN),
        Rule(
            r"prompt_encoder\.point_embeddings\.(\d+)\.weight",
            r"prompt_encoder.point_embeddings.\1.weight",
        ),
        *module(rf"{dense}\.0", f"{_DENSE}.conv1", CONV),
        *module(rf"{dense}\.1", f"{_DENSE}.norm1"),
        *module(rf"{dense}\.3", f"{_DENSE}.conv2", CONV),
        *module(rf"{dense}\.4", f"{_DENSE}.norm2"),
        *module(rf"{dense}\.6", f"{_DENSE}.conv3", CONV),
        *module(rf"{up}\.0", f"{_DECODER}.upscaling.conv1", UPCONV),
        *module(rf"{up}\.1", f"{_DECODER}.upscaling.norm1"),
        *module(rf"{up}\.3", f"{_DECODER}.upscaling.conv2", UPCONV),
        *module(rf"mask_decoder\.((?:{_HEADS})\.layers\.\d+)", rf"{_DECODER}.\1"),
        *module(rf"{neck}\.0", f"{_NECK}.conv1", CONV),
        *module(rf"{neck}\.1", f"{_NECK}.norm1"),
        *module(rf"{neck}\.2", f"{_NECK}.conv2", CONV),
        *module(rf"{neck}\.3", f"{_NECK}.norm2"),
    )


def _meta_vit_rules() -> tuple[Rule, ...]:
    block, ours = r"image_encoder\.blocks\.(\d+)", rf"{_TRUNK}.blocks.\1"
    return (
        *module(r"image_encoder\.patch_embed\.proj", f"{_TRUNK}.patch_embed.proj", CONV),
        Rule(r"image_encoder\.pos_embed", f"{_TRUNK}.pos_embed"),
        *module(rf"{block}\.(norm[12]|attn\.qkv|attn\.proj)", rf"{ours}.\2"),
        Rule(rf"{block}\.attn\.(rel_pos_[hw])", rf"{ours}.attn.\2"),
        *_mlp(rf"{block}\.mlp", f"{ours}.mlp"),
    )


def _tiny_vit_rules() -> tuple[Rule, ...]:
    layer, ours = r"image_encoder\.layers\.(\d+)", rf"{_TRUNK}.layers.\1"
    convolutions = r"(?:blocks\.\d+|downsample)\.conv[123]|blocks\.\d+\.local_conv"
    parts = r"attn\.(?:norm|qkv|proj)|mlp\.(?:norm|fc[12])"
    embed = r"image_encoder\.patch_embed\.seq"
    rules: list[Rule] = []
    for source, target in (
        (rf"{embed}\.0", f"{_TRUNK}.patch_embed.conv1"),
        (rf"{embed}\.2", f"{_TRUNK}.patch_embed.conv2"),
        (rf"{layer}\.({convolutions})", rf"{ours}.\2"),
    ):
        at = re.compile(source).groups + 1
        rules.append(Rule(rf"{source}\.c\.weight", f"{target}.c.weight", CONV))
        rules.append(
            Rule(rf"{source}\.bn\.(weight|bias|running_mean|running_var)", rf"{target}.bn.\{at}")
        )
    return (
        *rules,
        *module(rf"{layer}\.(blocks\.\d+\.(?:{parts}))", rf"{ours}.\2"),
        Rule(
            rf"{layer}\.(blocks\.\d+)\.attn\.attention_biases", rf"{ours}.\2.attn.attention_biases"
        ),
    )


def _transformers_rules() -> tuple[Rule, ...]:
    block, ours = r"vision_encoder\.layers\.(\d+)", rf"{_TRUNK}.blocks.\1"
    neck, dense = r"vision_encoder\.neck", r"prompt_encoder\.mask_embed"
    heads = rf"mask_decoder\.({_HEADS})"
    return (
        *_common_rules(),
        *module(r"vision_encoder\.patch_embed\.projection", f"{_TRUNK}.patch_embed.proj", CONV),
        Rule(r"vision_encoder\.pos_embed", f"{_TRUNK}.pos_embed"),
        *module(rf"{block}\.(attn\.qkv|attn\.proj)", rf"{ours}.\2"),
        *module(rf"{block}\.layer_norm([12])", rf"{ours}.norm\2"),
        Rule(rf"{block}\.attn\.(rel_pos_[hw])", rf"{ours}.attn.\2"),
        *_mlp(rf"{block}\.mlp", f"{ours}.mlp"),
        *module(rf"{neck}\.conv([12])", rf"{_NECK}.conv\1", CONV),
        *module(rf"{neck}\.layer_norm([12])", rf"{_NECK}.norm\1"),
        # One matrix, stored under either name or both.
        Rule(r"prompt_encoder\.shared_embedding\.positional_embedding", _GAUSSIAN),
        Rule(r"shared_image_embedding\.positional_embedding", _GAUSSIAN),
        Rule(
            r"prompt_encoder\.point_embed\.(\d+)\.weight",
            r"prompt_encoder.point_embeddings.\1.weight",
        ),
        *module(rf"{dense}\.conv([123])", rf"{_DENSE}.conv\1", CONV),
        *module(rf"{dense}\.layer_norm([12])", rf"{_DENSE}.norm\1"),
        *module(r"mask_decoder\.upscale_conv([12])", rf"{_DECODER}.upscaling.conv\1", UPCONV),
        *module(r"mask_decoder\.upscale_layer_norm", f"{_DECODER}.upscaling.norm1"),
        *module(rf"{heads}\.proj_in", rf"{_DECODER}.\1.layers.0"),
        *module(rf"{heads}\.layers\.0", rf"{_DECODER}.\1.layers.1"),
        *module(rf"{heads}\.proj_out", rf"{_DECODER}.\1.layers.2"),
    )


FIRST_LAYOUTS = (
    Layout(
        "meta-sam1",
        "image_encoder.patch_embed.proj.weight",
        (*_meta_rules(), *_meta_vit_rules()),
        ignored=("pixel_mean", "pixel_std"),
    ),
    Layout(
        "mobile-sam",
        "image_encoder.patch_embed.seq.0.c.weight",
        (*_meta_rules(), *_tiny_vit_rules()),
        # A classifier's head is left over from pre-training.
        ignored=(
            "pixel_mean",
            "pixel_std",
            r"image_encoder\.(norm_head|head)\..*",
            r".*\.num_batches_tracked",
            r".*\.attn\.(attention_bias_idxs|ab)",
        ),
    ),
    Layout(
        "transformers-sam1",
        "vision_encoder.patch_embed.projection.weight",
        _transformers_rules(),
    ),
)
"""The layouts of the first Segment Anything."""
