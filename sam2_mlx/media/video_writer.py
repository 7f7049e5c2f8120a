"""Write a video with the source's rate and sound: to a file, or to a pipe."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from sam2_mlx.files import StagedFile
from sam2_mlx.media.audio import Soundtrack
from sam2_mlx.media.encodings import H264, Encoding
from sam2_mlx.media.errors import MediaError, dropping
from sam2_mlx.media.frame_source import FrameSource, StreamFormat
from sam2_mlx.media.webm import set_pixel_aspect
from sam2_mlx.media.yuv import rgb_to_yuv420

# A container that can be read while it is being written.
_PIPE_FORMAT, _PIPE_SUFFIX = "matroska", ".mkv"


def check_video_name(target: Path, encoding: Encoding = H264) -> None:
    """Check that a name tells a container that an encoding can be written to.

    Raises:
        MediaError: if the encoding does not go into a file of this extension.
    """
    if target.suffix.lower() not in encoding.suffixes:
        kind = f"'{target.suffix}'" if target.suffix else "no extension"
        *others, last = encoding.suffixes
        suffixes = f"{', '.join(others)} or {last}" if others else last
        raise MediaError(f"{target} has {kind}; give the video a name that ends in {suffixes}")


class VideoWriter:
    """Writes frames under a hidden name; `finish` gives the video its own.

    An odd width or height is made even by repeating the last column or row, where the encoding
    needs it. The picture is written upright, with no rotation tag.

    Args:
        target: the video to write, or an open pipe, which gets Matroska; an existing file is
            replaced at the end.
        format: size, frame rate, pixel shape and colours.
        audio: where the sound comes from, or None for none.
        encoding: how frames are encoded; H.264 for players by default.

    Attributes:
        frames: number of frames written so far.

    Raises:
        MediaError: if the target cannot be written or its extension is not known.
    """

    def __init__(
        self,
        target: Path | BinaryIO,
        format: StreamFormat,
        audio: Soundtrack | None = None,
        encoding: Encoding = H264,
    ) -> None:
        self.target = target if isinstance(target, Path) else Path("-")
        self._pipe = None if isinstance(target, Path) else target
        if self._pipe is None:
            check_video_name(self.target, encoding)
        self.frames = 0
        self._encoding = encoding
        self._format = format
        self._audio = audio
        self._reformatter = VideoReformatter()
        self._durations: deque[tuple[int, int]] = deque()
        self._end = Fraction(0)
        # Exact steps of a constant rate; else fine enough for any source's own clock.
        self._time_base = 1 / format.frame_rate if format.steady else Fraction(1, 90000)
        self._container: Any = None
        self._stream: Any = None
        self._staged = StagedFile(self.target) if self._pipe is None else None

    @property
    def sound_problem(self) -> str | None:
        """Why the sound is not complete, or None."""
        return self._audio.problem if self._audio is not None else None

    def start_sound_at(self, origin: Fraction) -> None:
        """Choose which moment of the source's sound is second 0; only before the first frame.

        Args:
            origin: seconds on the clock of the source's file.
        """
        if self._audio is not None:
            self._audio.start = origin

    def write(self, frame: Any, time: Fraction, duration: Fraction) -> None:
        """Add a frame.

        Args:
            frame: uint8 (height, width, 3) RGB, or (height, width, 4) with alpha; or what
                `yuv.rgb_to_yuv420` gives.
            time: seconds from the first written frame, rising.
            duration: seconds that the frame is shown.

        Raises:
            MediaError: if it cannot be written, the disk being full for example.
            BrokenPipeError: if nobody reads the pipe any more.
            ValueError: if the frame has another size.
        """
        in_rgb = isinstance(frame, np.ndarray)
        channels = 4 if self._encoding.alpha else 3
        expected = (self._format.height, self._format.width, channels)
        if in_rgb and frame.shape != expected:
            raise ValueError(f"frames need shape {expected}; got {frame.shape}")
        with dropping(self.target, self.abort, av.FFmpegError):
            if self._container is None:
                self._open()
            picture = self._to_yuv(frame) if in_rgb else frame
            picture.pts = self._ticks(time)
            picture.time_base = self._time_base
            self._durations.append(
                (picture.pts, max(1, self._ticks(time + duration) - picture.pts))
            )
            self._mux(self._stream.encode(picture))
            self._end = time + duration
            if self._audio is not None:
                self._audio.write_until(self._container, self._end)
        self.frames += 1

    def finish(self) -> None:
        """Complete the file and give it its name; without any frame nothing is written.

        Raises:
            MediaError: if it cannot be completed; nothing is left behind then.
            BrokenPipeError: if nobody reads the pipe any more.
        """
        if self._container is None:
            self.abort()
            return
        with dropping(self.target, self.abort, av.FFmpegError):
            self._mux(self._stream.encode(None))
            container, self._container = self._container, None
            container.close()
            aspect = self._format.pixel_aspect
            if self._staged and self.target.suffix.lower() == ".webm" and aspect != 1:
                size = (self._stream.width, self._stream.height)
                set_pixel_aspect(self._staged.path, size, aspect)
        if self._audio is not None:
            self._audio.close()
        if self._staged is not None:
            self._staged.commit()

    def abort(self) -> None:
        """Drop what was written; the target stays as it was."""
        container, self._container = self._container, None
        if container is not None:
            # It fails for the reason that led here.
            with suppress(av.FFmpegError, OSError):
                container.close()
        if self._audio is not None:
            self._audio.close()
        if self._staged is not None:
            self._staged.discard()

    def _open(self) -> None:
        container = self._open_container()
        self._container = container
        format, tags, encoding = self._format, self._format.colors, self._encoding
        if encoding.codec not in av.codecs_available:
            raise MediaError(
                f"PyAV has no encoder {encoding.codec} here; install the av package from PyPI"
            )
        stream: Any = container.add_stream(
            encoding.codec, rate=format.frame_rate, options=dict(encoding.options)
        )
        stream.width = format.width + self._missing(format.width)
        stream.height = format.height + self._missing(format.height)
        stream.pix_fmt = encoding.pixels
        stream.time_base = stream.codec_context.time_base = self._time_base
        stream.codec_context.sample_aspect_ratio = format.pixel_aspect
        stream.codec_context.color_primaries = tags.primaries
        stream.codec_context.color_trc = tags.transfer
        stream.codec_context.colorspace = tags.matrix
        stream.codec_context.color_range = ColorRange.MPEG
        self._stream = stream
        if self._audio is not None:
            self._audio.attach(container)

    def _open_container(self) -> Any:
        if self._staged is None:
            assert self._pipe is not None
            # Only `write`: with `seek` PyAV would take a pipe for a file.
            return av.open(_Pipe(self._pipe), mode="w", format=_PIPE_FORMAT)
        is_mp4 = self.target.suffix.lower() in (".mp4", ".mov")
        options = {"movflags": "+faststart"} if is_mp4 else {}
        return av.open(f"file:{self._staged.path}", mode="w", options=options)

    def _missing(self, length: int) -> int:
        """Pixels that a side lacks to be even, where it must be."""
        return length % 2 if self._encoding.even else 0

    def _ticks(self, time: Fraction) -> int:
        return round(time / self._time_base)

    def _to_yuv(self, frame: np.ndarray) -> Any:
        below, right = (self._missing(length) for length in frame.shape[:2])
        if below or right:
            frame = np.pad(frame, ((0, below), (0, right), (0, 0)), mode="edge")
        if not self._encoding.alpha:
            return rgb_to_yuv420(frame, self._format.colors.matrix)
        picture = av.VideoFrame.from_numpy_buffer(np.ascontiguousarray(frame), format="rgba")
        return self._reformatter.reformat(
            picture,
            format=self._encoding.pixels,
            dst_colorspace=Colorspace(self._format.colors.matrix),
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG,
        )

    def _mux(self, packets: list[Any]) -> None:
        for packet in packets:
            # Packets come out of order; each has the time of the frame it was made from.
            for number, (stamp, length) in enumerate(self._durations):
                if stamp == packet.pts:
                    packet.duration = length
                    del self._durations[number]
                    break
            self._container.mux(packet)


class _Pipe:
    """A file that can only be written to."""

    def __init__(self, pipe: BinaryIO) -> None:
        self._pipe = pipe

    def write(self, data: bytes) -> int:
        """Write and pass on at once, so that a reader sees each frame."""
        count = self._pipe.write(data)
        self._pipe.flush()
        return count


def write_like(
    target: Path | BinaryIO, source: FrameSource, first: int = 0, encoding: Encoding = H264
) -> VideoWriter:
    """A writer that takes rate, colours and sound from a source.

    Args:
        target: the video to write, or an open pipe.
        source: where the frames come from.
        first: number of the first frame that will be written; the sound starts there.
        encoding: how frames are encoded.

    Raises:
        MediaError: if the target cannot be written.
    """
    suffix = _PIPE_SUFFIX
    if isinstance(target, Path):
        check_video_name(target, encoding)
        suffix = target.suffix.lower()
    audio = None
    if source.has_audio:
        start = source.origin + source.time(first)
        audio = Soundtrack(source.path, source.sound, start, suffix)
    return VideoWriter(target, source.format, audio, encoding)
