"""What the video command writes: pictures in one of several forms, masks, scores."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sam2_mlx.cli.outputs import check_not_input
from sam2_mlx.cli.sinks import PictureWriter, VideoSink
from sam2_mlx.media.encodings import H264, PRORES_4444, WEBM_ALPHA, Encoding
from sam2_mlx.media.frame_source import FrameSource
from sam2_mlx.media.mask_writer import MaskWriter, open_mask_writer
from sam2_mlx.media.score_writer import ScoreLines

PIPE = "-"

_ENCODINGS: dict[str, Encoding | None] = {
    "video": H264,
    "prores4444": PRORES_4444,
    "webm-alpha": WEBM_ALPHA,
    "png-sequence": None,
}
FORMATS = tuple(_ENCODINGS)
"""Names of the forms; all but the first are the objects alone, with transparency."""


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

    def open_pictures(self, source: FrameSource, first: int) -> VideoSink:
        """What writes the pictures.

        Args:
            source: the clip.
            first: number of the first frame that will be written.

        Raises:
            MediaError: if it cannot be written.
        """
        return VideoSink(self._picture_writer(source, first), source, self.format != FORMATS[0])

    def open_masks(self) -> Iterator[MaskWriter]:
        """What writes masks and scores.

        Raises:
            MediaError: if one cannot be written.
        """
        if self.masks is not None:
            yield open_mask_writer(self.masks)
        if self.scores is not None:
            yield ScoreLines(self.scores)

    def _picture_writer(self, source: FrameSource, first: int) -> PictureWriter:
        encoding = _ENCODINGS[self.format]
        if encoding is None:
            from sam2_mlx.media.png_sequence import PngSequence

            assert self.pictures is not None
            return PngSequence(self.pictures)
        from sam2_mlx.media.video_writer import write_like

        target = self.pictures if self.pictures is not None else sys.stdout.buffer
        return write_like(target, source, first, encoding)

    def __str__(self) -> str:
        targets = [self.pictures or "standard output", self.masks, self.scores]
        names = [str(target) for target in targets if target is not None]
        return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
