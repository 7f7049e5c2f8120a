"""The plain loop against the pipelined one: read, follow and look at every mask of a clip.

    python -m benchmarks.pipeline --model nano

Plain: read a frame, resize it, step, wait for the masks. Pipelined: a worker thread reads and
resizes ahead, and the next frame is being encoded while the masks are looked at. Both take turns
in one run.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import sam2_mlx
from sam2_mlx.media import demo_clip, open_frames
from sam2_mlx.media.overlay import draw_masks
from sam2_mlx.model.sam import Sam
from sam2_mlx.ops.cpu.allocator import keep_freed_memory
from sam2_mlx.tracking.options import TrackingOptions


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clip", type=Path, default=demo_clip())
    parser.add_argument("--model", default="nano")
    parser.add_argument("--image-size", type=int)
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--point", type=float, nargs=2, default=(105, 118))
    args = parser.parse_args(argv)
    keep_freed_memory()
    model = sam2_mlx.load(args.model, image_size=args.image_size)
    ways: dict[str, Callable[..., float]] = {"plain": plain, "pipelined": pipelined}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(args.rounds + 1):
        for name, way in ways.items():
            seconds = way(model, args.clip, args.frames, tuple(args.point))
            if turn:  # the first round warms up
                times[name].append(1000 * seconds / args.frames)
    print(f"{args.model} at {model.config.image_size}, {args.clip.name}, {args.frames} frames")
    for name in times:
        median, best = statistics.median(times[name]), min(times[name])
        print(f"{name:>10}: {median:7.1f} ms a frame, best {best:.1f}")
    ratios = [a / b for a, b in zip(times["plain"], times["pipelined"], strict=True)]
    print(f"pipelined is {statistics.median(ratios):.2f} times as fast (median of the rounds)")
    return 0


def plain(model: Sam, clip: Path, frames: int, point: tuple[float, float]) -> float:
    """Seconds for a clip, one thing after the other."""
    session = sam2_mlx.TrackingSession(model)
    with open_frames(clip) as source:
        session.step(source.read(0))
        session.prompt(1, points=[point], labels=[1])
        start = time.perf_counter()
        for index in range(1, frames + 1):
            image = source.read(index)
            masks = session.step(image)
            draw_masks(image, masks.masks)
        return time.perf_counter() - start


def pipelined(model: Sam, clip: Path, frames: int, point: tuple[float, float]) -> float:
    """Seconds for the same with everything overlapped."""
    with open_frames(clip) as source:
        options = TrackingOptions(read_ahead=3)
        session = sam2_mlx.TrackingSession(model, source, options=options)
        session.prompt(1, frame=0, points=[point], labels=[1])
        start = 0.0
        for masks in session.propagate(length=frames):
            if masks.frame == 0:
                np.array(masks.logits)
                start = time.perf_counter()
                continue
            assert session.image is not None
            draw_masks(session.image, masks.masks)
        return time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main())
