"""Every stage of the torch reference on seeded inputs. Results are NumPy, channels last."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from tests.parity.stage_inputs import (
    MEMORY_CASES,
    MemoryCase,
    StageInputs,
    memory_pointer,
    memory_tokens,
)


def _numpy(value: torch.Tensor) -> np.ndarray:
    return value.detach().float().numpy()


def _last(value: torch.Tensor) -> np.ndarray:
    """(B, C, h, w) torch to (B, h, w, C) NumPy."""
    return _numpy(value.permute(0, 2, 3, 1))


def _first(value: np.ndarray) -> torch.Tensor:
    """(B, h, w, C) NumPy to (B, C, h, w) torch."""
    return torch.from_numpy(np.ascontiguousarray(value)).permute(0, 3, 1, 2).contiguous()


@contextmanager
def _tapped(taps: dict[str, tuple[Any, Callable[[Any, Any], Any]]], found: dict[str, Any]) -> Any:
    """Keep what chosen modules see: `name: (module, function of inputs and output)`."""

    def keeper(name: str, pick: Callable[[Any, Any], Any]) -> Any:
        def hook(_: Any, args: Any, kwargs: Any, output: Any) -> None:
            found[name] = pick(kwargs or args, output)

        return hook

    handles = [
        module.register_forward_hook(keeper(name, pick), with_kwargs=True)
        for name, (module, pick) in taps.items()
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


@torch.inference_mode()
def stages(model: Any, inputs: StageInputs) -> dict[str, np.ndarray]:
    """Every stage of the network on seeded inputs, in order of computation.

    Args:
        model: what `build` returned.
        inputs: see `stage_inputs`.

    Returns:
        Name -> values; maps are (B, h, w, C), masks (B, M, h, w), tokens (B, N, C).
    """
    found: dict[str, Any] = {}
    features, positions, sizes = _encoder_stages(model, inputs, found)
    _prompt_stages(model, inputs, found)
    _decoder_stages(model, inputs, features, sizes, found)
    _memory_stages(model, inputs, features, sizes, found)
    for name, case in MEMORY_CASES.items():
        attended = _attention_stages(model, name, case, (features, positions, sizes), found)
        if name == "seven":
            _tracked_stages(model, attended, (features, sizes), found)
    return found


def _encoder_stages(model: Any, inputs: StageInputs, found: dict[str, Any]) -> Any:
    trunk = model.image_encoder.trunk
    taps = {
        "patches": (trunk.patch_embed, lambda _, out: _numpy(out)),
        "patches_positioned": (trunk.blocks[0], lambda args, _: _numpy(args[0])),
    }
    for index, end in enumerate(trunk.stage_ends):
        taps[f"stage{index + 1}"] = (trunk.blocks[end], lambda _, out: _numpy(out))
    with _tapped(taps, found):
        encoded = model.image_encoder(_first(inputs.pixels))
    for index, level in enumerate(encoded["backbone_fpn"]):
        found[f"fpn{index}"] = _last(level)
    found["image_position"] = _last(encoded["vision_pos_enc"][-1])
    output = model.forward_image(_first(inputs.pixels))
    found["fine0"] = _last(output["backbone_fpn"][0])
    found["fine1"] = _last(output["backbone_fpn"][1])
    _, features, positions, sizes = model._prepare_backbone_features(output)
    return features, positions, sizes


def _prompt_stages(model: Any, inputs: StageInputs, found: dict[str, Any]) -> None:
    encoder = model.sam_prompt_encoder
    clicks = (torch.from_numpy(inputs.points), torch.from_numpy(inputs.labels))
    corners = torch.from_numpy(inputs.box).reshape(1, 2, 2)
    boxed = (torch.cat([corners, clicks[0]], 1), torch.tensor([[2, 3, 1, 1, 0]]))
    sparse, dense = encoder(points=clicks, boxes=None, masks=None)
    found["sparse_clicks"], found["dense_empty"] = _numpy(sparse), _last(dense)
    found["sparse_boxed"] = _numpy(encoder(points=boxed, boxes=None, masks=None)[0])
    nothing = (torch.zeros(1, 1, 2), -torch.ones(1, 1, dtype=torch.int32))
    mask = torch.from_numpy(inputs.mask_logits)
    sparse, dense = encoder(points=nothing, boxes=None, masks=mask)
    found["sparse_nothing"], found["dense_mask"] = _numpy(sparse), _last(dense)
    found["dense_position"] = _last(encoder.get_dense_pe())


def _high_resolution(features: Any, sizes: Any) -> list[torch.Tensor]:
    return [
        feature.permute(1, 2, 0).reshape(1, -1, *size)
        for feature, size in zip(features[:-1], sizes[:-1], strict=True)
    ]


def _coarse(feature: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    return feature.permute(1, 2, 0).reshape(1, -1, *size)


def _decoder_stages(model: Any, inputs: StageInputs, features: Any, sizes: Any, found: Any) -> None:
    decoder = model.sam_mask_decoder
    clicks = (torch.from_numpy(inputs.points), torch.from_numpy(inputs.labels))
    sparse, dense = model.sam_prompt_encoder(points=clicks, boxes=None, masks=None)
    coarse = _coarse(features[-1] + model.no_mem_embed, sizes[-1])
    found["embedding"] = _last(coarse)
    kwargs = {
        "image_embeddings": coarse,
        "image_pe": model.sam_prompt_encoder.get_dense_pe(),
        "sparse_prompt_embeddings": sparse,
        "dense_prompt_embeddings": dense,
        "repeat_image": False,
        "high_res_features": _high_resolution(features, sizes),
    }
    taps = {
        "decoder_tokens": (decoder.transformer, lambda _, out: _numpy(out[0])),
        "decoder_image": (decoder.transformer, lambda _, out: _numpy(out[1])),
    }
    with _tapped(taps, found):
        masks, iou, tokens, presence = decoder.predict_masks(**kwargs)
    found["masks"], found["mask_tokens"] = _numpy(masks), _numpy(tokens)
    found["iou"], found["presence"] = _numpy(iou), _numpy(presence)
    single, single_iou, _, _ = decoder(multimask_output=False, **kwargs)
    found["single_mask"], found["single_iou"] = _numpy(single), _numpy(single_iou)
    found["pointer"] = _numpy(model.obj_ptr_proj(tokens[:, 1]))


def _memory_stages(model: Any, inputs: StageInputs, features: Any, sizes: Any, found: Any) -> None:
    logits = torch.nn.functional.interpolate(
        torch.from_numpy(inputs.mask_logits), scale_factor=4, mode="bilinear", align_corners=False
    )
    encoder = model.memory_encoder
    taps = {
        "mask_downsampled": (encoder.mask_downsampler, lambda _, out: _last(out)),
        "fused": (encoder.fuser, lambda _, out: _last(out)),
    }

    def encode(score: float, from_prompt: bool) -> Any:
        return model._encode_new_memory(
            features, sizes, logits, torch.tensor([[score]]), from_prompt
        )

    with _tapped(taps, found):
        found["memory_prompted"] = _last(encode(5.0, True)[0])
    memory, position = encode(5.0, False)
    found["memory_tracked"], found["memory_position"] = _last(memory), _last(position[0])
    found["memory_absent"] = _last(encode(-5.0, False)[0])
    mask = torch.from_numpy(inputs.mask).float()
    output = model._use_mask_as_output(
        _coarse(features[-1], sizes[-1]), _high_resolution(features, sizes), mask
    )
    found["given_mask"], found["given_mask_pointer"] = _numpy(output[3]), _numpy(output[5])


def _attention_stages(
    model: Any, name: str, case: MemoryCase, encoded: Any, found: dict[str, Any]
) -> torch.Tensor:
    features, positions, sizes = encoded
    grid = sizes[-1][0]
    position = model.memory_encoder.position_encoding(torch.zeros(1, 1, grid, grid))

    def output(frame: int) -> dict[str, Any]:
        return {
            "maskmem_features": _first(memory_tokens(frame, grid, model.mem_dim)),
            "maskmem_pos_enc": [position],
            "obj_ptr": torch.from_numpy(memory_pointer(frame, model.hidden_dim)),
        }

    taps = {
        f"memory_{name}": (
            model.memory_attention,
            lambda args, _: _numpy(args["memory"].transpose(0, 1)),
        ),
        f"memory_{name}_position": (
            model.memory_attention,
            lambda args, _: _numpy(args["memory_pos"].transpose(0, 1)),
        ),
    }
    with _tapped(taps, found):
        attended = model._prepare_memory_conditioned_features(
            frame_idx=case.frame,
            is_init_cond_frame=False,
            current_vision_feats=features[-1:],
            current_vision_pos_embeds=positions[-1:],
            feat_sizes=sizes[-1:],
            output_dict={
                "cond_frame_outputs": {t: output(t) for t in case.prompted},
                "non_cond_frame_outputs": {t: output(t) for t in case.tracked},
            },
            num_frames=case.num_frames,
            track_in_reverse=case.reverse,
        )
    found[f"attended_{name}"] = _last(attended)
    return attended


def _tracked_stages(model: Any, attended: torch.Tensor, encoded: Any, found: Any) -> None:
    features, sizes = encoded
    output = model._forward_sam_heads(
        attended, high_res_features=_high_resolution(features, sizes), multimask_output=True
    )
    found["tracked_masks"], found["tracked_iou"] = _numpy(output[0]), _numpy(output[2])
    found["tracked_mask"], found["tracked_pointer"] = _numpy(output[3]), _numpy(output[5])
    found["tracked_presence"] = _numpy(output[6])
