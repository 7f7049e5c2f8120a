"""Rule tables for checkpoints of the first Segment Anything and of MobileSAM.

Meta's own key names (`sam_vit_b_01ec64.pth`), the transformers library's (`SamModel`), and
MobileSAM's (`mobile_sam.pt`), which are Meta's but for the image encoder.
"""

from __future__ import annotations

from sam2_mlx.checkpoints.rules import Layout, read_rules

# What Meta and the transformers library name alike, or nearly.
_COMMON = r"""
mask_decoder.transformer.layers.#.<self_attn|cross_attn_token_to_image>.<[qkv]|out>_proj.@ =
mask_decoder.transformer.layers.#.cross_attn_image_to_token.<[qkv]|out>_proj.@ =
mask_decoder.transformer.layers.#.(?:layer_)?norm<[1-4]>.@
    mask_decoder.transformer.layers.*.norm*.*
mask_decoder.transformer.layers.#.mlp.lin1.@ mask_decoder.transformer.layers.*.mlp.layers.0.*
mask_decoder.transformer.layers.#.mlp.lin2.@ mask_decoder.transformer.layers.*.mlp.layers.1.*
mask_decoder.transformer.final_attn_token_to_image.<[qkv]|out>_proj.@ =
mask_decoder.transformer.(?:layer_)?norm_final_attn.@ mask_decoder.transformer.norm_final_attn.*
mask_decoder.<iou_token|mask_tokens>.weight =
prompt_encoder.<not_a_point_embed|no_mask_embed>.weight =
"""

_META = r"""
prompt_encoder.pe_layer.positional_encoding_gaussian_matrix =
prompt_encoder.point_embeddings.#.weight =
prompt_encoder.mask_downscaling.0.@ prompt_encoder.mask_downscaling.conv1.* conv
prompt_encoder.mask_downscaling.1.@ prompt_encoder.mask_downscaling.norm1.*
prompt_encoder.mask_downscaling.3.@ prompt_encoder.mask_downscaling.conv2.* conv
prompt_encoder.mask_downscaling.4.@ prompt_encoder.mask_downscaling.norm2.*
prompt_encoder.mask_downscaling.6.@ prompt_encoder.mask_downscaling.conv3.* conv
mask_decoder.output_upscaling.0.@ mask_decoder.upscaling.conv1.* upconv
mask_decoder.output_upscaling.1.@ mask_decoder.upscaling.norm1.*
mask_decoder.output_upscaling.3.@ mask_decoder.upscaling.conv2.* upconv
mask_decoder.output_hypernetworks_mlps.#.layers.#.@ =
mask_decoder.iou_prediction_head.layers.#.@ =
image_encoder.neck.0.@ image_encoder.neck.conv1.* conv
image_encoder.neck.1.@ image_encoder.neck.norm1.*
image_encoder.neck.2.@ image_encoder.neck.conv2.* conv
image_encoder.neck.3.@ image_encoder.neck.norm2.*
"""

_META_VIT = r"""
image_encoder.patch_embed.proj.@ image_encoder.trunk.patch_embed.proj.* conv
image_encoder.pos_embed image_encoder.trunk.pos_embed
image_encoder.blocks.#.<norm[12]|attn.qkv|attn.proj>.@ image_encoder.trunk.blocks.*.*.*
image_encoder.blocks.#.attn.<rel_pos_[hw]> image_encoder.trunk.blocks.*.attn.*
image_encoder.blocks.#.mlp.lin1.@ image_encoder.trunk.blocks.*.mlp.layers.0.*
image_encoder.blocks.#.mlp.lin2.@ image_encoder.trunk.blocks.*.mlp.layers.1.*
"""

_TINY_VIT = r"""
image_encoder.patch_embed.seq.0.$ image_encoder.trunk.patch_embed.conv1.* conv
image_encoder.patch_embed.seq.2.$ image_encoder.trunk.patch_embed.conv2.* conv
image_encoder.layers.#.blocks.#.<conv[123]|local_conv>.$
    image_encoder.trunk.layers.*.blocks.*.*.* conv
image_encoder.layers.#.downsample.<conv[123]>.$ image_encoder.trunk.layers.*.downsample.*.* conv
image_encoder.layers.#.blocks.#.<attn.norm|attn.qkv|attn.proj|mlp.norm|mlp.fc[12]>.@
    image_encoder.trunk.layers.*.blocks.*.*.*
image_encoder.layers.#.blocks.#.attn.attention_biases
    image_encoder.trunk.layers.*.blocks.*.attn.attention_biases
"""

_TRANSFORMERS = r"""
vision_encoder.patch_embed.projection.@ image_encoder.trunk.patch_embed.proj.* conv
vision_encoder.pos_embed image_encoder.trunk.pos_embed
vision_encoder.layers.#.<attn.qkv|attn.proj>.@ image_encoder.trunk.blocks.*.*.*
vision_encoder.layers.#.layer_norm<[12]>.@ image_encoder.trunk.blocks.*.norm*.*
vision_encoder.layers.#.attn.<rel_pos_[hw]> image_encoder.trunk.blocks.*.attn.*
vision_encoder.layers.#.mlp.lin1.@ image_encoder.trunk.blocks.*.mlp.layers.0.*
vision_encoder.layers.#.mlp.lin2.@ image_encoder.trunk.blocks.*.mlp.layers.1.*
vision_encoder.neck.conv<[12]>.@ image_encoder.neck.conv*.* conv
vision_encoder.neck.layer_norm<[12]>.@ image_encoder.neck.norm*.*
prompt_encoder.shared_embedding.positional_embedding
    prompt_encoder.pe_layer.positional_encoding_gaussian_matrix
shared_image_embedding.positional_embedding
    prompt_encoder.pe_layer.positional_encoding_gaussian_matrix
prompt_encoder.point_embed.#.weight prompt_encoder.point_embeddings.*.weight
prompt_encoder.mask_embed.conv<[123]>.@ prompt_encoder.mask_downscaling.conv*.* conv
prompt_encoder.mask_embed.layer_norm<[12]>.@ prompt_encoder.mask_downscaling.norm*.*
mask_decoder.upscale_conv<[12]>.@ mask_decoder.upscaling.conv*.* upconv
mask_decoder.upscale_layer_norm.@ mask_decoder.upscaling.norm1.*
mask_decoder.<output_hypernetworks_mlps.\d+|iou_prediction_head>.proj_in.@ mask_decoder.*.layers.0.*
mask_decoder.<output_hypernetworks_mlps.\d+|iou_prediction_head>.layers.0.@
    mask_decoder.*.layers.1.*
mask_decoder.<output_hypernetworks_mlps.\d+|iou_prediction_head>.proj_out.@
    mask_decoder.*.layers.2.*
"""

FIRST_LAYOUTS = (
    Layout(
        "meta-sam1",
        "image_encoder.patch_embed.proj.weight",
        read_rules(_COMMON + _META + _META_VIT),
        ignored=("pixel_mean", "pixel_std"),
    ),
    Layout(
        "mobile-sam",
        "image_encoder.patch_embed.seq.0.c.weight",
        read_rules(_COMMON + _META + _TINY_VIT),
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
        read_rules(_COMMON + _TRANSFORMERS),
    ),
)
"""The layouts of the first Segment Anything."""
