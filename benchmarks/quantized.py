"""What quantised weights cost in masks, and what they save: 8 and 4 bits against float32.

    python -m benchmarks.quantized
    python -m benchmarks.quantized --model FILE.pt --image-size 512 --frames 20

Each form follows the objects of the bundled clip. All of them take their turn on every frame, so
that the ratio of times does not depend on what else the machine does. The masks are compared with
those of the float32 model frame by frame. Prints a table for people and one JSON line for scripts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import sam2_mlx  # before MLX, whose BLAS it chooses

# isort: split
import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten

from sam2_mlx.checkpoints.convert import convert_checkpoint
from sam2_mlx.checkpoints.files import WEIGHTS_NAME
from sam2_mlx.checkpoints.load import locate
from sam2_mlx.media import demo_clip, open_frames
from sam2_mlx.ops.cpu.allocator import keep_freed_memory

# On the three objects of the bundled clip, in its first frame.
POINTS = ((105, 118), (520, 196), (250, 276))


class Form:
    """One form of the model, and what it has done so far.

    Args:
        folder: a converted folder.
        image_size: input size in pixels, or None.
    """

    def __init__(self, folder: Path, image_size: int | None) -> None:
        self.file_bytes = (folder / WEIGHTS_NAME).stat().st_size
        model = sam2_mlx.load(folder, dtype="float32", image_size=image_size)
        self.weight_bytes = sum(w.nbytes for w in dict(tree_flatten(model.parameters())).values())
        self.session = sam2_mlx.TrackingSession(model)
        self.seconds: list[float] = []
        self.overlaps: list[float] = []

    def step(self, image: np.ndarray, first: bool) -> np.ndarray:
        """Masks (objects, H, W) of the next frame."""
        start = time.perf_counter()
        masks = self.session.step(image)
        for number, point in enumerate(POINTS) if first else ():
            masks = self.session.prompt(number, points=[point], labels=[1])
        logits = np.array(masks.logits[:, 0])
        if not first:
            self.seconds.append(time.perf_counter() - start)
        return logits > 0


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two masks; 1 where both are empty."""
    union = np.logical_or(a, b).sum()
    return float(np.logical_and(a, b).sum() / union) if union else 1.0


def measure(folders: dict[str, Path], image_size: int | None, frames: int) -> dict[str, Form]:
    """Run every form over the clip, taking turns.

    Args:
        folders: name -> converted folder; the first is what the others are compared with.
        image_size: input size in pixels, or None.
        frames: how many frames.
    """
    forms = {name: Form(folder, image_size) for name, folder in folders.items()}
    with open_frames(demo_clip()) as source:
        for index in range(min(frames, source.num_frames)):
            image = source.read(index)
            wanted: np.ndarray | None = None
            for form in forms.values():
                masks = form.step(image, index == 0)
                wanted = masks if wanted is None else wanted
                form.overlaps += [overlap(a, b) for a, b in zip(masks, wanted, strict=True)]
    return forms


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="nano")
    parser.add_argument("--image-size", type=int)
    parser.add_argument("--frames", type=int, default=1000, help="at most; all of them by default")
    args = parser.parse_args(argv)
    keep_freed_memory()
    device = "gpu" if mx.default_device().type == mx.gpu else "cpu"
    with tempfile.TemporaryDirectory() as scratch:
        folders = {}
        for name, bits in (("float32", None), ("8 bits", 8), ("4 bits", 4)):
            folders[name] = Path(scratch) / name
            kind = "float32" if bits is None else "float16"
            convert_checkpoint(locate(args.model), folders[name], dtype=kind, bits=bits)
        forms = measure(folders, args.image_size, args.frames)
    report: dict[str, Any] = {"model": args.model, "device": device}
    base = statistics.median(forms["float32"].seconds)
    count = len(forms["float32"].seconds) + 1
    print(
        f"{args.model} on the {device}, {len(POINTS)} objects, {count} frames; "
        "IoU with the masks of float32"
    )
    print(
        f"{'weights':<9}{'file MB':>9}{'loaded MB':>11}{'IoU mean':>10}{'5 %':>8}{'lowest':>8}",
        end="",
    )
    print(f"{'ms a frame':>12}{'times float32':>15}")
    for name, form in forms.items():
        median = statistics.median(form.seconds)
        numbers = {
            "file_bytes": form.file_bytes,
            "weight_bytes": form.weight_bytes,
            "iou_mean": statistics.mean(form.overlaps),
            "iou_5_percent": float(np.percentile(form.overlaps, 5)),
            "iou_lowest": min(form.overlaps),
            "frame_ms": 1000 * median,
            "times_float32": median / base,
        }
        report[name] = numbers
        print(
            f"{name:<9}{form.file_bytes / 1e6:>9.1f}{form.weight_bytes / 1e6:>11.1f}"
            f"{numbers['iou_mean']:>10.4f}{numbers['iou_5_percent']:>8.3f}{numbers['iou_lowest']:>8.3f}"
            f"{numbers['frame_ms']:>12.0f}{numbers['times_float32']:>15.2f}"
        )
    print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
