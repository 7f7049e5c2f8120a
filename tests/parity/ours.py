"""Our side of every comparison: seeded models, the same stages, the same scenarios. No torch."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import mlx.core as mx
import numpy as np

from sam2_mlx.checkpoints.read import fitting_model
from sam2_mlx.checkpoints.rename import rename
from sam2_mlx.checkpoints.tensors import StoredTensor
from sam2_mlx.config import MODELS, ModelConfig
from sam2_mlx.model.folding import fold
from sam2_mlx.model.image_encoder import ImageFeatures
from sam2_mlx.model.memory import Memory
from sam2_mlx.model.memory_encoder import Fuser, MaskDownsampler
from sam2_mlx.model.sam import Sam
from sam2_mlx.model.two_way_transformer import TwoWayTransformer
from sam2_mlx.ops.positions import grid_encoding
from sam2_mlx.predictors.video_predictor import SAM2VideoPredictor
from sam2_mlx.tracking.memory_schedule import MemorySchedule, plan_memory
from sam2_mlx.tracking.session import TrackingSession
from tests.parity.meta_shapes import meta_shapes
from tests.parity.scenarios import Event, Scenario, play
from tests.parity.seeded_weights import PRESENT, seeded
from tests.parity.stage_inputs import MEMORY_CASES, StageInputs, memory_pointer, memory_tokens

Found = dict[str, np.ndarray]


def seeded_model(
    config: ModelConfig,
    seed: int = 0,
    present: float = PRESENT,
    dtype: mx.Dtype = mx.float32,
    folded: bool = True,
) -> Sam:
    """A model whose weights come through our converter from Meta's names and layouts.

    Args:
        config: the dimensions.
        seed: see `seeded_weights.seeded`.
        present: see `seeded_weights.seeded`.
        dtype: dtype of the weights.
        folded: fold the weights as `load` does; without it every stage can be seen.
    """

    def stored(name: str, shape: tuple[int, ...]) -> StoredTensor:
        return StoredTensor(shape, "float32", lambda: mx.array(seeded(name, shape, seed, present)))

    renamed = rename({name: stored(name, shape) for name, shape in meta_shapes(config).items()})
    model = fitting_model(renamed, config)
    for name, tensor in renamed.tensors.items():
        value = tensor.read().astype(dtype)
        mx.eval(value)
        model.load_weights([(name, value)], strict=False)
    model.eval()
    return fold(model) if folded else model


def seeded_config(model: str, image_size: int) -> ModelConfig:
    """The configuration of a published model at some input size."""
    return MODELS[model].with_image_size(image_size)


@contextmanager
def _tapped(taps: dict[str, tuple[type, Callable[[Any], Any]]], found: Found) -> Iterator[None]:
    """Keep what modules of a class return: `name: (class, function of the output)`."""

    def tap(kind: type) -> Any:
        original = kind.__call__
        picks = {name: pick for name, (other, pick) in taps.items() if other is kind}

        def call(module: Any, *args: Any, **kwargs: Any) -> Any:
            output = original(module, *args, **kwargs)
            for name, pick in picks.items():
                found[name] = _numpy(pick(output))
            return output

        return mock.patch.object(kind, "__call__", call)

    with ExitStack() as stack:
        for kind in {kind for kind, _ in taps.values()}:
            stack.enter_context(tap(kind))
        yield


def _numpy(value: mx.array) -> np.ndarray:
    return np.array(value.astype(mx.float32))


def stages(model: Sam, inputs: StageInputs, cases: Collection[str] = tuple(MEMORY_CASES)) -> Found:
    """Every stage of the network, under the names of `reference_stages.stages`.

    Args:
        model: a model with a memory.
        inputs: see `stage_inputs`.
        cases: which of the memory cases.

    Returns:
        Name -> float32 values; maps are (B, h, w, C), masks (B, M, h, w), tokens (B, N, C). With
        folded weights, without the stages that are folded away.
    """
    found: Found = {}
    # Within a compiled step, as on a GPU, no stage has a value.
    with mock.patch.dict(os.environ, SAM2_MLX_COMPILE="0"):
        features = _encoder_stages(model, inputs, found)
        _prompt_stages(model, inputs, found)
        _decoder_stages(model, inputs, features, found)
        _memory_stages(model, inputs, features, found)
        for name in cases:
            attended = _attention_stages(model, name, features, found)
            if name == "seven":
                _tracked_stages(model, attended, features, found)
    return found


def _encoder_stages(model: Sam, inputs: StageInputs, found: Found) -> ImageFeatures:
    trunk, config = model.image_encoder.trunk, model.config
    pixels = mx.array(inputs.pixels).astype(model.dtype)
    patches = trunk.patch_embed(pixels)
    found["patches"] = _numpy(patches)
    positioned = patches + trunk.position_embedding(*patches.shape[1:3])
    found["patches_positioned"] = _numpy(positioned)
    outputs = trunk(pixels)
    for index, output in enumerate(outputs):
        found[f"stage{index + 1}"] = _numpy(output)
    for index, level in enumerate(model.image_encoder.neck(outputs)):
        # Folded weights skip the two wide maps that only lead to the decoder's narrow ones.
        if level.shape[-1] == config.hidden_dim:
            found[f"fpn{index}"] = _numpy(level)
    position = grid_encoding(config.grid, config.hidden_dim)
    found["image_position"] = _numpy(position).reshape(1, config.grid, config.grid, -1)
    features = model.encode_image(pixels)
    found["fine0"], found["fine1"] = map(_numpy, features.fine)
    return features


def _prompt_stages(model: Sam, inputs: StageInputs, found: Found) -> None:
    encoder, grid = model.prompt_encoder, model.config.grid
    points, labels = mx.array(inputs.points), mx.array(inputs.labels)
    found["sparse_clicks"] = _numpy(encoder.points(points, labels))
    empty = encoder.dense(None)
    found["dense_empty"] = _numpy(mx.broadcast_to(empty, (1, grid, grid, empty.shape[-1])))
    corners = mx.array(inputs.box.reshape(1, 2, 2))
    boxed = mx.concatenate([corners, points], axis=1)
    found["sparse_boxed"] = _numpy(encoder.points(boxed, mx.array([[2, 3, 1, 1, 0]], mx.int32)))
    found["sparse_nothing"] = _numpy(model.embed_points(None, None, 1))
    found["dense_mask"] = _numpy(encoder.dense(mx.array(inputs.mask_logits)))
    found["dense_position"] = _numpy(encoder.grid_positions()).reshape(1, grid, grid, -1)


def _decoder_stages(model: Sam, inputs: StageInputs, features: ImageFeatures, found: Found) -> None:
    assert model.memory is not None
    image = model.memory.without_memory(features.coarse)
    found["embedding"] = _numpy(image)
    tokens = model.embed_points(mx.array(inputs.points), mx.array(inputs.labels), 1)
    taps: dict[str, tuple[type, Callable[[Any], Any]]] = {
        "decoder_tokens": (TwoWayTransformer, lambda output: output[0]),
        "decoder_image": (TwoWayTransformer, lambda output: output[1]),
    }
    with _tapped(taps, found):
        candidates = model.decode_masks(image, features.fine, tokens)
    found["masks"], found["mask_tokens"] = _numpy(candidates.logits), _numpy(candidates.tokens)
    found["iou"], found["presence"] = _numpy(candidates.iou), _numpy(candidates.presence)
    single = model.mask_decoder.single(candidates)
    found["single_mask"], found["single_iou"] = _numpy(single.logits), _numpy(single.iou)
    found["pointer"] = _numpy(model.memory.pointer_projection(candidates.tokens[:, 1]))


def _memory_stages(model: Sam, inputs: StageInputs, features: ImageFeatures, found: Found) -> None:
    config, memory = model.config, model.memory
    assert memory is not None and config.memory is not None
    grid, dim, logits = config.grid, config.memory.dim, mx.array(inputs.mask_logits)

    def encode(presence: float, binarise: bool) -> np.ndarray:
        tokens = memory.encode(features.coarse, logits, mx.array([[presence]]), binarise)
        return _numpy(tokens).reshape(1, grid, grid, dim)

    taps: dict[str, tuple[type, Callable[[Any], Any]]] = {
        "mask_downsampled": (MaskDownsampler, lambda output: output),
        "fused": (Fuser, lambda output: output),
    }
    # Stored memories are rounded; a stage is compared before that.
    with mock.patch.object(Memory, "storage_dtype", mx.float32):
        with _tapped(taps, found):
            found["memory_prompted"] = encode(5.0, True)
        found["memory_tracked"] = encode(5.0, False)
        found["memory_position"] = _numpy(grid_encoding(grid, dim)).reshape(1, grid, grid, dim)
        found["memory_absent"] = encode(-5.0, False)
    given = model.given_mask(features, mx.array(inputs.mask))
    found["given_mask"], found["given_mask_pointer"] = _numpy(given.logits), _numpy(given.pointer)


def _attention_stages(model: Sam, name: str, features: ImageFeatures, found: Found) -> mx.array:
    config, memory, case = model.config, model.memory, MEMORY_CASES[name]
    assert memory is not None and config.memory is not None
    schedule = MemorySchedule(
        memories=config.memory.num_frames,
        max_pointers=config.memory.max_pointers,
        clip_length=case.num_frames,
    )
    plan = plan_memory(case.frame, case.prompted, case.tracked, schedule, case.reverse)
    grid, dim = config.grid, config.memory.dim
    spatial = [
        (mx.array(memory_tokens(t, grid, dim)).reshape(1, -1, dim), slot)
        for t, slot in plan.spatial
    ]
    pointers = [
        (mx.array(memory_pointer(t, config.hidden_dim)), float(distance))
        for t, distance in plan.pointers
    ]
    gathered = memory.gather(spatial, pointers, plan.pointer_span)
    found[f"memory_{name}"] = _numpy(gathered.tokens)
    found[f"memory_{name}_position"] = _numpy(gathered.positions)
    attended = memory.attend(features.coarse, gathered)
    found[f"attended_{name}"] = _numpy(attended)
    return attended


def _tracked_stages(model: Sam, attended: mx.array, features: ImageFeatures, found: Found) -> None:
    candidates = model.decode_masks(attended, features.fine, model.embed_points(None, None, 1))
    several = model.mask_decoder.multimask(candidates)
    found["tracked_masks"], found["tracked_iou"] = _numpy(several.logits), _numpy(several.iou)
    mask = model.choose(candidates, multimask=True)
    found["tracked_mask"], found["tracked_pointer"] = _numpy(mask.logits), _numpy(mask.pointer)
    found["tracked_presence"] = _numpy(mask.presence)


class Frames:
    """A clip in memory, as a source of frames.

    Args:
        frames: (T, H, W, 3) uint8.
    """

    def __init__(self, frames: np.ndarray) -> None:
        self._frames = frames
        self.num_frames, self.height, self.width = frames.shape[:3]

    def read(self, index: int) -> np.ndarray:
        """One frame, (H, W, 3) uint8."""
        return self._frames[index]


def _probe(state: TrackingSession, frame: int, ids: tuple[int, ...]) -> Any:
    masks = state.masks_on(frame)
    assert masks.object_ids == ids
    return np.array(masks.presence), np.array(masks.iou)


def run_video(model: Sam, scenario: Scenario, **options: Any) -> list[Event]:
    """Play a scenario on our predictor.

    Args:
        model: the scenario's model.
        scenario: the calls.
        options: options of the predictor, over the scenario's own.
    """
    chosen = {"fill_hole_area": 0, **scenario.options, **options}
    predictor = SAM2VideoPredictor(model, **chosen)
    state = predictor.init_state(Frames(scenario.clip().frames))
    return play(predictor, state, scenario, _probe)
