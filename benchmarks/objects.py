"""What further objects cost: time a frame for 1 to 16 objects, in one batch and one by one.

    python -m benchmarks.objects --model nano --image-size 256

Objects are prompted on different frames, as in real use. Both ways take turns within one run, so
that the ratio does not depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import numpy as np

import sam2_mlx
from sam2_mlx.media import demo_clip, open_frames
from sam2_mlx.model.sam import Sam
from sam2_mlx.ops.cpu.allocator import keep_freed_memory
from sam2_mlx.ops.dtypes import dtype_name
from sam2_mlx.tracking.memory_schedule import MemoryPlan

# After so many frames the memory of the youngest object is full.
SETTLED = 17


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="nano")
    parser.add_argument("--image-size", type=int)
    parser.add_argument("--objects", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--rounds", type=int, default=10)
    args = parser.parse_args(argv)
    keep_freed_memory()
    model = sam2_mlx.load(args.model, image_size=args.image_size)
    kind = dtype_name(model.dtype)
    print(f"{args.model}, {kind}, {model.config.image_size}: milliseconds a frame (median)")
    print("objects   one batch   one by one   gain   batches   a further object")
    first = None
    with open_frames(demo_clip()) as source:
        images = [source.read(i) for i in range(source.num_frames)]
    for count in args.objects:
        together, apart, batches = measure(model, images, count, args.rounds)
        first = first or (count, together)
        further = (together - first[1]) / (count - first[0]) if count > first[0] else 0.0
        print(
            f"{count:7d}{together:12.1f}{apart:13.1f}{apart / together:7.2f}{batches:10d}"
            + (f"{further:19.1f}" if further else "                  -")
        )
        sys.stdout.flush()
    return 0


def measure(
    model: Sam, images: list[np.ndarray], count: int, rounds: int
) -> tuple[float, float, int]:
    """Time one number of objects.

    Args:
        model: the model.
        images: frames, shown in turn.
        count: how many objects.
        rounds: timed frames of either way.

    Returns:
        Median milliseconds a frame in one batch, and one by one; the batches of a frame.
    """
    session = sam2_mlx.TrackingSession(model)
    for index in range(count + SETTLED):
        session.step(images[index % len(images)])
        if index < count:
            x, y = 80 + 480 * (index % 4) / 3, 60 + 240 * (index // 4) / 3
            session.prompt(index, points=[[x, y]], labels=[1])
    times: dict[bool, list[float]] = {True: [], False: []}
    batches = 0
    for index in range(2 * (rounds + 1)):
        together = index % 2 == 0
        with counted_batches() as spy, one_by_one(not together):
            start = time.perf_counter()
            masks = session.step(images[index % len(images)])
            np.array(masks.logits)
            elapsed = time.perf_counter() - start
        if together:
            batches = spy.call_count
        if index >= 2:  # the first of either way warms up
            times[together].append(1000 * elapsed)
    return statistics.median(times[True]), statistics.median(times[False]), batches


def counted_batches() -> mock._patch[mock.MagicMock]:
    """Counts how often the model tracks."""
    plain = Sam.track_candidates
    return mock.patch.object(Sam, "track_candidates", autospec=True, side_effect=plain)


@contextmanager
def one_by_one(wanted: bool) -> Iterator[None]:
    """No two objects share a batch."""
    if not wanted:
        yield
        return
    with mock.patch.object(MemoryPlan, "shape", property(lambda plan: object())):
        yield


if __name__ == "__main__":
    sys.exit(main())
