"""Writes the held-out clips: drawn video with true masks, in the layout of DAVIS.

    python -m training.heldout OUT --clips 12 --frames 24

Each clip has two to four objects. Object 1 is hidden near the middle, by a post or by a thing that
passes in front of it; in every second pair of clips object 2 looks nearly like it, and in every
third clip object 2 leaves the picture and comes back. The masks are the same on every machine; the
bytes of the pictures may differ with the version of the JPEG library. `sam2-mlx eval OUT` scores a
model on them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from training.drawing.scenes import Scene, make_scene

FIRST_SEED = 770_000
"""Seeds from here on are for measuring; nothing may be trained on them."""

_QUALITY = 95


def heldout_scene(number: int, frames: int) -> Scene:
    """One of the held-out scenes.

    Args:
        number: which, from zero.
        frames: length of the clip.
    """
    return make_scene(
        FIRST_SEED + number,
        frames,
        crossing=number % 2 == 1,
        lookalike=number % 4 >= 2,
        leaves=number % 3 == 2,
    )


def write_clip(folder: Path, number: int, frames: int) -> str:
    """Write one clip.

    Args:
        folder: gets JPEGImages/480p and Annotations/480p.
        number: which clip, from zero.
        frames: its length.

    Returns:
        Its name.
    """
    scene = heldout_scene(number, frames)
    name = "-".join([f"{number:02d}", *scene.story])
    pictures, masks = (folder / part / "480p" / name for part in ("JPEGImages", "Annotations"))
    for place in (pictures, masks):
        place.mkdir(parents=True, exist_ok=True)
    palette = _palette()
    for index, frame in enumerate(scene.frames(frames)):
        # Without subsampling colours stay where they are.
        Image.fromarray(frame.image).save(
            pictures / f"{index:05d}.jpg", quality=_QUALITY, subsampling=0
        )
        mask = Image.fromarray(frame.labels)
        mask.putpalette(palette)
        mask.save(masks / f"{index:05d}.png")
    return name


def main(argv: Sequence[str] | None = None) -> int:
    """Write the clips.

    Args:
        argv: the arguments; None takes those of the process.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(
        prog="python -m training.heldout", description="Write the held-out clips."
    )
    parser.add_argument("output", metavar="OUT", type=Path, help="a new or an empty folder")
    parser.add_argument("--clips", type=int, default=12)
    parser.add_argument("--frames", type=int, default=24)
    args = parser.parse_args(argv)
    if args.clips < 1 or args.frames < 12:
        parser.error("need at least 1 clip and 12 frames, or nothing can be hidden and come back")
    if args.output.exists() and (not args.output.is_dir() or any(args.output.iterdir())):
        parser.error(f"{args.output} is not an empty folder; name another")
    names = []
    for number in range(args.clips):
        names.append(write_clip(args.output, number, args.frames))
        print(f"{names[-1]}: {args.frames} frames")
    listed = args.output / "ImageSets" / "2017" / "val.txt"
    listed.parent.mkdir(parents=True)
    listed.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    return 0


def _palette() -> bytes:
    """Colours of the masks; only the values mean something."""
    colors = np.zeros((256, 3), np.uint8)
    for value in range(1, 256):
        colors[value] = (97 * value % 256, 151 * value % 256, 211 * value % 256)
    return colors.tobytes()


if __name__ == "__main__":
    sys.exit(main())
