"""The steps that are counted, as functions from arrays to arrays with arguments that fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mlx.core as mx

from sam2_mlx.cli.bench.timing import MakeArray, TrackedFrame, noise
from sam2_mlx.model.sam import Sam


@dataclass(frozen=True)
class Step:
    """A function and its arguments.

    Attributes:
        function: arrays in, a list of arrays out.
        arrays: arguments.
    """

    function: Callable[..., list[mx.array]]
    arrays: list[mx.array]

    def __call__(self) -> list[mx.array]:
        """The outputs, not evaluated."""
        return self.function(*self.arrays)


def encoder_step(model: Sam, make: MakeArray = noise) -> Step:
    """The image encoder on one picture."""
    side = model.config.image_size
    return Step(
        lambda pixels: model.encode_image(pixels).arrays(), [make((1, side, side, 3), model.dtype)]
    )


def image_step(model: Sam, make: MakeArray = noise) -> Step:
    """The image encoder, and the decoder for one point."""

    def segment(pixels: mx.array, coords: mx.array, labels: mx.array) -> list[mx.array]:
        features = model.encode_image(pixels)
        coarse = features.coarse
        if model.memory is not None:
            coarse = model.memory.without_memory(coarse)
        prompt = model.prompt_encoder.points(coords, labels)
        candidates = model.decode_masks(coarse, features.fine, prompt)
        return [candidates.logits, candidates.iou]

    side = model.config.image_size
    labels = mx.ones((1, 1), mx.int32)
    coords = mx.full((1, 1, 2), side / 2)
    mx.eval(labels, coords)
    return Step(segment, [make((1, side, side, 3), model.dtype), coords, labels])


def frame_step(model: Sam, memories: int, objects: int, make: MakeArray = noise) -> Step:
    """One frame of a video, see `TrackedFrame`: encode, track, remember."""
    frame = TrackedFrame(model, memories, objects, make)
    return Step(frame.follow, frame.arrays)


def make_step(what: str, model: Sam, options: dict[str, Any], make: MakeArray = noise) -> Step:
    """The step that a measurement counts.

    Args:
        what: "image", "encoder" or "frame".
        model: the model.
        options: for a frame, `memories` and `objects`.
        make: makes the arrays.
    """
    if what == "frame":
        return frame_step(model, options["memories"], options["objects"], make)
    return (encoder_step if what == "encoder" else image_step)(model, make)
