"""What takes the frames of a clip with their masks, one after the other.

Masks and scores are written by the mask writers, which are sinks as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

import numpy as np

from sam2_mlx.media.cutout import cut_out_frame
from sam2_mlx.media.encodings import ENCODINGS, H264, h264
from sam2_mlx.media.frame_source import FrameSource
from sam2_mlx.media.mask_writer import MaskRecord
from sam2_mlx.media.overlay import draw_masks, draw_on_decoded

if TYPE_CHECKING:
    from sam2_mlx.media.png_sequence import PngSequence
    from sam2_mlx.media.video_writer import VideoWriter


@dataclass(frozen=True)
class ShownFrame(MaskRecord):
    """A frame with its masks.

    Attributes:
        index: number of the frame in the source; `frame` is that in the file, which has more
            frames where some are left out.
        image: uint8 (H, W, 3) RGB.
    """

    index: int
    image: np.ndarray

    @cached_property
    def drawn(self) -> np.ndarray:
        """The picture with its masks drawn, uint8 (H, W, 3) RGB."""
        return draw_masks(self.image, self.masks)

    @property
    def cutout(self) -> np.ndarray:
        """The objects alone, uint8 (H, W, 4) RGBA."""
        return cut_out_frame(self.image, self.masks)


class Sink(Protocol):
    """Takes frames; `finish` or `abort` is called once in the end, `abort` perhaps after both."""

    def add(self, frame: ShownFrame, /) -> None:
        """Take a frame."""

    def finish(self) -> None:
        """All went well: complete what was made."""

    def abort(self) -> None:
        """Something failed: drop what was made."""


@contextmanager
def all_or_nothing() -> Iterator[list[Sink]]:
    """A list of sinks that are all aborted if anything fails, Ctrl-C included."""
    sinks: list[Sink] = []
    try:
        yield sinks
    except BaseException:
        for sink in sinks:
            sink.abort()
        raise


class VideoSink:
    """The frames with their masks drawn, or the objects alone, each at its own time.

    Args:
        writer: writes the pictures.
        source: the clip, which knows when each frame is shown.
        alone: leave out what is not an object.
    """

    def __init__(self, writer: VideoWriter | PngSequence, source: FrameSource, alone: bool) -> None:
        self._writer = writer
        self._source = source
        self._alone = alone
        self._begin: Fraction | None = None

    @property
    def sound_problem(self) -> str | None:
        """Why the sound is not complete, or None."""
        return self._writer.sound_problem

    def add(self, frame: ShownFrame) -> None:
        """Write a frame."""
        now, after = (self._source.time(frame.index + step) for step in (0, 1))
        if self._begin is None:
            self._begin = now
            # Where the backward pass was cut short, the sound starts later too.
            self._writer.start_sound_at(self._source.origin + now)
        self._writer.write(self._picture(frame), now - self._begin, after - now)

    def _picture(self, frame: ShownFrame) -> Any:
        """What is written of a frame: drawn on what was decoded, where that can be."""
        if self._alone:
            return frame.cutout
        decoded = self._source.decoded(frame.index)
        if decoded is None:
            return frame.drawn
        matrix = self._source.format.colors.matrix
        return draw_on_decoded(decoded, frame.image, frame.masks, matrix)

    def finish(self) -> None:
        """Complete the video; without a frame there is none."""
        self._writer.finish() if self._writer.frames else self._writer.abort()

    def abort(self) -> None:
        """Drop what was written."""
        self._writer.abort()


def open_pictures(
    target: Path | BinaryIO, form: str, source: FrameSource, first: int, encoder: str = "auto"
) -> VideoSink:
    """What writes the pictures of a clip.

    Args:
        target: a file, a pipe, or a folder for pictures.
        form: one of `ENCODINGS`.
        source: the clip.
        first: number there of the first frame that will come.
        encoder: what encodes H.264; see `encodings.h264`.

    Raises:
        MediaError: if it cannot be written.
    """
    from sam2_mlx.media.png_sequence import PngSequence
    from sam2_mlx.media.video_writer import write_like

    encoding = ENCODINGS[form]
    alone = encoding is not H264
    if not alone:
        encoding = h264(encoder, (source.width, source.height))
    writer: VideoWriter | PngSequence
    if encoding is not None:
        writer = write_like(target, source, first, encoding)
    else:
        assert isinstance(target, Path)
        writer = PngSequence(target, source.format.pixel_aspect)
    return VideoSink(writer, source, alone)
