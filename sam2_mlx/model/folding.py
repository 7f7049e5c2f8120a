"""Weights folded once after loading: the same function with fewer operations.

Every fold is exact up to rounding and is computed in float32 or better. `SAM2_MLX_FOLD=0` leaves a
model as it was loaded, for finding faults.
"""

from __future__ import annotations

import os

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from sam2_mlx.model.attention import RoPEAttention
from sam2_mlx.model.image_encoder.hiera import MultiScaleAttention
from sam2_mlx.model.layers import Linear, Pointwise
from sam2_mlx.model.memory_encoder import CXBlock
from sam2_mlx.model.sam import Sam
from sam2_mlx.ops.attention import fused_width


def folding_wanted() -> bool:
    """Whether `SAM2_MLX_FOLD` leaves folding on (the default).

    Raises:
        ValueError: if the variable is neither 0 nor 1.
    """
    value = os.environ.get("SAM2_MLX_FOLD", "1")
    if value not in ("0", "1"):
        raise ValueError(f"SAM2_MLX_FOLD is 0 or 1; got {value!r}")
    return value == "1"


def fold(model: Sam, *, widen_heads: bool = True) -> Sam:
    """Fold a loaded model's weights in place and return it; folding twice changes nothing.

    Args:
        model: a model with its weights loaded.
        widen_heads: pad attention heads to a width that is fast here.
    """
    _fold_fine_levels(model)
    for module in model.modules():
        if isinstance(module, CXBlock):
            _fold_layer_scale(module)
        elif isinstance(module, MultiScaleAttention) and widen_heads:
            pad_heads(module, fused_width(module.head_dims))
    if model.memory is not None:
        for layer in model.memory.attention.layers:
            _fold_values(layer.cross_attn_image)
            _fold_score_scale(layer.cross_attn_image)
            _fold_score_scale(layer.self_attn)
            _fuse_projections(layer.self_attn)
    return model


def lay_out(model: nn.Module) -> None:
    """Turn the memory of linear weights, in place: what multiplies by (in, out) needs no copy then.

    Args:
        model: any part of the network, with its weights loaded.
    """
    for layer in model.modules():
        if isinstance(layer, (Linear, Pointwise)):
            layer.weight = mx.contiguous(layer.weight.T).T
            mx.eval(layer.weight)  # one after the other, so that only one is there twice


def _compose(first: nn.Module, second: nn.Module) -> tuple[mx.array, mx.array]:
    """Weight and bias of `second` after `first`, both (out, in) matrices in the end.

    In float64, where the number of a BLAS's threads cannot show: each load gives the same bits.
    """

    def parts(layer: nn.Module) -> tuple[np.ndarray, np.ndarray]:
        weight = np.array(layer.weight.astype(mx.float32), dtype=np.float64)
        bias = np.array(layer.bias.astype(mx.float32), dtype=np.float64)
        return weight.reshape(len(weight), -1), bias

    (w1, b1), (w2, b2) = parts(first), parts(second)
    folded = (w2 @ w1, w2 @ b1 + b2)
    dtype = second.weight.dtype
    weight, bias = (mx.array(value.astype(np.float32)).astype(dtype) for value in folded)
    return weight, bias


def _fold_fine_levels(model: Sam) -> None:
    # The two finest levels get nothing from above, so the neck's and the decoder's 1x1
    # convolutions are one, and the wide map between them is never made.
    if not model.config.decoder.fine_features:
        return
    convs, decoder = model.image_encoder.neck.convs, model.mask_decoder
    for name, lateral in (("conv_s0", convs[3]), ("conv_s1", convs[2])):
        last = decoder[name]
        if not isinstance(last, Pointwise):
            continue
        weight, bias = _compose(lateral.conv, last)
        folded = Pointwise(weight.shape[1], weight.shape[0])
        folded.weight, folded.bias = weight[:, None, None], bias
        lateral.conv = folded
        setattr(decoder, name, nn.Identity())


def _fold_layer_scale(block: CXBlock) -> None:
    if "gamma" not in block:
        return
    scale, layer = block.gamma.astype(mx.float32), block.pwconv2
    dtype = layer.weight.dtype
    layer.weight = (scale[:, None] * layer.weight.astype(mx.float32)).astype(dtype)
    layer.bias = (scale * layer.bias.astype(mx.float32)).astype(dtype)
    del block["gamma"]


def _fold_values(attention: RoPEAttention) -> None:
    if not attention.averages_first or isinstance(attention.v_proj, nn.Identity):
        return
    weight, bias = _compose(attention.v_proj, attention.out_proj)
    folded = Linear(weight.shape[1], weight.shape[0])
    folded.weight, folded.bias = weight, bias
    attention.out_proj, attention.v_proj = folded, nn.Identity()


def _fold_score_scale(attention: RoPEAttention) -> None:
    # Rotating the queries is linear, so they may be scaled before it. 1/16 is exact in any dtype.
    if attention.score_scale == 1:
        return
    layer = attention.q_proj
    for name in ("weight", "bias"):
        scaled = attention.score_scale * layer[name].astype(mx.float32)
        layer[name] = scaled.astype(layer[name].dtype)
    attention.score_scale = 1.0


def _fuse_projections(attention: RoPEAttention) -> None:
    if "qkv_proj" in attention:
        return
    layers = [attention.pop(name) for name in ("q_proj", "k_proj", "v_proj")]
    fused = Linear(1, 1)
    fused.weight = mx.concatenate([layer.weight for layer in layers], axis=0)
    fused.bias = mx.concatenate([layer.bias for layer in layers], axis=0)
    attention.qkv_proj = fused


def pad_heads(attention: MultiScaleAttention, width: int) -> None:
    """Widen attention heads with zeros.

    Args:
        attention: a block of the encoder, left alone if that is done already. `attention.qkv` may
            be quantised, `attention.proj` may not.
        width: channels of a head, at least as many as it has.
    """
    heads, dims = attention.heads, attention.head_dims
    if attention.qkv.bias.shape[0] != 3 * heads * dims or width == dims:
        return
    extra = width - dims
    qkv, proj = attention.qkv, attention.proj
    for name in ("weight", "scales", "biases"):  # the last two where it is quantised
        if name in qkv:
            rows = qkv[name].reshape(3 * heads, dims, -1)
            padded = mx.pad(rows, [(0, 0), (0, extra), (0, 0)])
            qkv[name] = padded.reshape(-1, rows.shape[2])
    bias = qkv.bias.reshape(3 * heads, dims)
    qkv.bias = mx.pad(bias, [(0, 0), (0, extra)]).reshape(-1)
    outputs = proj.weight.shape[0]
    weight = proj.weight.reshape(outputs, heads, dims)
    proj.weight = mx.pad(weight, [(0, 0), (0, 0), (0, extra)]).reshape(outputs, -1)
