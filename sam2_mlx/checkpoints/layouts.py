"""Rule tables: how each family of checkpoints names its tensors, and our name for each.

Three layouts are known: Meta's own key names (`.pt` or safetensors), the transformers library's
(`Sam2Model`, `Sam2VideoModel`), and ours. `rules.read_rules` says how a table is written;
convolution weights become channels last, once, here.
"""

from __future__ import annotations

from dataclasses import replace

from sam2_mlx.checkpoints.edge_layouts import EDGE, TRANSFORMERS_EDGE
from sam2_mlx.checkpoints.rules import Layout, Rule, read_rules

_META = r"""
image_encoder.trunk.patch_embed.proj.@ = conv
image_encoder.trunk.<pos_embed|pos_embed_window> = conv
image_encoder.trunk.blocks.#.<norm[12]|attn.qkv|attn.proj|mlp.layers.[01]|proj>.@ =
image_encoder.neck.convs.#.conv.@ = conv
sam_prompt_encoder.<pe_layer.positional_encoding_gaussian_matrix> prompt_encoder.*
sam_prompt_encoder.point_embeddings.#.weight prompt_encoder.point_embeddings.*.weight
sam_prompt_encoder.<not_a_point_embed|no_mask_embed>.weight prompt_encoder.*.weight
sam_prompt_encoder.mask_downscaling.0.@ prompt_encoder.mask_downscaling.conv1.* conv
sam_prompt_encoder.mask_downscaling.1.@ prompt_encoder.mask_downscaling.norm1.*
sam_prompt_encoder.mask_downscaling.3.@ prompt_encoder.mask_downscaling.conv2.* conv
sam_prompt_encoder.mask_downscaling.4.@ prompt_encoder.mask_downscaling.norm2.*
sam_prompt_encoder.mask_downscaling.6.@ prompt_encoder.mask_downscaling.conv3.* conv
sam_mask_decoder.transformer.layers.#.<norm[1-4]|mlp.layers.[01]>.@
    mask_decoder.transformer.layers.*.*.*
sam_mask_decoder.transformer.layers.#.<self_attn|cross_attn_token_to_image>.<[qkv]|out>_proj.@
    mask_decoder.transformer.layers.*.*.*_proj.*
sam_mask_decoder.transformer.layers.#.cross_attn_image_to_token.<[qkv]|out>_proj.@
    mask_decoder.transformer.layers.*.cross_attn_image_to_token.*_proj.*
sam_mask_decoder.transformer.final_attn_token_to_image.<[qkv]|out>_proj.@
    mask_decoder.transformer.final_attn_token_to_image.*_proj.*
sam_mask_decoder.transformer.norm_final_attn.@ mask_decoder.transformer.norm_final_attn.*
sam_mask_decoder.<iou_token|mask_tokens|obj_score_token>.weight mask_decoder.*.weight
sam_mask_decoder.output_upscaling.0.@ mask_decoder.upscaling.conv1.* upconv
sam_mask_decoder.output_upscaling.1.@ mask_decoder.upscaling.norm1.*
sam_mask_decoder.output_upscaling.3.@ mask_decoder.upscaling.conv2.* upconv
sam_mask_decoder.<conv_s[01]>.@ mask_decoder.*.* conv
sam_mask_decoder.output_hypernetworks_mlps.#.layers.#.@
    mask_decoder.output_hypernetworks_mlps.*.layers.*.*
sam_mask_decoder.<iou_prediction_head|pred_obj_score_head>.layers.#.@ mask_decoder.*.layers.*.*
memory_attention.layers.#.<self_attn|cross_attn_image>.<[qkv]|out>_proj.@
    memory.attention.layers.*.*.*_proj.*
memory_attention.layers.#.<linear[12]|norm[1-3]>.@ memory.attention.layers.*.*.*
memory_attention.norm.@ memory.attention.norm.*
memory_encoder.mask_downsampler.encoder.0.@ memory.encoder.mask_downsampler.conv1.* conv
memory_encoder.mask_downsampler.encoder.1.@ memory.encoder.mask_downsampler.norm1.*
memory_encoder.mask_downsampler.encoder.3.@ memory.encoder.mask_downsampler.conv2.* conv
memory_encoder.mask_downsampler.encoder.4.@ memory.encoder.mask_downsampler.norm2.*
memory_encoder.mask_downsampler.encoder.6.@ memory.encoder.mask_downsampler.conv3.* conv
memory_encoder.mask_downsampler.encoder.7.@ memory.encoder.mask_downsampler.norm3.*
memory_encoder.mask_downsampler.encoder.9.@ memory.encoder.mask_downsampler.conv4.* conv
memory_encoder.mask_downsampler.encoder.10.@ memory.encoder.mask_downsampler.norm4.*
memory_encoder.mask_downsampler.encoder.12.@ memory.encoder.mask_downsampler.conv5.* conv
memory_encoder.<pix_feat_proj|out_proj>.@ memory.encoder.*.* conv
memory_encoder.fuser.layers.#.gamma memory.encoder.fuser.layers.*.gamma
memory_encoder.fuser.layers.#.dwconv.@ memory.encoder.fuser.layers.*.dwconv.* conv
memory_encoder.fuser.layers.#.<norm|pwconv[12]>.@ memory.encoder.fuser.layers.*.*.*
mask_downsample.@ memory.mask_downsample.* conv
obj_ptr_proj.layers.#.@ memory.pointer_projection.layers.*.*
obj_ptr_tpos_proj.@ memory.pointer_time_projection.*
maskmem_tpos_enc memory.time_embedding drop12
no_mem_embed memory.no_memory_embedding drop01
no_obj_ptr memory.absent_pointer drop0
no_obj_embed_spatial memory.absent_embedding drop0
"""

_TRANSFORMERS = r"""
vision_encoder.backbone.patch_embed.projection.@ image_encoder.trunk.patch_embed.proj.* conv
vision_encoder.backbone.<pos_embed|pos_embed_window> image_encoder.trunk.* conv
vision_encoder.backbone.blocks.#.<attn.qkv|attn.proj|proj>.@ image_encoder.trunk.blocks.*.*.*
vision_encoder.backbone.blocks.#.layer_norm<[12]>.@ image_encoder.trunk.blocks.*.norm*.*
vision_encoder.backbone.blocks.#.mlp.proj_in.@ image_encoder.trunk.blocks.*.mlp.layers.0.*
vision_encoder.backbone.blocks.#.mlp.proj_out.@ image_encoder.trunk.blocks.*.mlp.layers.1.*
vision_encoder.neck.convs.#.@ image_encoder.neck.convs.*.conv.* conv
prompt_encoder.shared_embedding.positional_embedding
    prompt_encoder.pe_layer.positional_encoding_gaussian_matrix
shared_image_embedding.positional_embedding
    prompt_encoder.pe_layer.positional_encoding_gaussian_matrix
prompt_encoder.point_embed.weight prompt_encoder.point_embeddings.{row}.weight rows
prompt_encoder.<not_a_point_embed|no_mask_embed>.weight =
prompt_encoder.mask_embed.<conv[123]>.@ prompt_encoder.mask_downscaling.*.* conv
prompt_encoder.mask_embed.layer_norm<[12]>.@ prompt_encoder.mask_downscaling.norm*.*
mask_decoder.transformer.layers.#.<self_attn|cross_attn_token_to_image>.<[qkv]_proj>.@ =
mask_decoder.transformer.layers.#.cross_attn_image_to_token.<[qkv]_proj>.@ =
mask_decoder.transformer.layers.#.<self_attn|cross_attn_token_to_image>.o_proj.@
    mask_decoder.transformer.layers.*.*.out_proj.*
mask_decoder.transformer.layers.#.cross_attn_image_to_token.o_proj.@
    mask_decoder.transformer.layers.*.cross_attn_image_to_token.out_proj.*
mask_decoder.transformer.layers.#.layer_norm<[1-4]>.@ mask_decoder.transformer.layers.*.norm*.*
mask_decoder.transformer.layers.#.mlp.proj_in.@ mask_decoder.transformer.layers.*.mlp.layers.0.*
mask_decoder.transformer.layers.#.mlp.proj_out.@ mask_decoder.transformer.layers.*.mlp.layers.1.*
mask_decoder.transformer.final_attn_token_to_image.<[qkv]_proj>.@ =
mask_decoder.transformer.final_attn_token_to_image.o_proj.@
    mask_decoder.transformer.final_attn_token_to_image.out_proj.*
mask_decoder.transformer.layer_norm_final_attn.@ mask_decoder.transformer.norm_final_attn.*
mask_decoder.<iou_token|mask_tokens|obj_score_token>.weight =
mask_decoder.upscale_<conv[12]>.@ mask_decoder.upscaling.*.* upconv
mask_decoder.upscale_layer_norm.@ mask_decoder.upscaling.norm1.*
mask_decoder.<conv_s[01]>.@ = conv
mask_decoder.<output_hypernetworks_mlps.\d+|iou_prediction_head|pred_obj_score_head>.proj_in.@
    mask_decoder.*.layers.0.*
mask_decoder.<output_hypernetworks_mlps.\d+|iou_prediction_head|pred_obj_score_head>.layers.0.@
    mask_decoder.*.layers.1.*
mask_decoder.<output_hypernetworks_mlps.\d+|iou_prediction_head|pred_obj_score_head>.proj_out.@
    mask_decoder.*.layers.2.*
memory_attention.layers.#.<self_attn|cross_attn_image>.<[qkv]_proj>.@
    memory.attention.layers.*.*.*.*
memory_attention.layers.#.<self_attn|cross_attn_image>.o_proj.@
    memory.attention.layers.*.*.out_proj.*
memory_attention.layers.#.<linear[12]>.@ memory.attention.layers.*.*.*
memory_attention.layers.#.layer_norm<[1-3]>.@ memory.attention.layers.*.norm*.*
memory_attention.layer_norm.@ memory.attention.norm.*
memory_encoder.mask_downsampler.layers.0.conv.@ memory.encoder.mask_downsampler.conv1.* conv
memory_encoder.mask_downsampler.layers.0.layer_norm.@ memory.encoder.mask_downsampler.norm1.*
memory_encoder.mask_downsampler.layers.1.conv.@ memory.encoder.mask_downsampler.conv2.* conv
memory_encoder.mask_downsampler.layers.1.layer_norm.@ memory.encoder.mask_downsampler.norm2.*
memory_encoder.mask_downsampler.layers.2.conv.@ memory.encoder.mask_downsampler.conv3.* conv
memory_encoder.mask_downsampler.layers.2.layer_norm.@ memory.encoder.mask_downsampler.norm3.*
memory_encoder.mask_downsampler.layers.3.conv.@ memory.encoder.mask_downsampler.conv4.* conv
memory_encoder.mask_downsampler.layers.3.layer_norm.@ memory.encoder.mask_downsampler.norm4.*
memory_encoder.mask_downsampler.final_conv.@ memory.encoder.mask_downsampler.conv5.* conv
memory_encoder.feature_projection.@ memory.encoder.pix_feat_proj.* conv
memory_encoder.projection.@ memory.encoder.out_proj.* conv
memory_encoder.memory_fuser.layers.#.scale memory.encoder.fuser.layers.*.gamma
memory_encoder.memory_fuser.layers.#.depthwise_conv.@ memory.encoder.fuser.layers.*.dwconv.* conv
memory_encoder.memory_fuser.layers.#.layer_norm.@ memory.encoder.fuser.layers.*.norm.*
memory_encoder.memory_fuser.layers.#.pointwise_conv<[12]>.@ memory.encoder.fuser.layers.*.pwconv*.*
mask_downsample.@ memory.mask_downsample.* conv
object_pointer_proj.proj_in.@ memory.pointer_projection.layers.0.*
object_pointer_proj.layers.0.@ memory.pointer_projection.layers.1.*
object_pointer_proj.proj_out.@ memory.pointer_projection.layers.2.*
temporal_positional_encoding_projection_layer.@ memory.pointer_time_projection.*
memory_temporal_positional_encoding memory.time_embedding drop12
no_memory_embedding memory.no_memory_embedding drop01
no_object_pointer memory.absent_pointer drop0
occlusion_spatial_embedding_parameter memory.absent_embedding drop0
"""

_COUNTERS = r".*\.num_batches_tracked"
META = Layout(
    "meta",
    "sam_prompt_encoder.not_a_point_embed.weight",
    read_rules(_META) + read_rules(EDGE),
    ignored=("no_mem_pos_enc", _COUNTERS),
)
TRANSFORMERS = Layout(
    "transformers",
    "vision_encoder.backbone.patch_embed.projection.weight",
    read_rules(_TRANSFORMERS) + read_rules(TRANSFORMERS_EDGE),
    ignored=("no_memory_positional_encoding", _COUNTERS),
)
_TRANSFORMERS_WITH_REPVIT = replace(
    TRANSFORMERS, sign="vision_encoder.backbone.timm_model.stem.conv1.c.weight"
)
OURS = Layout("sam2_mlx", "prompt_encoder.mask_downscaling.conv1.weight", (Rule("(.*)", r"\1"),))
LAYOUTS = (META, TRANSFORMERS, _TRANSFORMERS_WITH_REPVIT, OURS)
