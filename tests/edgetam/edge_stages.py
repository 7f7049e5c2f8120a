"""Every stage of our EdgeTAM, under the names of the goldens."""

from __future__ import annotations

from unittest import mock

import mlx.core as mx
import numpy as np

from sam2_mlx.model.image_encoder import ImageFeatures
from sam2_mlx.model.mask_decoder import MaskCandidates
from sam2_mlx.model.memory import Memory
from sam2_mlx.model.sam import Sam
from sam2_mlx.ops.positions import grid_encoding
from sam2_mlx.ops.rope import axial_table
from sam2_mlx.ops.upsample import upsample_for_memory
from sam2_mlx.tracking.memory_schedule import MemorySchedule, plan_memory
from tests.edgetam import edge_cases

Stages = dict[str, mx.array]


def stages(model: Sam, click: tuple[float, float]) -> dict[str, np.ndarray]:
    """All stages on the drawn picture: maps (1, h, w, C), masks (1, h, w, M), tokens (1, N, C).

    Args:
        model: seeded and not folded.
        click: on the object, in pixels of the model's input.
    """
    found: Stages = {}
    picture = edge_cases.drawn_picture(model.config.image_size)
    features = _encoder(model, mx.array(edge_cases.normalised(picture))[None], found)
    _click(model, features, click, found)
    _memory(model, features, found)
    for name in edge_cases.MEMORY_CASES:
        attended = _attention(model, features, name, found)
        if name == "seven":
            nothing = model.embed_points(None, None, 1)
            candidates = model.decode_masks(attended, features.fine, nothing)
            _decoded(model, "tracked", candidates, found)
    side, table = model.config.memory_side, np.array(axial_table(model.config.memory_side, 256))
    assert table.shape == (side * side, 128)
    arrays = {name: np.array(value) for name, value in found.items()}
    return {**arrays, "key_cosines": table.real[None], "key_sines": table.imag[None]}


def _encoder(model: Sam, pixels: mx.array, found: Stages) -> ImageFeatures:
    trunk, neck = model.image_encoder.trunk, model.image_encoder.neck
    block = trunk.stages[0].blocks[0]
    found["stem"] = trunk.stem(pixels)
    found["stage0_block0_mixed"] = block.token_mixer(found["stem"])
    found["stage0_block0_excited"] = block.se(found["stage0_block0_mixed"])
    found["stage0_block0"] = block(found["stem"])
    maps = trunk(pixels)
    found["stage1_downsampled"] = trunk.stages[1].downsample(maps[0])
    found |= {f"stage{index}": value for index, value in enumerate(maps)}
    found |= {f"fpn{index}": level for index, level in enumerate(neck(maps))}
    found["fpn3"] = neck.convs[0](maps[3])
    features = model.encode_image(pixels)
    found["fine0"], found["fine1"] = features.fine
    found["embedding"] = model.memory.without_memory(features.coarse)
    return features


def _click(model: Sam, features: ImageFeatures, click: tuple[float, float], found: Stages) -> None:
    prompt = model.embed_points(mx.array([[click]]), mx.array([[1]]), 1)
    candidates = model.decode_masks(found["embedding"], features.fine, prompt)
    _decoded(model, "click", candidates, found)


def _decoded(model: Sam, name: str, candidates: MaskCandidates, found: Stages) -> None:
    chosen = model.choose(candidates, multimask=True)
    found[f"{name}_masks"] = candidates.logits.transpose(0, 2, 3, 1)
    found[f"{name}_iou"], found[f"{name}_tokens"] = candidates.iou, candidates.tokens
    found[f"{name}_presence"] = candidates.presence
    found[f"{name}_chosen"] = chosen.logits.transpose(0, 2, 3, 1)
    found[f"{name}_pointer"] = chosen.pointer


def _memory(model: Sam, features: ImageFeatures, found: Stages) -> None:
    memory, side = model.memory, model.config.image_size
    logits = mx.array(edge_cases.soft_disc(side // 4))
    cases = (("prompted", 5.0, True), ("tracked", 5.0, False), ("absent", -5.0, False))
    for name, presence, binarise in cases:
        mask = upsample_for_memory(logits, (side, side), binarise, mx.float32)
        encoded = memory.encoder(features.coarse, mask.reshape(1, side, side, 1))
        found[f"memory_{name}_map"] = encoded
        # Stored memories are rounded; a stage is compared before that.
        with mock.patch.object(Memory, "storage_dtype", mx.float32):
            score = mx.array([[presence]])
            tokens = memory.encode(features.coarse, logits, score, binarise)
        found[f"memory_{name}_tokens"] = tokens
    perceiver, x = memory.perceiver, found["memory_prompted_map"].reshape(1, -1, 64)
    latents = mx.concatenate([perceiver.latents, perceiver.latents_2d])[None]
    latents = perceiver.layers[0](latents, x, grid_encoding(side // 16, 64), 16)
    found["memory_prompted_1d_layer0"] = latents[:, :256]
    found["memory_prompted_2d_layer0"] = latents[:, 256:]


def _attention(model: Sam, features: ImageFeatures, name: str, found: Stages) -> mx.array:
    frame, prompted, tracked, count, reverse = edge_cases.MEMORY_CASES[name]
    plan = plan_memory(frame, prompted, tracked, MemorySchedule(clip_length=count), reverse)
    memory = model.memory
    past = memory.gather(
        [(mx.array(edge_cases.memory_tokens(t)), slot) for t, slot in plan.spatial],
        [(mx.array(edge_cases.memory_pointer(t)), float(d)) for t, d in plan.pointers],
        plan.pointer_span,
    )
    found[f"{name}_memory"], found[f"{name}_memory_position"] = past.tokens, past.positions
    grid = features.coarse.shape[1:3]
    x, layer = features.coarse.reshape(-1, 256), memory.attention.layers[0]
    x, seen = layer.see_itself(x, 0.1 * grid_encoding(grid[0], 256), grid)
    found[f"{name}_layer0_self"] = seen[None]
    placed = past.tokens + past.positions
    summed, _ = layer.see_memory(x, seen, past.tokens, placed, past.layout, grid)
    found[f"{name}_layer0_cross"] = (summed - (x + seen))[None]
    attended = memory.attend(features.coarse, past)
    found[f"{name}_attended"] = attended
    if name == "two":
        # Without a frame's time its tokens' positions are those of the grid alone.
        found["memory_position"] = past.positions[:, :512] - memory.time_embedding[6]
    return attended
