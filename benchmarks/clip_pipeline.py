"""The video command beside a device that only waits: what a frame costs besides the network.

    python -m benchmarks.clip_pipeline --size 3840x2160

A stand-in for the model takes `--wait` milliseconds a frame, without the processor, and gives a
mask that is there already; all else is the command itself, from the file to the written video.
It runs with and without the wait, in turn: the clip should take no longer than the longer of
network and pipeline.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import mlx.core as mx
import numpy as np

from sam2_mlx.cli.video import parser as command_parser
from sam2_mlx.cli.video_job import Host
from sam2_mlx.cli.video_plan import run
from sam2_mlx.config import MODELS
from sam2_mlx.media import demo_clip, open_frames
from sam2_mlx.ops.cpu.allocator import keep_freed_memory
from sam2_mlx.tracking import session as tracking
from sam2_mlx.tracking.results import FrameMasks


@dataclass(frozen=True)
class Device:
    """What a session asks of a model, and how long the network takes for a frame."""

    seconds: float
    masks: np.ndarray
    config: Any
    dtype: mx.Dtype = mx.float16
    home: None = None

    def encode_image(self, pixels: mx.array) -> SimpleNamespace:
        """Features of no size."""
        return SimpleNamespace(arrays=lambda: [])


class WaitingSession(tracking.TrackingSession):
    """Reads ahead as any session; the device is busy for a while with each frame."""

    _free = 0.0

    def add(self, *_: Any, **__: Any) -> None:  # type: ignore[override]
        """Nothing: the mask is there already."""

    def require_prompts(self) -> None:
        """Nothing: none is needed."""

    def _track(self, frame: int, reverse: bool) -> dict[int, Any]:
        self._current.features(frame)
        self._free = max(self._free, time.perf_counter()) + self.model.seconds
        return {}

    def _show(self, frame: int, answers: dict[int, Any]) -> FrameMasks:
        time.sleep(max(0.0, self._free - time.perf_counter()))
        one = mx.ones((1,))
        masks = FrameMasks(frame, (1,), mx.zeros((1, 1, 2, 2)), one, one, self.frame_size)
        masks.__dict__["masks"] = self.model.masks
        return masks


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clip", type=Path, help="instead of the bundled one, enlarged")
    parser.add_argument("--size", default="3840x2160", help="to which the clip is enlarged")
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--wait", type=float, default=60, help="of the device, in ms")
    parser.add_argument("--image-size", type=int, default=1024)
    parser.add_argument("options", nargs="*", help="of the video command, after --")
    args = parser.parse_args(argv)
    keep_freed_memory()
    tracking.TrackingSession = WaitingSession  # type: ignore[misc]
    with tempfile.TemporaryDirectory() as folder:
        clip = args.clip or enlarged(Path(folder) / "clip.mp4", args.size, args.frames)
        report = measure(clip, args, Path(folder) / "out")
    print(json.dumps(report))
    return 0


def measure(clip: Path, args: argparse.Namespace, target: Path) -> dict[str, float]:
    """Milliseconds a frame with and without the wait, as medians of the rounds."""
    waits = {"hidden": args.wait / 1000, "pipeline": 0.0}
    walls: dict[str, list[float]] = {name: [] for name in waits}
    spent: list[float] = []
    for turn in range(args.rounds + 1):
        for name, wait in waits.items():
            wall, processor, frames = follow(clip, wait, args, target)
            if turn:  # the first round warms up
                walls[name].append(1000 * wall / frames)
                spent.append(1000 * processor / frames)
    ratios = [
        both / max(args.wait, alone)
        for both, alone in zip(walls["hidden"], walls["pipeline"], strict=True)
    ]
    report = {name: round(statistics.median(times), 1) for name, times in walls.items()}
    return {
        "network": args.wait,
        **report,
        "times_the_longer": round(statistics.median(ratios), 3),
        "processor": round(statistics.median(spent), 1),
        "processor_least": round(min(spent), 1),
    }


def follow(
    clip: Path, wait: float, args: argparse.Namespace, target: Path
) -> tuple[float, float, int]:
    """Wall and processor seconds of the command for a clip, and its frames."""
    suffix = "" if "pngs" in args.options else ".mov" if "prores4444" in args.options else ".mp4"
    words = [str(clip), "--point", "9,9", "--output", f"{target}{suffix}", *args.options]
    with open_frames(clip) as source:
        height, width, frames = source.height, source.width, source.num_frames
    config = replace(MODELS["tiny"], image_size=args.image_size)
    device = Device(wait, ellipse(height, width), config)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        begin, spent = time.perf_counter(), time.process_time()
        code = run(command_parser().parse_args(words), Host(lambda _: device))  # type: ignore
        end = time.perf_counter() - begin, time.process_time() - spent
    assert code == 0
    return *end, frames


def ellipse(height: int, width: int) -> np.ndarray:
    """An object on an eighth of the picture: bool (1, height, width)."""
    rows, columns = np.ogrid[:height, :width]
    radii = ((rows / height - 0.5) / 0.25) ** 2 + ((columns / width - 0.5) / 0.16) ** 2
    return np.asarray(radii < 1)[None]


def enlarged(target: Path, size: str, frames: int) -> Path:
    """The bundled clip in another size."""
    width, height = (int(side) for side in size.split("x"))
    with av.open(str(target), "w") as container:
        options = {"preset": "veryfast", "crf": "20"}
        stream: Any = container.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number, picture in enumerate(looped(demo_clip(), frames)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame = frame.reformat(width, height, "yuv420p", interpolation="BICUBIC")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return target


def looped(clip: Path, frames: int) -> Iterator[np.ndarray]:
    """So many frames of a clip, from its start again where it is shorter."""
    with open_frames(clip) as source:
        for number in range(frames):
            yield source.read(number % source.num_frames)


if __name__ == "__main__":
    sys.exit(main())
