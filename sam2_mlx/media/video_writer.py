"""Write a video that browsers and QuickTime play: H.264, the source's rate and sound."""

from __future__ import annotations

from collections import deque
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from .audio import AudioTrack
from .errors import MediaError, writing_failed
from .frame_source import FrameSource, StreamFormat
from .staging import StagedFile

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv")
# x264's scale: 18 is hard to tell from the source, 23 is its default.
_QUALITY = "18"


def check_video_name(target: Path) -> None:
    """Check that a name tells a container that can be written.

    Args:
        target: name of the video to write.

    Raises:
        MediaError: if its extension is none of .mp4, .mov and .mkv.
    """
    if target.suffix.lower() not in VIDEO_SUFFIXES:
        kind = f"'{target.suffix}'" if target.suffix else "no extension"
        raise MediaError(
            f"{target} has {kind}; give the video a name that ends in .mp4, .mov or .mkv"
        )


class VideoWriter:
    """Writes frames as H.264 (yuv420p) under a hidden name; `finish` gives it its own.

    An odd width or height is made even by repeating the last column or row, as the format
    needs. The picture is written upright, with no rotation tag.

    Args:
        target: the video to write (.mp4, .mov, .mkv); an existing file is replaced at the end.
        format: size, frame rate, pixel shape and colours.
        audio: where the sound comes from, or None for none.

    Attributes:
        frames: number of frames written so far.

    Raises:
        MediaError: if the target cannot be written or its extension is not known.
    """

    def __init__(self, target: Path, format: StreamFormat, audio: AudioTrack | None = None) -> None:
        check_video_name(target)
        self.target = target
        self.frames = 0
        self._format = format
        self._audio = audio
        self._reformatter = VideoReformatter()
        self._durations: deque[tuple[int, int]] = deque()
        self._end = Fraction(0)
        # Fine enough for any source's own clock; a constant rate gets exact steps.
        self._time_base = 1 / format.frame_rate
        self._container: Any = None
        self._stream: Any = None
        self._staged = StagedFile(target)

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

    def write(self, frame: np.ndarray, time: Fraction, duration: Fraction) -> None:
        """Add a frame.

        Args:
            frame: uint8 (height, width, 3) RGB.
            time: seconds from the first written frame, rising.
            duration: seconds that the frame is shown.

        Raises:
            MediaError: if it cannot be written, the disk being full for example.
            ValueError: if the frame has another size.
        """
        if frame.shape != (self._format.height, self._format.width, 3):
            raise ValueError(
                f"frames need shape {(self._format.height, self._format.width, 3)}; "
                f"got {frame.shape}"
            )
        try:
            if self._container is None:
                self._open(time, duration)
            picture = self._to_yuv(frame)
            picture.pts = self._ticks(time)
            picture.time_base = self._time_base
            self._durations.append(
                (picture.pts, max(1, self._ticks(time + duration) - picture.pts))
            )
            self._mux(self._stream.encode(picture))
            self._end = time + duration
            if self._audio is not None:
                self._audio.write_until(self._container, self._end)
        except (av.FFmpegError, OSError) as problem:
            self.abort()
            raise writing_failed(self.target, problem) from problem
        self.frames += 1

    def finish(self) -> None:
        """Complete the file and give it its name; without any frame nothing is written.

        Raises:
            MediaError: if it cannot be completed; nothing is left behind then.
        """
        if self._container is None:
            self.abort()
            return
        try:
            self._mux(self._stream.encode(None))
            container, self._container = self._container, None
            container.close()
        except (av.FFmpegError, OSError) as problem:
            self.abort()
            raise writing_failed(self.target, problem) from problem
        if self._audio is not None:
            self._audio.close()
        self._staged.commit()

    def abort(self) -> None:
        """Drop what was written; the target stays as it was."""
        container, self._container = self._container, None
        if container is not None:
            try:
                container.close()
            except (av.FFmpegError, OSError):
                pass  # it fails for the reason that led here
        if self._audio is not None:
            self._audio.close()
        self._staged.discard()

    def _open(self, time: Fraction, duration: Fraction) -> None:
        container = av.open(
            f"file:{self._staged.path}",
            mode="w",
            options={"movflags": "+faststart"} if self._is_mp4() else {},
        )
        self._container = container
        format, tags = self._format, self._format.colors
        options = {"preset": "veryfast", "crf": _QUALITY}
        stream: Any = container.add_stream("libx264", rate=format.frame_rate, options=options)
        stream.width = format.width + format.width % 2
        stream.height = format.height + format.height % 2
        stream.pix_fmt = "yuv420p"
        steps = (time / self._time_base, duration / self._time_base)
        if any(step.denominator != 1 for step in steps):
            self._time_base = Fraction(1, 90000)
        stream.time_base = stream.codec_context.time_base = self._time_base
        stream.codec_context.sample_aspect_ratio = format.pixel_aspect
        stream.codec_context.color_primaries = tags.primaries
        stream.codec_context.color_trc = tags.transfer
        stream.codec_context.colorspace = tags.matrix
        stream.codec_context.color_range = ColorRange.MPEG
        self._stream = stream
        if self._audio is not None:
            self._audio.attach(container)

    def _is_mp4(self) -> bool:
        return self.target.suffix.lower() in (".mp4", ".mov")

    def _ticks(self, time: Fraction) -> int:
        return round(time / self._time_base)

    def _to_yuv(self, frame: np.ndarray) -> Any:
        height, width = frame.shape[:2]
        if height % 2 or width % 2:
            frame = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        return self._reformatter.reformat(
            picture,
            format="yuv420p",
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


def write_like(target: Path, source: FrameSource, first: int = 0) -> VideoWriter:
    """A writer that takes rate, colours and sound from a source.

    Args:
        target: the video to write.
        source: where the frames come from.
        first: number of the first frame that will be written; the sound starts there.

    Returns:
        The writer.

    Raises:
        MediaError: if the target cannot be written.
    """
    check_video_name(target)
    audio = None
    if source.has_audio:
        start = source.origin + source.time(first)
        audio = AudioTrack(source.path, start, target.suffix.lower())
    return VideoWriter(target, source.format, audio)
