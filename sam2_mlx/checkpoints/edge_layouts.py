"""Rules for what EdgeTAM has that SAM 2 has not: RepViT and the perceiver.

Convolutions get our names with their batch norms and branches still beside them; see `merge`.
"""

from __future__ import annotations

# RepViT, as timm names it.
_TRUNK = r"""
TRUNK.stem.<conv[12]>.$ image_encoder.trunk.stem.*.* conv
TRUNK.stages_#.blocks.#.<token_mixer.conv1?|channel_mixer.conv[12]>.$
    image_encoder.trunk.stages.*.blocks.*.*.* conv
TRUNK.stages_#.blocks.#.se.<fc[12]>.@ image_encoder.trunk.stages.*.blocks.*.se.*.* conv
TRUNK.stages_#.downsample.pre_block.<token_mixer.conv1?|channel_mixer.conv[12]>.$
    image_encoder.trunk.stages.*.downsample.pre_block.*.* conv
TRUNK.stages_#.downsample.<ffn.conv[12]|spatial_downsample|channel_downsample>.$
    image_encoder.trunk.stages.*.downsample.*.* conv
"""

_META = r"""
spatial_perceiver.<latents|latents_2d> memory.perceiver.*
spatial_perceiver.layers.#.<self_attn|attn>.<to_q|to_kv|to_out>.weight
    memory.perceiver.layers.*.*.*.weight
spatial_perceiver.layers.#.attn.<norm_latents|norm_x>.@ memory.perceiver.layers.*.attn.*.*
spatial_perceiver.layers.#.self_attn.norm.@ memory.perceiver.layers.*.self_attn.norm.*
spatial_perceiver.layers.#.<ff|self_ff>.0.@ memory.perceiver.layers.*.*.norm.*
spatial_perceiver.layers.#.<ff|self_ff>.1.weight memory.perceiver.layers.*.*.linear1.weight
spatial_perceiver.layers.#.<ff|self_ff>.3.weight memory.perceiver.layers.*.*.linear2.weight
spatial_perceiver.norm.@ memory.perceiver.norm.*
"""

_TRANSFORMERS = r"""
spatial_perceiver.layers.#.cross_attention.<[qkv]>_proj.weight
    memory.perceiver.layers.*.attn.to_*.weight
spatial_perceiver.layers.#.cross_attention.o_proj.weight
    memory.perceiver.layers.*.attn.to_out.weight
spatial_perceiver.layers.#.self_attention.<[qkv]>_proj.weight
    memory.perceiver.layers.*.self_attn.to_*.weight
spatial_perceiver.layers.#.self_attention.o_proj.weight
    memory.perceiver.layers.*.self_attn.to_out.weight
spatial_perceiver.layers.#.mlp.layer_norm.@ memory.perceiver.layers.*.ff.norm.*
spatial_perceiver.layers.#.mlp.up_proj.weight memory.perceiver.layers.*.ff.linear1.weight
spatial_perceiver.layers.#.mlp.down_proj.weight memory.perceiver.layers.*.ff.linear2.weight
spatial_perceiver.layers.#.self_mlp.layer_norm.@ memory.perceiver.layers.*.self_ff.norm.*
spatial_perceiver.layers.#.self_mlp.up_proj.weight memory.perceiver.layers.*.self_ff.linear1.weight
spatial_perceiver.layers.#.self_mlp.down_proj.weight
    memory.perceiver.layers.*.self_ff.linear2.weight
spatial_perceiver.latents_1d memory.perceiver.latents
spatial_perceiver.latents_2d memory.perceiver.latents_2d
spatial_perceiver.layers.#.layer_norm_latents.@ memory.perceiver.layers.*.attn.norm_latents.*
spatial_perceiver.layers.#.layer_norm_input.@ memory.perceiver.layers.*.attn.norm_x.*
spatial_perceiver.layers.#.layer_norm_self.@ memory.perceiver.layers.*.self_attn.norm.*
spatial_perceiver.layer_norm.@ memory.perceiver.norm.*
memory_attention.layers.#.mlp.up_proj.@ memory.attention.layers.*.linear1.*
memory_attention.layers.#.mlp.down_proj.@ memory.attention.layers.*.linear2.*
"""

EDGE = _TRUNK.replace("TRUNK", "image_encoder.trunk.body") + _META
"""Meta's names."""

TRANSFORMERS_EDGE = _TRUNK.replace("TRUNK", "vision_encoder.backbone.timm_model") + _TRANSFORMERS
"""The transformers library's names."""
