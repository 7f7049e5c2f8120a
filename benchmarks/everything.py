"""What `SAM2AutomaticMaskGenerator.generate` takes, by the points of its grid.

    python -m benchmarks.everything
    python -m benchmarks.everything --picture photo.jpg --points-per-side 16 32 64

Encode is the picture once, decode all batches of points, the rest is filters, enlarging, duplicates
and run lengths. Nothing is overlapped while the parts are timed; `generate` is timed on its own,
and all take turns, so that a noisy machine is noisy to all. Prints a table for people and one JSON
line for scripts.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import sam2_mlx
from sam2_mlx.media import demo_clip, load_picture, open_frames
from sam2_mlx.ops.cpu.allocator import keep_freed_memory
from sam2_mlx.ops.dtypes import dtype_name
from sam2_mlx.predictors.look import Look, encode_pictures
from sam2_mlx.predictors.mask_generator import (
    PointMasks,
    SAM2AutomaticMaskGenerator,
    masks_of_points,
)


class Parts(SAM2AutomaticMaskGenerator):
    """Waits for each batch before it is filtered, and counts the seconds of the waiting.

    Attributes:
        decode_seconds: what the decoder took.
    """

    decode_seconds = 0.0

    def _answers(self, look: Look, points: np.ndarray) -> Iterator[PointMasks]:
        # Not above: the package chooses MLX's BLAS when it is imported first.
        import mlx.core as mx

        for start in range(0, len(points), self.points_per_batch):
            begin = time.perf_counter()
            batch = points[start : start + self.points_per_batch]
            masks = masks_of_points(look, batch, self.multimask_output)
            mx.eval(masks.logits, masks.iou)
            self.decode_seconds += time.perf_counter() - begin
            yield masks


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="nano")
    parser.add_argument("--image-size", type=int)
    parser.add_argument("--picture", help="frame 0 of the bundled clip by default")
    parser.add_argument("--points-per-side", type=int, nargs="+", default=[8, 16, 32])
    parser.add_argument("--min-iou", type=float, default=0.35, help="the bundled model is unsure")
    parser.add_argument("--min-stability", type=float, default=0.5)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    keep_freed_memory()
    model = sam2_mlx.load(options.model, image_size=options.image_size)
    picture = _picture(options.picture)
    kind = dtype_name(model.dtype)
    size = f"{picture.shape[1]}x{picture.shape[0]}"
    print(f"{options.model}, {kind}, {model.config.image_size}, picture {size}: seconds (median)")
    print("points  masks   encode   decode     rest   generate   decode a point")
    results = []
    for side in options.points_per_side:
        settings = {
            "points_per_side": side,
            "pred_iou_thresh": options.min_iou,
            "stability_score_thresh": options.min_stability,
            "output_mode": "coco_rle",
        }
        row = measure(model, picture, settings, options.rounds)
        results.append({"points_per_side": side, **row})
        print(
            f"{side:3d}^2 {row['masks']:7d} {row['encode']:8.3f} {row['decode']:8.3f} "
            f"{row['rest']:8.3f} {row['generate']:10.3f} {1000 * row['decode'] / side**2:13.2f} ms"
        )
        sys.stdout.flush()
    record = {
        "machine": platform.processor() or platform.machine(),
        "model": options.model,
        "dtype": kind,
        "image_size": model.config.image_size,
        "picture": size,
        "results": results,
    }
    print(json.dumps(record))
    return 0


def measure(
    model: Any, picture: np.ndarray, settings: dict[str, Any], rounds: int
) -> dict[str, Any]:
    """Medians over some rounds, each with every part once; one more round warms up."""
    times: dict[str, list[float]] = {"encode": [], "decode": [], "rest": [], "generate": []}
    plain = SAM2AutomaticMaskGenerator(model, **settings)
    count = 0
    for number in range(rounds + 1):
        encode = _seconds(lambda: encode_pictures(model, [picture]))
        parts = Parts(model, **settings)
        whole = _seconds(lambda parts=parts: parts.generate(picture))
        begin = time.perf_counter()
        count = len(plain.generate(picture))
        generate = time.perf_counter() - begin
        if number:
            decode = parts.decode_seconds
            rest = max(whole - encode - decode, 0.0)
            for key, value in zip(times, (encode, decode, rest, generate), strict=True):
                times[key].append(value)
    return {"masks": count, **{key: statistics.median(values) for key, values in times.items()}}


def _seconds(work: Any) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def _picture(name: str | None) -> np.ndarray:
    if name is not None:
        return load_picture(Path(name))
    with open_frames(demo_clip()) as source:
        return source.read(0)


if __name__ == "__main__":
    sys.exit(main())
