"""Masks of the torch reference on a dataset in the layout of DAVIS, for `sam2-mlx eval --masks`.

    ORACLE -m benchmarks.quality_reference HELDOUT masks_reference --model nano --image-size 256
    sam2-mlx eval HELDOUT --masks masks_reference
    sam2-mlx eval HELDOUT --model nano --dtype float32 --image-size 256 --fill-holes 0

ORACLE is a Python with torch and the reference; tests/parity/reference_model.py says how to set it
up. Objects are prompted on the first frame, with their true masks or a click in their middle. Holes
are not filled, which needs CUDA in the reference, so our run must not fill them either.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from tests.parity.reference_model import build


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--checkpoint", help="official .pt for a published name")
    parser.add_argument("--image-size", type=int, default=256)
    parser.add_argument("--prompt", choices=("mask", "click"), default="mask")
    parser.add_argument("--resolution", default="480p")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    model = build(args.model, args.image_size, checkpoint=args.checkpoint)
    # As the reference's own script for such datasets has it: no pixel belongs to two objects.
    model.non_overlap_masks = True
    for folder in sorted((args.dataset / "JPEGImages" / args.resolution).iterdir()):
        begin = time.perf_counter()
        annotations = args.dataset / "Annotations" / args.resolution / folder.name
        follow(model, folder, annotations, args.output / folder.name, args.prompt)
        print(f"{folder.name}: {time.perf_counter() - begin:.1f} s", flush=True)
    return 0


@torch.inference_mode()
def follow(model: Any, folder: Path, annotations: Path, target: Path, prompt: str) -> None:
    """Follow the objects of one sequence and save their masks.

    Args:
        model: the reference's video predictor.
        folder: the frames.
        annotations: the true masks, of which the first is used.
        target: gets a palette PNG a frame.
        prompt: "mask" or "click".
    """
    names = sorted(folder.glob("*.jpg"))
    first = np.asarray(Image.open(sorted(annotations.glob("*.png"))[0]))
    target.mkdir(parents=True, exist_ok=True)
    state = model.init_state(str(folder))
    for number in range(1, int(first.max()) + 1):
        truth = first == number
        if prompt == "mask":
            model.add_new_mask(state, 0, number, truth)
        else:
            model.add_new_points_or_box(state, 0, number, points=[middle(truth)], labels=[1])
    for index, numbers, logits in model.propagate_in_video(state):
        values = np.zeros(first.shape, np.uint8)
        for number, each in zip(numbers, logits[:, 0].numpy() > 0, strict=True):
            values[each] = number
        Image.fromarray(values).save(target / f"{names[index].stem}.png")


def middle(truth: np.ndarray) -> tuple[int, int]:
    """The pixel (x, y) of an object that is farthest from its edge."""
    import cv2

    depth = cv2.distanceTransform(np.pad(truth, 1).astype(np.uint8), cv2.DIST_L2, 0)[1:-1, 1:-1]
    y, x = np.unravel_index(int(np.argmax(depth)), depth.shape)
    return int(x), int(y)


if __name__ == "__main__":
    sys.exit(main())
