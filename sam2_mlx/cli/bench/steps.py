"""The steps that are measured, as functions from arrays to arrays with arguments that fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import mlx.core as mx

from sam2_mlx.model.image_encoder import ImageFeatures
from sam2_mlx.model.memory import MemoryTokens
from sam2_mlx.model.prompt_encoder import POSITIVE
from sam2_mlx.model.sam import Sam

POINTERS = 16

MakeArray = Callable[[Sequence[int], mx.Dtype], mx.array]


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


def noise(shape: Sequence[int], dtype: mx.Dtype) -> mx.array:
    """An array of normal noise, evaluated."""
    array = mx.random.normal(tuple(shape)).astype(dtype)
    mx.eval(array)
    return array


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
        found = model.decode_masks(coarse, features.fine, prompt)
        return [found.logits, found.iou]

    side = model.config.image_size
    labels = mx.full((1, 1), POSITIVE, mx.int32)
    coords = mx.full((1, 1, 2), side / 2)
    mx.eval(labels, coords)
    return Step(segment, [make((1, side, side, 3), model.dtype), coords, labels])


class TrackedFrame:
    """One frame of a video: encode, track, remember.

    Args:
        model: one with a memory.
        memories: frames that are remembered.
        objects: followed at once.
        make: makes the arrays.

    Raises:
        ValueError: more memories than the model has places for.
    """

    def __init__(self, model: Sam, memories: int, objects: int, make: MakeArray = noise) -> None:
        config = model.config
        if config.memory is None or model.memory is None:
            raise ValueError(f"{config.name} is for single pictures; it has no memory to follow by")
        if not 1 <= memories <= config.memory.num_frames:
            raise ValueError(
                f"{config.name} remembers 1 to {config.memory.num_frames} frames; got {memories}"
            )
        self._model, self._memories, side = model, memories, config.image_size
        stored = model.memory.storage_dtype
        tokens = (objects, config.grid * config.grid, config.memory.dim)
        self.arrays = [make((1, side, side, 3), model.dtype)]
        self.arrays += [make(tokens, stored) for _ in range(memories)]
        self.arrays += [make((objects, config.hidden_dim), model.dtype) for _ in range(POINTERS)]

    def gather(self, past: Sequence[mx.array]) -> MemoryTokens:
        """Join what is remembered."""
        assert self._model.memory is not None
        spatial = [(tokens, slot) for slot, tokens in enumerate(past[: self._memories])]
        pointers = [(p, float(d)) for d, p in enumerate(past[self._memories :])]
        return self._model.memory.gather(spatial, pointers, POINTERS - 1)

    def stages(self) -> list[tuple[str, Callable[[], None]]]:
        """Encode, track, remember, each evaluated, each once."""
        model = self._model
        kept: dict[str, Any] = {}

        def encode() -> None:
            kept["features"] = model.encode_image(self.arrays[0])
            mx.eval(kept["features"].arrays())

        def track() -> None:
            kept["mask"] = model.track(kept["features"], self.gather(self.arrays[1:]))
            mx.eval(kept["mask"].arrays())

        def remember() -> None:
            mx.eval(model.remember(kept["features"], kept["mask"], binarise=False))

        return [("encode", encode), ("track", track), ("remember", remember)]

    def step(self) -> Step:
        """The whole frame as one step."""

        def follow(pixels: mx.array, *past: mx.array) -> list[mx.array]:
            features: ImageFeatures = self._model.encode_image(pixels)
            mask = self._model.track(features, self.gather(past))
            return [*mask.arrays(), self._model.remember(features, mask, binarise=False)]

        return Step(follow, self.arrays)


def make_step(what: str, model: Sam, options: dict[str, Any], make: MakeArray = noise) -> Step:
    """The step that a measurement counts.

    Args:
        what: "image", "encoder" or "frame".
        model: the model.
        options: for a frame, `memories` and `objects`.
        make: makes the arrays.
    """
    if what == "frame":
        return TrackedFrame(model, options["memories"], options["objects"], make).step()
    return (encoder_step if what == "encoder" else image_step)(model, make)
