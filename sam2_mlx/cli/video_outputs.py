"""What the video command writes: pictures in one of several forms, masks, scores."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sam2_mlx.cli.arguments import ENCODERS, FORMATS
from sam2_mlx.cli.errors import UsageError
from sam2_mlx.cli.outputs import check_outputs
from sam2_mlx.files import check_target
from sam2_mlx.media.encodings import ENCODINGS
from sam2_mlx.media.frame_source import FrameSource
from sam2_mlx.media.mask_writer import MaskWriter, open_mask_writer
from sam2_mlx.media.score_writer import ScoreLines
from sam2_mlx.media.sinks import VideoSink, open_pictures
from sam2_mlx.media.video_writer import check_video_name

PIPE = Path("-")


@dataclass(frozen=True)
class VideoOutputs:
    """What is written where.

    Attributes:
        pictures: the video or folder, or None for standard output.
        format: one of `FORMATS`.
        masks: where the masks go, or None.
        scores: where the scores go, or None.
        session: where the session is saved after the last frame, or None.
        prompts: where the prompts are saved, or None.
        encoder: one of `ENCODERS`.
    """

    pictures: Path | None
    format: str = FORMATS[0]
    masks: Path | None = None
    scores: Path | None = None
    session: Path | None = None
    prompts: Path | None = None
    encoder: str = ENCODERS[0]

    @property
    def others(self) -> list[Path]:
        """What is written beside the pictures."""
        return [one for one in (self.masks, self.scores, self.session, self.prompts) if one]

    @classmethod
    def typed(cls, args: argparse.Namespace, stem: str) -> VideoOutputs:
        """Outputs as they are typed; without a name the clip's gives it, `stem`.

        Raises:
            MediaError: if a name does not fit the format, or the session cannot be saved there.
        """
        encoding = ENCODINGS[args.format]
        kind = "masked" if args.format == FORMATS[0] else "cutout"
        pictures: Path | None = Path(f"{stem}_{kind}{encoding.suffixes[0] if encoding else ''}")
        if args.output == PIPE and encoding is not None:
            pictures = None
        elif args.output is not None:
            pictures = args.output
        if pictures is not None and encoding is not None:
            check_video_name(pictures, encoding)
        if args.encoder != ENCODERS[0] and args.format != FORMATS[0]:
            raise UsageError(f"--encoder is for H.264; leave out --format {args.format}")
        session = args.save_session
        if session is not None and session.suffix != ".safetensors":
            raise UsageError(
                f"--save-session needs a name that ends in .safetensors; got {session}"
            )
        for target in (session, args.save_prompts):
            if target is not None:
                check_target(target)
        others = (args.save_masks, args.scores, session, args.save_prompts)
        return cls(pictures, args.format, *others, args.encoder)

    def check(self, inputs: Iterable[Path]) -> None:
        """Check that nothing written takes the place of what is read or of anything else written.

        Raises:
            UsageError: if it does.
        """
        targets = [
            ("--output", self.pictures),
            ("--save-masks", self.masks),
            ("--scores", self.scores),
            ("--save-session", self.session),
            ("--save-prompts", self.prompts),
        ]
        check_outputs(targets, inputs)

    def open_pictures(self, source: FrameSource, first: int) -> VideoSink:
        """What writes the pictures of a clip, the first of which has the number `first` there.

        Raises:
            MediaError: if it cannot be written.
        """
        if self.pictures is None and sys.stdout is None:
            raise UsageError("--output - needs a standard output, and it is closed; name a file")
        target = self.pictures or sys.stdout.buffer
        return open_pictures(target, self.format, source, first, self.encoder)

    def open_masks(self) -> Iterator[MaskWriter]:
        """What writes masks and scores.

        Raises:
            MediaError: if one cannot be written.
        """
        if self.masks is not None:
            yield open_mask_writer(self.masks)
        if self.scores is not None:
            yield ScoreLines(self.scores)

    def __str__(self) -> str:
        targets = [self.pictures or "standard output", self.masks, self.scores]
        names = [str(target) for target in targets if target is not None]
        return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
