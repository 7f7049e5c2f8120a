"""Steps a long stream and prints the memory in use: it must be flat.

    python -m benchmarks.soak --frames 20000 --image-size 64

Frames are made on the fly. Objects are corrected, removed and added again on the way.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import astuple, dataclass

import numpy as np

import sam2_mlx
from sam2_mlx.model.sam import Sam
from sam2_mlx.ops.cpu.allocator import keep_freed_memory
from sam2_mlx.tracking.options import TrackingOptions

SIZE = (144, 192)
CORRECT_EVERY = 500
MIB = 2**20


@dataclass(frozen=True)
class Sample:
    """Memory at one moment.

    Attributes:
        frame: index of the frame.
        resident: bytes of the process in physical memory.
        active: bytes of live MLX arrays.
        cache: bytes of freed buffers that MLX keeps.
        peak: highest `active` so far.
        banks: bytes in memory banks.
    """

    frame: int
    resident: int
    active: int
    cache: int
    peak: int
    banks: int


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--objects", type=int, default=2)
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--model", default="nano")
    args = parser.parse_args(argv)
    keep_freed_memory()
    model = sam2_mlx.load(args.model, image_size=args.image_size)
    print(f"{args.model} at {args.image_size}, {args.objects} objects, {args.frames} frames")
    print("   frame  resident    active     cache      peak     banks   (MiB)   frames/s")
    start = time.perf_counter()
    samples = []
    for sample in soak(model, args.frames, args.objects):
        samples.append(sample)
        frame, *numbers = astuple(sample)
        rate = frame / (time.perf_counter() - start)
        print(f"{frame:8d}" + "".join(f"{n / MIB:10.2f}" for n in numbers) + f"{rate:19.1f}")
        sys.stdout.flush()
    early, late = flat_pair(samples)
    growth = late.resident - early.resident
    print(f"resident memory from frame {early.frame} to {late.frame}: {growth / MIB:+.2f} MiB")
    return 0


def soak(model: Sam, frames: int, objects: int, samples: int = 8) -> Iterator[Sample]:
    """Step a stream.

    Args:
        model: the model.
        frames: how many frames.
        objects: how many objects are followed.
        samples: how often memory is looked at.

    Yields:
        Memory at equal distances, first and last frame included.
    """
    import mlx.core as mx

    options = TrackingOptions(corrections_become_prompts=True)
    session = sam2_mlx.TrackingSession(model, options=options)
    mx.set_cache_limit(64 * MIB)
    mx.reset_peak_memory()
    looks = set(np.linspace(0, frames - 1, samples, dtype=int).tolist())
    for index in range(frames):
        masks = session.step(picture(index, objects))
        if index % CORRECT_EVERY == 0:
            # Every prompt stays a prompted frame, so the cap of streams is at work as well.
            for object_id in range(objects):
                x, y = place(index, object_id)
                masks = session.prompt(object_id, points=[[x, y]], labels=[1])
        elif index % CORRECT_EVERY == CORRECT_EVERY // 2:
            session.remove(0)
            x, y = place(index, 0)
            masks = session.prompt(0, points=[[x, y]], labels=[1])
        logits = np.array(masks.logits)
        assert np.isfinite(logits).all(), f"frame {index} has masks that are not numbers"
        if index in looks:
            yield Sample(
                index,
                resident_bytes(),
                mx.get_active_memory(),
                mx.get_cache_memory(),
                mx.get_peak_memory(),
                session.nbytes,
            )


def flat_pair(samples: list[Sample]) -> tuple[Sample, Sample]:
    """The samples to compare: after a quarter of the way, and the last one."""
    return samples[len(samples) // 4], samples[-1]


def place(index: int, object_id: int) -> tuple[float, float]:
    """Centre (x, y) of an object in pixels."""
    turn = 0.02 * index + 2.4 * object_id
    return SIZE[1] * (0.5 + 0.35 * np.cos(turn)), SIZE[0] * (0.5 + 0.35 * np.sin(1.3 * turn))


def picture(index: int, objects: int) -> np.ndarray:
    """Discs that wander over a gradient; uint8 (144, 192, 3)."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    image = np.stack([columns, rows, (columns + rows) // 2], axis=-1).astype(np.uint8) // 2
    for object_id in range(objects):
        x, y = place(index, object_id)
        inside = (columns - x) ** 2 + (rows - y) ** 2 < 18**2
        image[inside] = ((255, 80, 60), (70, 255, 90), (80, 110, 255))[object_id % 3]
    return image


def resident_bytes() -> int:
    """Physical memory of this process."""
    if sys.platform == "linux":
        with open("/proc/self/statm", encoding="ascii") as status:
            return int(status.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    import subprocess

    printed = subprocess.run(
        ["ps", "-o", "rss=", "-p", str(os.getpid())], capture_output=True, text=True, check=True
    )
    return int(printed.stdout) * 1024


if __name__ == "__main__":
    sys.exit(main())
