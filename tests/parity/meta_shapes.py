"""Meta's parameter names and shapes of a configuration, worked out without torch."""

from __future__ import annotations

from typing import Any

Shapes = dict[str, tuple[int, ...]]


def meta_shapes(config: Any) -> Shapes:
    """Every key of the reference's state dict for a `ModelConfig`, with its shape.

    `make_goldens.py` refuses to write goldens when this list and the reference's own differ.
    """
    shapes: Shapes = {}
    _memory_tables(shapes, config)
    _encoder(shapes, config)
    _prompt_encoder(shapes, config.hidden_dim)
    _decoder(shapes, config)
    _memory_attention(shapes, config)
    _memory_encoder(shapes, config)
    return shapes


def _linear(shapes: Shapes, name: str, inputs: int, outputs: int) -> None:
    shapes[f"{name}.weight"] = (outputs, inputs)
    shapes[f"{name}.bias"] = (outputs,)


def _norm(shapes: Shapes, name: str, dim: int) -> None:
    shapes[f"{name}.weight"] = (dim,)
    shapes[f"{name}.bias"] = (dim,)


def _conv(shapes: Shapes, name: str, weight: tuple[int, ...], bias: int) -> None:
    shapes[f"{name}.weight"] = weight
    shapes[f"{name}.bias"] = (bias,)


def _mlp(shapes: Shapes, name: str, widths: tuple[int, ...]) -> None:
    for index, (inputs, outputs) in enumerate(zip(widths, widths[1:], strict=False)):
        _linear(shapes, f"{name}.layers.{index}", inputs, outputs)


def _attention(shapes: Shapes, name: str, dim: int, inner: int, kv_dim: int | None = None) -> None:
    _linear(shapes, f"{name}.q_proj", dim, inner)
    _linear(shapes, f"{name}.k_proj", kv_dim or dim, inner)
    _linear(shapes, f"{name}.v_proj", kv_dim or dim, inner)
    _linear(shapes, f"{name}.out_proj", inner, dim)


def _memory_tables(shapes: Shapes, config: Any) -> None:
    hidden, memory = config.hidden_dim, config.memory
    shapes["maskmem_tpos_enc"] = (memory.num_frames, 1, 1, memory.dim)
    shapes["no_mem_embed"] = (1, 1, hidden)
    shapes["no_mem_pos_enc"] = (1, 1, hidden)
    shapes["no_obj_ptr"] = (1, hidden)
    if memory.absent_embedding:
        shapes["no_obj_embed_spatial"] = (1, memory.dim)
    _conv(shapes, "mask_downsample", (1, 1, 4, 4), 1)
    _mlp(shapes, "obj_ptr_proj", (hidden,) * 4)
    if memory.pointer_time:
        _linear(shapes, "obj_ptr_tpos_proj", hidden, memory.dim)


def _encoder(shapes: Shapes, config: Any) -> None:
    encoder, trunk = config.encoder, "image_encoder.trunk"
    dim, window = encoder.embed_dim, encoder.window_sizes[0]
    shapes[f"{trunk}.pos_embed"] = (1, dim, *encoder.background_size)
    shapes[f"{trunk}.pos_embed_window"] = (1, dim, window, window)
    _conv(shapes, f"{trunk}.patch_embed.proj", (dim, 3, 7, 7), dim)
    starts = encoder.stage_starts
    for index in range(sum(encoder.stages)):
        block = f"{trunk}.blocks.{index}"
        stage = sum(index >= start for start in starts) - 1
        out = encoder.stage_dims[stage]
        _norm(shapes, f"{block}.norm1", dim)
        _linear(shapes, f"{block}.attn.qkv", dim, 3 * out)
        _linear(shapes, f"{block}.attn.proj", out, out)
        _norm(shapes, f"{block}.norm2", out)
        _mlp(shapes, f"{block}.mlp", (out, 4 * out, out))
        if dim != out:
            _linear(shapes, f"{block}.proj", dim, out)
        dim = out
    for index, width in enumerate(reversed(encoder.stage_dims)):
        weight = (config.hidden_dim, width, 1, 1)
        _conv(shapes, f"image_encoder.neck.convs.{index}.conv", weight, config.hidden_dim)


def _prompt_encoder(shapes: Shapes, hidden: int) -> None:
    name = "sam_prompt_encoder"
    shapes[f"{name}.pe_layer.positional_encoding_gaussian_matrix"] = (2, hidden // 2)
    for index in range(4):
        shapes[f"{name}.point_embeddings.{index}.weight"] = (1, hidden)
    shapes[f"{name}.not_a_point_embed.weight"] = (1, hidden)
    shapes[f"{name}.no_mask_embed.weight"] = (1, hidden)
    _conv(shapes, f"{name}.mask_downscaling.0", (4, 1, 2, 2), 4)
    _norm(shapes, f"{name}.mask_downscaling.1", 4)
    _conv(shapes, f"{name}.mask_downscaling.3", (16, 4, 2, 2), 16)
    _norm(shapes, f"{name}.mask_downscaling.4", 16)
    _conv(shapes, f"{name}.mask_downscaling.6", (hidden, 16, 1, 1), hidden)


def _decoder(shapes: Shapes, config: Any) -> None:
    name, hidden, decoder = "sam_mask_decoder", config.hidden_dim, config.decoder
    masks = decoder.num_multimasks + 1
    for index in range(decoder.num_layers):
        layer = f"{name}.transformer.layers.{index}"
        _attention(shapes, f"{layer}.self_attn", hidden, hidden)
        _attention(shapes, f"{layer}.cross_attn_token_to_image", hidden, hidden // 2)
        _attention(shapes, f"{layer}.cross_attn_image_to_token", hidden, hidden // 2)
        _mlp(shapes, f"{layer}.mlp", (hidden, decoder.mlp_dim, hidden))
        for norm in range(1, 5):
            _norm(shapes, f"{layer}.norm{norm}", hidden)
    _attention(shapes, f"{name}.transformer.final_attn_token_to_image", hidden, hidden // 2)
    _norm(shapes, f"{name}.transformer.norm_final_attn", hidden)
    shapes[f"{name}.iou_token.weight"] = (1, hidden)
    shapes[f"{name}.mask_tokens.weight"] = (masks, hidden)
    shapes[f"{name}.obj_score_token.weight"] = (1, hidden)
    _conv(shapes, f"{name}.output_upscaling.0", (hidden, hidden // 4, 2, 2), hidden // 4)
    _norm(shapes, f"{name}.output_upscaling.1", hidden // 4)
    _conv(shapes, f"{name}.output_upscaling.3", (hidden // 4, hidden // 8, 2, 2), hidden // 8)
    _conv(shapes, f"{name}.conv_s0", (hidden // 8, hidden, 1, 1), hidden // 8)
    _conv(shapes, f"{name}.conv_s1", (hidden // 4, hidden, 1, 1), hidden // 4)
    for index in range(masks):
        head = f"{name}.output_hypernetworks_mlps.{index}"
        _mlp(shapes, head, (hidden, hidden, hidden, hidden // 8))
    width = decoder.iou_hidden_dim
    _mlp(shapes, f"{name}.iou_prediction_head", (hidden, width, width, masks))
    _mlp(shapes, f"{name}.pred_obj_score_head", (hidden, hidden, hidden, 1))


def _memory_attention(shapes: Shapes, config: Any) -> None:
    hidden, memory = config.hidden_dim, config.memory
    for index in range(memory.num_layers):
        layer = f"memory_attention.layers.{index}"
        _attention(shapes, f"{layer}.self_attn", hidden, hidden)
        _attention(shapes, f"{layer}.cross_attn_image", hidden, hidden, memory.dim)
        _linear(shapes, f"{layer}.linear1", hidden, memory.feedforward_dim)
        _linear(shapes, f"{layer}.linear2", memory.feedforward_dim, hidden)
        for norm in range(1, 4):
            _norm(shapes, f"{layer}.norm{norm}", hidden)
    _norm(shapes, "memory_attention.norm", hidden)


def _memory_encoder(shapes: Shapes, config: Any) -> None:
    hidden, memory, name = config.hidden_dim, config.memory, "memory_encoder"
    channels = 1
    for index in range(4):
        encoder = f"{name}.mask_downsampler.encoder"
        _conv(shapes, f"{encoder}.{3 * index}", (channels * 4, channels, 3, 3), channels * 4)
        channels *= 4
        _norm(shapes, f"{encoder}.{3 * index + 1}", channels)
    _conv(shapes, f"{name}.mask_downsampler.encoder.12", (hidden, channels, 1, 1), hidden)
    _conv(shapes, f"{name}.pix_feat_proj", (hidden, hidden, 1, 1), hidden)
    for index in range(memory.fuser_layers):
        layer = f"{name}.fuser.layers.{index}"
        shapes[f"{layer}.gamma"] = (hidden,)
        _conv(shapes, f"{layer}.dwconv", (hidden, 1, 7, 7), hidden)
        _norm(shapes, f"{layer}.norm", hidden)
        _linear(shapes, f"{layer}.pwconv1", hidden, 4 * hidden)
        _linear(shapes, f"{layer}.pwconv2", 4 * hidden, hidden)
    _conv(shapes, f"{name}.out_proj", (memory.dim, hidden, 1, 1), memory.dim)
