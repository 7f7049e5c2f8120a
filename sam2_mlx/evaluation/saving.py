"""Masks that were found, saved in the dataset's layout so that other evaluators can read them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sam2_mlx.evaluation.annotations import AnnotatedSequence, DavisSequence
from sam2_mlx.evaluation.runs import FoundMasks
from sam2_mlx.files import writing_failed
from sam2_mlx.media.mask_writer import palette_image
from sam2_mlx.media.overlay import object_color


class MaskFolder:
    """Writes `SEQUENCE/FRAME.png`, or `VIDEO/OBJECT/FRAME.png` for the layout of SA-V.

    Args:
        folder: gets a folder for each sequence; files that are there are replaced.
        sequence: whose masks are saved.

    Raises:
        MediaError: if it cannot be written.
    """

    def __init__(self, folder: Path, sequence: AnnotatedSequence) -> None:
        self._folder = folder / sequence.name
        self._sequence = sequence
        palette = np.zeros((256, 3), np.uint8)
        for rank in range(255):
            palette[rank + 1] = object_color(rank)
        self._palette = palette.tobytes()

    def add(self, found: FoundMasks) -> None:
        """Save the masks of a frame.

        Args:
            found: the masks.

        Raises:
            MediaError: if they cannot be written.
        """
        stem = self._sequence.frames.name(found.frame)
        numbers = sorted(found.masks)
        if isinstance(self._sequence, DavisSequence):
            self._write(self._folder / f"{stem}.png", [found.masks[n] for n in numbers], numbers)
            return
        for number in numbers:
            folder = self._folder / self._sequence.objects[number]
            self._write(folder / f"{stem}.png", [found.masks[number]], [1])

    def _write(self, file: Path, masks: list[np.ndarray], values: list[int]) -> None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            palette_image(np.stack(masks), values, self._palette).save(file, compress_level=3)
        except OSError as problem:
            raise writing_failed(file, problem) from problem
