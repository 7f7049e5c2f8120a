"""Run a measurement, and keep what it took."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import mlx.core as mx
import numpy as np

from sam2_mlx.media import demo_clip, open_frames
from sam2_mlx.model.memory import MemoryTokens
from sam2_mlx.model.sam import Sam
from sam2_mlx.predictors.image_predictor import SAM2ImagePredictor
from sam2_mlx.tracking.session import TrackingSession

# On the three objects of the bundled clip, in its first frame; further ones lie between.
_POINTS = ((105, 118), (520, 196), (250, 276))
POINTERS = 16

MakeArray = Callable[[Sequence[int], mx.Dtype], mx.array]
Stages = list[tuple[str, Callable[[], Any]]]
"""Names, and what is done."""


def run_stages(stages: Stages) -> dict[str, float]:
    """Run stages one after the other.

    Returns:
        Seconds of each by name, and `seconds` of all.
    """
    times, total = {}, time.perf_counter()
    for name, stage in stages:
        begin = time.perf_counter()
        stage()
        times[name] = time.perf_counter() - begin
    return {**times, "seconds": time.perf_counter() - total}


def measure(run: Callable[[], dict[str, float]], rounds: int) -> dict[str, Any]:
    """Warm up once, then measure.

    Args:
        run: does it once; seconds by stage, with `seconds` for all.
        rounds: measured runs.

    Returns:
        `median_s`, `best_s`, `stages_s` of the best run, and MLX's `peak_bytes`.
    """
    run()
    mx.clear_cache()
    mx.reset_peak_memory()
    runs = [run() for _ in range(rounds)]
    best = min(runs, key=lambda times: times["seconds"])
    stages = {name: seconds for name, seconds in best.items() if name != "seconds"}
    return {
        "median_s": statistics.median(times["seconds"] for times in runs),
        "best_s": best["seconds"],
        "stages_s": stages,
        "peak_bytes": int(mx.get_peak_memory()),
    }


def make_run(what: str, model: Sam, options: dict[str, Any]) -> Callable[[], dict[str, float]]:
    """What `measure` runs.

    Args:
        what: "image", "encoder", "frame" or "clip".
        model: the model.
        options: for a frame `memories` and `objects`; for a clip `objects` and `frames`.
    """
    if what == "frame":
        frame = TrackedFrame(model, options["memories"], options["objects"])
        return lambda: run_stages(frame.stages())
    if what == "clip":
        return lambda: _follow_clip(model, options["objects"], options["frames"])
    if what == "image":
        predictor, picture = SAM2ImagePredictor(model), _first_frame()
        return lambda: run_stages(
            [
                ("set_image", lambda: predictor.set_image(picture)),
                ("predict", lambda: predictor.predict([_POINTS[0]], [1])),
            ]
        )
    pixels = noise((1, model.config.image_size, model.config.image_size, 3), model.dtype)
    return lambda: run_stages([("encode", lambda: mx.eval(model.encode_image(pixels).arrays()))])


def noise(shape: Sequence[int], dtype: mx.Dtype) -> mx.array:
    """An array of normal noise, evaluated."""
    array = mx.random.normal(tuple(shape)).astype(dtype)
    mx.eval(array)
    return array


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
        config, memory = model.config, model.config.require_memory()
        assert model.memory is not None
        if not 1 <= memories <= memory.num_frames:
            raise ValueError(
                f"{config.name} remembers 1 to {memory.num_frames} frames; got {memories}"
            )
        self._model, self._memories, side = model, memories, config.image_size
        stored = model.memory.storage_dtype
        tokens = (objects, config.memory_tokens, memory.dim)
        self.arrays = [make((1, side, side, 3), model.dtype)]
        self.arrays += [make(tokens, stored) for _ in range(memories)]
        self.arrays += [make((objects, config.hidden_dim), model.dtype) for _ in range(POINTERS)]

    def gather(self, past: Sequence[mx.array]) -> MemoryTokens:
        """Join what is remembered."""
        assert self._model.memory is not None
        spatial = [(tokens, slot) for slot, tokens in enumerate(past[: self._memories])]
        pointers = [(p, float(d)) for d, p in enumerate(past[self._memories :])]
        return self._model.memory.gather(spatial, pointers, POINTERS - 1)

    def follow(self, pixels: mx.array, *past: mx.array) -> list[mx.array]:
        """What encoding, tracking and remembering give, not evaluated; called with `arrays`."""
        features = self._model.encode_image(pixels)
        mask = self._model.track(features, self.gather(past))
        return [*mask.arrays(), self._model.remember(features, mask, binarise=False)]

    def stages(self) -> Stages:
        """Encode, track, remember, each evaluated, each once."""
        model = self._model
        state: dict[str, Any] = {}

        def encode() -> None:
            state["features"] = model.encode_image(self.arrays[0])
            mx.eval(state["features"].arrays())

        def track() -> None:
            state["mask"] = model.track(state["features"], self.gather(self.arrays[1:]))
            mx.eval(state["mask"].arrays())

        def remember() -> None:
            mx.eval(model.remember(state["features"], state["mask"], binarise=False))

        return [("encode", encode), ("track", track), ("remember", remember)]


def _first_frame() -> np.ndarray:
    with open_frames(demo_clip()) as source:
        return source.read(0)


def _points(objects: int, width: int, height: int) -> Iterator[tuple[float, float]]:
    for index in range(objects):
        if index < len(_POINTS):
            yield _POINTS[index]
        else:
            yield width * (0.1 + 0.8 * (index % 4) / 3), height * (0.2 + 0.6 * (index // 4 % 2))


def _follow_clip(model: Sam, objects: int, frames: int) -> dict[str, float]:
    """Seconds a frame of the bundled clip, from the file to masks at its size."""
    session = TrackingSession(model)
    with open_frames(demo_clip()) as source:
        session.step(source.read(0))
        for number, point in enumerate(_points(objects, source.width, source.height)):
            session.prompt(number, points=[point], labels=[1])
        count = min(frames, source.num_frames - 1)
        start = time.perf_counter()
        for index in range(1, count + 1):
            _ = session.step(source.read(index)).masks
        return {"seconds": (time.perf_counter() - start) / count}
