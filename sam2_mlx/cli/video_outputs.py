"""What the video command writes: pictures in one of several forms, masks, scores."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from sam2_mlx.cli.outputs import check_not_input
from sam2_mlx.media.encodings import H264, PRORES_4444, WEBM_ALPHA, Encoding
from sam2_mlx.media.frame_source import FrameSource

if TYPE_CHECKING:
    from sam2_mlx.media.mask_writer import MaskWriter

PIPE = "-"
# Colours are kept so far around the objects: a player that blends pixels at their edge must not
# meet the black of what is left out.
_MARGIN_PIXELS = 8

_ENCODINGS: dict[str, Encoding | None] = {
    "video": H264,
    "prores4444": PRORES_4444,
    "webm-alpha": WEBM_ALPHA,
    "png-sequence": None,
}
FORMATS = tuple(_ENCODINGS)
"""Names of the forms; all but the first are the objects alone, with transparency."""


class PictureWriter(Protocol):
    """What `VideoWriter` and `PngSequence` have in common."""

    frames: int

    @property
    def sound_problem(self) -> str | None:
        """Why the sound is not complete, or None."""

    def start_sound_at(self, origin: Fraction) -> None:
        """Choose which moment of the source's sound is second 0."""

    def write(self, frame: np.ndarray, time: Fraction, duration: Fraction) -> None:
        """Add a frame."""

    def finish(self) -> None:
        """Complete it and give it its name."""

    def abort(self) -> None:
        """Drop what was written."""


@dataclass(frozen=True)
class VideoOutputs:
    """What is written where.

    Attributes:
        pictures: the video or folder, or None for standard output.
        format: one of `FORMATS`.
        masks: where the masks go, or None.
        scores: where the scores go, or None.
    """

    pictures: Path | None
    format: str = "video"
    masks: Path | None = None
    scores: Path | None = None

    @classmethod
    def named(
        cls, output: str | None, stem: str, format: str, masks: str | None, scores: str | None
    ) -> VideoOutputs:
        """Outputs as they are typed; without a name the clip gives it.

        Args:
            output: the video or folder, `-` for standard output, or None.
            stem: name of the clip without extension.
            format: one of `FORMATS`.
            masks: where the masks go, or None.
            scores: where the scores go, or None.

        Raises:
            MediaError: if a name does not fit the format.
        """
        from sam2_mlx.media.video_writer import check_video_name

        encoding = _ENCODINGS[format]
        pictures: Path | None
        if output == PIPE and encoding is not None:
            pictures = None
        elif output is not None:
            pictures = Path(output)
        elif format == "video":
            pictures = Path(f"{stem}_masked.mp4")
        else:
            suffix = encoding.suffixes[0] if encoding is not None else ""
            pictures = Path(f"{stem}_cutout{suffix}")
        if pictures is not None and encoding is not None:
            check_video_name(pictures, encoding)
        return cls(
            pictures, format, Path(masks) if masks else None, Path(scores) if scores else None
        )

    def check(self, clip: Path) -> None:
        """Check that nothing written takes the place of the clip.

        Raises:
            UsageError: if it does.
        """
        for target, option in (
            (self.pictures, "--output"),
            (self.masks, "--save-masks"),
            (self.scores, "--scores"),
        ):
            if target is not None:
                check_not_input(target, clip, option)

    def open_pictures(self, source: FrameSource, first: int) -> PictureWriter:
        """The writer of the pictures.

        Args:
            source: the clip.
            first: number of the first frame that will be written.

        Raises:
            MediaError: if it cannot be written.
        """
        encoding = _ENCODINGS[self.format]
        if encoding is None:
            from sam2_mlx.media.png_sequence import PngSequence

            assert self.pictures is not None
            return PngSequence(self.pictures)
        from sam2_mlx.media.video_writer import write_like

        target = self.pictures if self.pictures is not None else sys.stdout.buffer
        return write_like(target, source, first, encoding)

    def open_masks(self, ids: Sequence[int], size: tuple[int, int]) -> list[MaskWriter]:
        """The writers of masks and scores.

        Args:
            ids: the objects.
            size: (height, width) of the masks.

        Raises:
            MediaError: if one cannot be written.
        """
        from sam2_mlx.media.mask_writer import open_mask_writer
        from sam2_mlx.media.score_writer import ScoreLines

        writers: list[MaskWriter] = []
        try:
            if self.masks is not None:
                writers.append(open_mask_writer(self.masks, ids, size))
            if self.scores is not None:
                writers.append(ScoreLines(self.scores, ids, size))
        except ValueError:
            for writer in writers:
                writer.abort()
            raise
        return writers

    def draw(self, image: np.ndarray, masks: np.ndarray) -> np.ndarray:
        """What is written of one frame.

        Args:
            image: uint8 (H, W, 3) RGB.
            masks: bool (O, H, W).

        Returns:
            The picture with its masks drawn, uint8 (H, W, 3); or the objects alone, (H, W, 4).
        """
        if self.format == "video":
            from sam2_mlx.media.overlay import draw_masks

            return draw_masks(image, masks)
        import cv2

        cover = np.any(masks, axis=0).astype(np.uint8)
        near = cv2.dilate(cover, np.ones((2 * _MARGIN_PIXELS + 1,) * 2, np.uint8))
        return np.dstack([image * near[..., None], cover * 255])

    def __str__(self) -> str:
        targets = [self.pictures or "standard output", self.masks, self.scores]
        names = [str(target) for target in targets if target is not None]
        return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
