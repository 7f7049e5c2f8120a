"""What refined edges are worth: F of masks against drawn truth, plain and refined.

    python benchmarks/refined_edges.py --clips 6

The held-out clips (docs/quality.md), each object prompted with its true mask on the first frame and
followed by the bundled model. F is that of `sam2-mlx eval`, and once more with a tolerance of one
pixel; time is that of the masks of a frame, once they are computed by the network.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Iterator

import numpy as np

import sam2_mlx
from sam2_mlx.evaluation.measures import boundary_similarity, region_similarity
from sam2_mlx.ops.edges import refined_masks
from sam2_mlx.tracking.results import FrameMasks
from training.heldout import heldout_scene

_ONE_PIXEL = 1e-9


def followed(clips: int, frames: int) -> Iterator[tuple[FrameMasks, np.ndarray, np.ndarray]]:
    """Masks of a frame, its picture, and its true labels."""
    model = sam2_mlx.load("nano")
    for number in range(clips):
        session = sam2_mlx.TrackingSession(model)
        for frame in heldout_scene(number, frames).frames(frames):
            masks = session.step(frame.image)
            if masks.frame == 0:
                for value in np.unique(frame.labels[frame.labels > 0]):
                    masks = session.prompt(int(value), mask=frame.labels == value)
            yield masks, frame.image, frame.labels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--clips", type=int, default=6)
    parser.add_argument("--frames", type=int, default=24)
    args = parser.parse_args()
    scores: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    seconds: dict[str, float] = defaultdict(float)
    for frame, image, labels in followed(args.clips, args.frames):
        logits = np.array(frame.coarse[:, 0], np.float32)
        begin = time.perf_counter()
        forms = {"plain": frame.masks}
        middle = time.perf_counter()
        forms["refined"] = refined_masks(logits, image)
        seconds["plain"] += middle - begin
        seconds["refined"] += time.perf_counter() - middle
        for number, plain, refined in zip(frame.object_ids, *forms.values(), strict=True):
            truth = labels == number
            # Where the object is lost, or not there, edges say nothing.
            if frame.frame and region_similarity(truth, plain) > 0.5:
                for name, mask in (("plain", plain), ("refined", refined)):
                    close = boundary_similarity(truth, mask, _ONE_PIXEL)
                    both = region_similarity(truth, mask), boundary_similarity(truth, mask)
                    scores[name].append((*both, close))
    count = len(scores["plain"])
    print(f"{count} masks that have found their object | J | F | F at one pixel | ms a frame")
    for name, rows in scores.items():
        mean = 100 * np.mean(rows, axis=0)
        milliseconds = 1e3 * seconds[name] / (args.clips * args.frames)
        print(f"{name} | {mean[0]:.1f} | {mean[1]:.1f} | {mean[2]:.1f} | {milliseconds:.1f}")


if __name__ == "__main__":
    main()
