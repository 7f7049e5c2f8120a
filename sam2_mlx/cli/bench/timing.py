"""Run a measurement, and keep what it took."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import mlx.core as mx
import numpy as np

from sam2_mlx.cli.bench.peers import run_stages
from sam2_mlx.cli.bench.steps import TrackedFrame, encoder_step
from sam2_mlx.media import demo_clip, open_frames
from sam2_mlx.model.sam import Sam
from sam2_mlx.predictors.image_predictor import SAM2ImagePredictor
from sam2_mlx.tracking.session import TrackingSession

# On the three objects of the bundled clip, in its first frame; further ones lie between.
_POINTS = ((105, 118), (520, 196), (250, 276))


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
    stages = {k: v for k, v in best.items() if k not in ("seconds", "cpu_seconds")}
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
    step = encoder_step(model)
    return lambda: run_stages([("encode", lambda: mx.eval(step()))])


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
