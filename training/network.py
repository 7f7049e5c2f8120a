"""The torch reference's network at our dimensions: what the recipe trains.

Only this module and those that import it need torch and the reference's package `sam2`
(`pip install -e '.[training]'`); their own building code is not used, so Hydra's files are not
read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from sam2_mlx.config import HieraConfig, MemoryConfig, ModelConfig

# A torchvision whose compiled operators do not fit this torch still imports when these two are
# defined; SAM 2 needs neither.
_library = torch.library.Library("torchvision", "FRAGMENT")
for _operator in (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
):
    try:
        _library.define(_operator)
    except RuntimeError:
        pass  # this torchvision has them

# isort: split
from sam2.modeling.backbones.hieradet import Hiera  # noqa: E402
from sam2.modeling.backbones.image_encoder import FpnNeck, ImageEncoder  # noqa: E402
from sam2.modeling.memory_attention import MemoryAttention, MemoryAttentionLayer  # noqa: E402
from sam2.modeling.memory_encoder import (  # noqa: E402
    CXBlock,
    Fuser,
    MaskDownSampler,
    MemoryEncoder,
)
from sam2.modeling.position_encoding import PositionEmbeddingSine  # noqa: E402
from sam2.modeling.sam.transformer import RoPEAttention  # noqa: E402
from sam2.modeling.sam2_base import SAM2Base  # noqa: E402


def build_network(config: ModelConfig) -> Any:
    """Build the network with random weights.

    Args:
        config: dimensions; a SAM 2.1 with a memory. Its image size is that of the training.

    Returns:
        The reference's SAM2Base in training mode, without dropout.
    """
    encoder, memory = config.encoder, config.memory
    if not isinstance(encoder, HieraConfig) or memory is None:
        raise ValueError(f"training needs Hiera and a memory; {config.name} is another model")
    network = SAM2Base(
        image_encoder=_image_encoder(config, encoder),
        memory_attention=_memory_attention(config, memory),
        memory_encoder=_memory_encoder(config, memory),
        num_maskmem=memory.num_frames,
        image_size=config.image_size,
        sigmoid_scale_for_mem_enc=20.0,
        sigmoid_bias_for_mem_enc=-10.0,
        use_mask_input_as_output_without_sam=True,
        directly_add_no_mem_embed=True,
        no_obj_embed_spatial=True,
        use_high_res_features_in_sam=True,
        multimask_output_in_sam=True,
        iou_prediction_use_sigmoid=True,
        use_obj_ptrs_in_encoder=True,
        max_obj_ptrs_in_encoder=memory.max_pointers,
        add_tpos_enc_to_obj_ptrs=True,
        proj_tpos_enc_in_obj_ptrs=True,
        use_signed_tpos_enc_to_obj_ptrs=True,
        only_obj_ptrs_in_the_past_for_eval=True,
        pred_obj_scores=True,
        pred_obj_scores_mlp=True,
        fixed_no_obj_ptr=True,
        multimask_output_for_tracking=True,
        use_multimask_token_for_obj_ptr=True,
        multimask_min_pt_num=0,
        multimask_max_pt_num=1,
        use_mlp_for_obj_ptr_proj=True,
    )
    for module in network.modules():
        # A short run needs no dropout, and on a CPU it forces a slow attention.
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        for name in ("dropout_p", "dropout_value"):
            if hasattr(module, name):
                setattr(module, name, 0.0)
    return network.train()


def start_from_nothing(network: Any) -> None:
    """Random weights from which the network learns without a pretrained encoder.

    Args:
        network: what `build_network` gave.
    """
    for name, value in network.named_parameters():
        if name.endswith(("pos_embed", "pos_embed_window")):
            torch.nn.init.trunc_normal_(value, std=0.02)
    # A score below zero blanks the masks, and with them their gradients.
    torch.nn.init.constant_(network.sam_mask_decoder.pred_obj_score_head.layers[-1].bias, 2.0)


@torch.no_grad()
def start_memory(network: Any, pixels: torch.Tensor) -> None:
    """Start the memory path where the decoder already is: at the statistics of plain features.

    Args:
        network: one that has learned single images.
        pixels: normalised images (B, 3, S, S).
    """
    features = network.forward_image(pixels)["backbone_fpn"][-1]
    features = features + network.no_mem_embed.view(1, -1, 1, 1)
    norm = network.memory_attention.norm
    norm.weight.copy_(features.std((0, 2, 3)))
    norm.bias.copy_(features.mean((0, 2, 3)))


def load_weights(network: Any, path: Path) -> None:
    """Take weights from an official checkpoint file or from a training state.

    Args:
        network: gets them.
        path: a `.pt` with `{"model": ...}`.
    """
    stored = torch.load(path, map_location="cpu", weights_only=True)
    network.load_state_dict(stored["model"])


def _image_encoder(config: ModelConfig, encoder: HieraConfig) -> ImageEncoder:
    return ImageEncoder(
        scalp=1,
        trunk=Hiera(
            embed_dim=encoder.embed_dim,
            num_heads=encoder.num_heads,
            stages=encoder.stages,
            global_att_blocks=encoder.global_blocks,
            window_spec=encoder.window_sizes,
            window_pos_embed_bkg_spatial_size=encoder.background_size,
        ),
        neck=FpnNeck(
            position_encoding=_positions(config.hidden_dim),
            d_model=config.hidden_dim,
            backbone_channel_list=list(reversed(encoder.stage_dims)),
            fpn_top_down_levels=[2, 3],
            fpn_interp_model="nearest",
        ),
    )


def _memory_attention(config: ModelConfig, memory: MemoryConfig) -> MemoryAttention:
    shared = {
        "rope_theta": memory.rope_theta,
        "feat_sizes": (config.grid, config.grid),
        "embedding_dim": config.hidden_dim,
        "num_heads": memory.num_heads,
        "downsample_rate": 1,
        "dropout": 0.0,
    }
    layer = MemoryAttentionLayer(
        activation="relu",
        d_model=config.hidden_dim,
        dim_feedforward=memory.feedforward_dim,
        dropout=0.0,
        pos_enc_at_attn=False,
        pos_enc_at_cross_attn_keys=True,
        pos_enc_at_cross_attn_queries=False,
        self_attention=RoPEAttention(**shared),
        cross_attention=RoPEAttention(**shared, rope_k_repeat=True, kv_in_dim=memory.dim),
    )
    return MemoryAttention(
        d_model=config.hidden_dim,
        pos_enc_at_input=True,
        layer=layer,
        num_layers=memory.num_layers,
    )


def _memory_encoder(config: ModelConfig, memory: MemoryConfig) -> MemoryEncoder:
    block = CXBlock(
        dim=config.hidden_dim, kernel_size=7, padding=3, layer_scale_init_value=0.1, use_dwconv=True
    )
    return MemoryEncoder(
        in_dim=config.hidden_dim,
        out_dim=memory.dim,
        position_encoding=_positions(memory.dim),
        mask_downsampler=MaskDownSampler(
            embed_dim=config.hidden_dim, kernel_size=3, stride=2, padding=1
        ),
        fuser=Fuser(block, num_layers=memory.fuser_layers),
    )


def _positions(width: int) -> PositionEmbeddingSine:
    return PositionEmbeddingSine(num_pos_feats=width, normalize=True, scale=None, temperature=10000)
