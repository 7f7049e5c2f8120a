"""Draws frames of a dataset with found masks over them, one row a clip, as one small PNG.

    python -m training.contact_sheet DATASET MASKS docs/images/quality.png --clips 6

The fill is what was found; the white line is the edge of the true mask.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from sam2_mlx.evaluation.annotations import AnnotatedSequence
from sam2_mlx.evaluation.datasets import open_dataset
from sam2_mlx.evaluation.measures import boundary
from sam2_mlx.evaluation.runs import SavedMasks
from sam2_mlx.media.overlay import draw_masks

_TILE = (176, 132)
_COLORS = 128


def draw_row(sequence: AnnotatedSequence, source: SavedMasks, count: int) -> np.ndarray:
    """Some frames of a sequence beside each other, the first and the last among them.

    Args:
        sequence: the frames and their true masks.
        source: the masks that were found.
        count: how many frames.

    Returns:
        uint8 (h, w, 3) RGB.
    """
    chosen = set(np.linspace(0, sequence.frames.num_frames - 1, count).round().astype(int).tolist())
    tiles = []
    for result in source.follow(sequence):
        if result.frame not in chosen:
            continue
        masks = [result.masks[number] for number in sorted(result.masks)]
        picture = draw_masks(sequence.frames.read(result.frame), masks, 0.55)
        for truth in result.truth.values():
            picture[boundary(truth)] = 255
        tiles.append(np.asarray(Image.fromarray(picture).resize(_TILE, Image.Resampling.LANCZOS)))
    return np.hstack(tiles)


def main(argv: Sequence[str] | None = None) -> int:
    """Draw the sheet.

    Args:
        argv: the arguments; None takes those of the process.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(
        prog="python -m training.contact_sheet", description="Draw frames with found masks."
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("masks", type=Path, help="as `sam2-mlx eval --save-masks` wrote them")
    parser.add_argument("output", type=Path)
    parser.add_argument("--clips", type=int, default=6, help="how many, from the first on")
    parser.add_argument("--frames", type=int, default=6, help="how many of each")
    args = parser.parse_args(argv)
    dataset = open_dataset(args.dataset)
    source = SavedMasks(args.masks)
    rows = [
        draw_row(dataset.open(name), source, args.frames) for name in dataset.names[: args.clips]
    ]
    sheet = Image.fromarray(np.vstack(rows))
    # A palette without dithering: a third of the bytes.
    small = sheet.quantize(_COLORS, dither=Image.Dither.NONE)
    small.save(args.output, optimize=True)
    print(f"wrote {args.output} with {args.output.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
