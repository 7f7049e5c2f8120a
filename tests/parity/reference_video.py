"""The torch reference's video predictor, fed from memory, playing scenarios."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np
import torch
from PIL import Image

from tests.parity import reference_model  # noqa: F401  (makes torchvision importable)
from tests.parity.scenarios import Event, Scenario, play
from tests.parity.seeded_weights import uniform
from tests.parity.stage_inputs import MEAN, STD

# isort: split
import sam2.sam2_video_predictor as video_module

PERTURBATION = 1e-6
"""Size of the noise on normalised pixels that shows how much the reference itself spreads."""


def load_frames(frames: np.ndarray, image_size: int, draw: int = 0) -> torch.Tensor:
    """What the reference makes of a folder of pictures, without a JPEG in between.

    Args:
        frames: (T, H, W, 3) uint8.
        image_size: side of the model's input.
        draw: 0 leaves the pixels as they are; other numbers add noise, each its own.

    Returns:
        (T, 3, S, S) normalised float32.
    """
    resized = [np.array(Image.fromarray(f).resize((image_size, image_size))) for f in frames]
    images = torch.stack([torch.from_numpy(r / 255.0).permute(2, 0, 1).float() for r in resized])
    images -= torch.from_numpy(MEAN)[:, None, None]
    images /= torch.from_numpy(STD)[:, None, None]
    if draw:
        noise = uniform("perturbation", tuple(images.shape), draw)
        images += PERTURBATION * torch.from_numpy(np.sign(noise))
    return images


@contextmanager
def _as_video(images: torch.Tensor, height: int, width: int) -> Any:
    loaded = (images, height, width)
    with (
        mock.patch.object(video_module, "load_video_frames", lambda **_: loaded),
        mock.patch.object(video_module, "tqdm", lambda frames, **_: frames),
    ):
        yield


class _Recorder:
    """Keeps the predicted IoU beside each frame's output, which the reference drops.

    `smallest_gap` is the closest call between the best and the second candidate.
    """

    def __init__(self, predictor: Any) -> None:
        self.predictor = predictor
        self.iou = float("nan")
        self.smallest_gap = float("inf")
        self._track, self._infer = predictor._track_step, predictor._run_single_frame_inference

    def __enter__(self) -> _Recorder:
        def track(*args: Any, **kwargs: Any) -> Any:
            result = self._track(*args, **kwargs)
            ordered = result[1][2].flatten().sort(descending=True).values
            self.iou = float(ordered[0])
            if len(ordered) > 1:
                self.smallest_gap = min(self.smallest_gap, float(ordered[0] - ordered[1]))
            return result

        def infer(*args: Any, **kwargs: Any) -> Any:
            output, masks = self._infer(*args, **kwargs)
            output["iou"] = self.iou
            return output, masks

        self.predictor._track_step, self.predictor._run_single_frame_inference = track, infer
        return self

    def __exit__(self, *_: object) -> None:
        del self.predictor._track_step, self.predictor._run_single_frame_inference


def _probe(state: Any, frame: int, ids: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    presence, iou = np.full(len(ids), np.nan, np.float32), np.full(len(ids), np.nan, np.float32)
    for slot, object_id in enumerate(ids):
        index = state["obj_id_to_idx"][object_id]
        for store in ("temp_output_dict_per_obj", "output_dict_per_obj"):
            outputs = state[store][index]
            kept = {**outputs["non_cond_frame_outputs"], **outputs["cond_frame_outputs"]}
            if frame in kept:
                presence[slot] = float(kept[frame]["object_score_logits"])
                iou[slot] = kept[frame]["iou"]
                break
    return presence, iou


def _clear_around(predictor: Any) -> Callable[[Any, int, int], None]:
    """The method that the reference calls but does not have, as a docstring there describes it.

    The prompted frame itself is kept: a correction that erased itself would mean nothing.
    """

    def clear(state: Any, frame: int, index: int) -> None:
        reach = predictor.memory_temporal_stride_for_eval * predictor.num_maskmem
        outputs = state["output_dict_per_obj"][index]["non_cond_frame_outputs"]
        for near in range(frame - reach, frame + reach + 1):
            if near != frame:
                outputs.pop(near, None)

    return clear


def run_video(predictor: Any, scenario: Scenario, draw: int = 0) -> tuple[list[Event], float]:
    """Play a scenario on the reference.

    Args:
        predictor: what `build` returned, with the scenario's model and weights.
        scenario: the calls.
        draw: see `load_frames`.

    Returns:
        The events, and the smallest lead of a chosen candidate's predicted IoU.
    """
    frames = scenario.clip().frames
    images = load_frames(frames, scenario.image_size, draw)
    defaults = {name: getattr(predictor, name) for name in scenario.options}
    predictor._clear_obj_non_cond_mem_around_input = _clear_around(predictor)
    try:
        for name, value in scenario.options.items():
            setattr(predictor, name, value)
        with _as_video(images, *frames.shape[1:3]), _Recorder(predictor) as recorder:
            state = predictor.init_state("frames")
            return play(predictor, state, scenario, _probe), recorder.smallest_gap
    finally:
        for name, value in defaults.items():
            setattr(predictor, name, value)
