"""Which frames a video file holds: read from its packets, without decoding."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from sam2_mlx.media.errors import MediaError

# Only what the file itself holds: a playlist must not make us open network addresses.
OPEN_OPTIONS = {"protocol_whitelist": "file", "fflags": "genpts"}
# FFmpeg's demuxers for text and playlists take files that are no videos.
_NOT_VIDEO = frozenset({"tty", "concat", "hls", "dash", "txt"})


@dataclass(frozen=True)
class VideoIndex:
    """The frames of a video in the order they are shown.

    Attributes:
        stamps: presentation time of each frame in units of `time_base`, rising.
        keyframes: numbers of the frames from which decoding can start, rising; the first is 0.
        time_base: seconds of one unit.
        seekable: False where the file has no usable times: frames are then counted.
        frame_rate: frames a second; their mean where the rate varies.
        constant: whether frame i is shown at i / frame_rate, up to the rounding of the file.
        expected: number of frames that the header announces, or None.
    """

    stamps: np.ndarray
    keyframes: tuple[int, ...]
    time_base: Fraction
    seekable: bool
    frame_rate: Fraction
    constant: bool
    expected: int | None = None

    def __len__(self) -> int:
        return len(self.stamps)

    def time(self, index: int) -> Fraction:
        """Exact seconds from frame 0 to a frame, or to the end for the number of frames."""
        if self.constant:
            return index / self.frame_rate
        if index == len(self.stamps):
            # The last frame lasts as long as a typical one.
            steps = np.diff(self.stamps)
            step = int(np.median(steps)) if len(steps) else 0
            last = step * self.time_base if step else 1 / self.frame_rate
            return self.time(index - 1) + last
        return int(self.stamps[index] - self.stamps[0]) * self.time_base

    def keyframe_at(self, index: int) -> int:
        """Number of the last keyframe at or before a frame."""
        return self.keyframes[bisect_right(self.keyframes, index) - 1]


def open_video(path: Path) -> tuple[Any, Any]:
    """Open a video file.

    Args:
        path: an existing file.

    Returns:
        PyAV's container and its first video stream (never a cover picture).

    Raises:
        MediaError: if it is not a video.
    """
    try:
        # The prefix keeps a name such as `a:b.mp4` from being read as an address.
        container = av.open(f"file:{path}", mode="r", options=dict(OPEN_OPTIONS))
    except (av.FFmpegError, OSError, ValueError) as problem:
        raise MediaError(_cannot_open(path, problem)) from problem
    streams = [s for s in container.streams.video if not _is_cover(s)]
    if container.format.name in _NOT_VIDEO or not streams:
        container.close()
        raise MediaError(f"{path} holds no video; give a video file, a picture or a folder of them")
    stream = streams[0]
    if stream.codec_context is None:
        container.close()
        raise MediaError(f"the video in {path} has a codec that cannot be decoded; convert it")
    stream.thread_type = "AUTO"
    return container, stream


def index_video(path: Path) -> VideoIndex:
    """List the frames of a video.

    Args:
        path: an existing file.

    Returns:
        The index; frames that an edit list hides are left out.

    Raises:
        MediaError: if it is not a video or holds no frames.
    """
    container, stream = open_video(path)
    with container:
        rate = stream.average_rate or stream.guessed_rate or None
        time_base = stream.time_base or Fraction(1, 90000)
        entries, total = _list_packets(container, stream)
        # Of the containers, only mp4's own count of frames can be relied on.
        promised = stream.frames if "mp4" in container.format.name else 0
        expected = promised if promised > total else None
        # AVI knows no times, only the order of the packets; with B-frames that is another one.
        guessed = container.format.name == "avi" and stream.codec_context.has_b_frames
    stamps = [stamp for stamp, _ in entries]
    if guessed or None in stamps or len(set(stamps)) != len(stamps):
        return _count_frames(path, rate)
    if not entries:
        raise MediaError(f"{path} holds no frames; the file is empty or was cut off")
    if expected and len(entries) > 1:
        # The file was cut off, most likely within the last packet that is there.
        entries.pop()
    entries.sort()
    keys = tuple(number for number, (_, key) in enumerate(entries) if key)
    return _make_index(
        np.array([stamp for stamp, _ in entries], np.int64),
        keys if keys and keys[0] == 0 else (0, *keys),
        time_base,
        rate,
        expected,
    )


def drop_before(index: VideoIndex, stamp: int) -> VideoIndex:
    """The index without frames before the first one that the decoder can show.

    Args:
        index: of a file that begins in the middle of a group of pictures.
        stamp: time of the first frame that was decoded.

    Returns:
        The shorter index.
    """
    first = int(np.searchsorted(index.stamps, stamp))
    keys = tuple(key - first for key in index.keyframes if key > first)
    return _make_index(
        index.stamps[first:], (0, *keys), index.time_base, index.frame_rate, index.expected
    )


def _list_packets(container: Any, stream: Any) -> tuple[list[tuple[Any, bool]], int]:
    """(time, keyframe) of each shown frame, and the number of all packets."""
    entries: list[tuple[Any, bool]] = []
    total = 0
    hidden_possible = stream.codec_context.name == "vp8"
    corrupt = False
    try:
        for packet in container.demux(stream):
            if packet.size == 0:
                continue
            total += 1
            # VP8 keeps reference frames that are never shown as packets of their own.
            hidden = hidden_possible and not bytes(packet)[0] & 0x10
            if not (packet.is_discard or hidden):
                entries.append((packet.pts, bool(packet.is_keyframe)))
                corrupt = bool(packet.is_corrupt)
    except av.FFmpegError:
        # A damaged end: what came before it is there.
        pass
    if corrupt and len(entries) > 1:
        entries.pop()  # the file was cut off within its last packet
        total -= 1
    return entries, total


def _count_frames(path: Path, rate: Fraction | None) -> VideoIndex:
    """The index of a file whose packets carry no usable times: decode it once and count."""
    container, stream = open_video(path)
    frames: list[tuple[Any, bool]] = []
    with container:
        time_base = stream.time_base or Fraction(1, 90000)
        for packet in container.demux(stream):
            try:
                frames += [(frame.pts, bool(frame.key_frame)) for frame in packet.decode()]
            except av.FFmpegError:
                continue
    if not frames:
        raise MediaError(f"{path} holds no frames that can be decoded")
    rate = rate or Fraction(25)
    stamps = [stamp for stamp, _ in frames]
    if all(stamp is not None for stamp in stamps) and bool(np.all(np.diff(stamps) > 0)):
        keys = tuple(number for number, (_, key) in enumerate(frames) if key and number)
        return _make_index(np.array(stamps, np.int64), (0, *keys), time_base, rate, None)
    numbers = np.arange(len(stamps), dtype=np.int64)
    return VideoIndex(numbers, (0,), 1 / rate, False, rate, True)


def _make_index(
    stamps: np.ndarray,
    keyframes: tuple[int, ...],
    time_base: Fraction,
    rate: Fraction | None,
    expected: int | None,
) -> VideoIndex:
    span = int(stamps[-1] - stamps[0]) * time_base
    mean = (len(stamps) - 1) / span if span else None
    for candidate in (rate, mean and mean.limit_denominator(1001)):
        if candidate and _is_constant(stamps, time_base, candidate):
            return VideoIndex(stamps, keyframes, time_base, True, candidate, True, expected)
    mean = mean or rate or Fraction(25)
    return VideoIndex(stamps, keyframes, time_base, True, mean, span == 0, expected)


def _is_constant(stamps: np.ndarray, time_base: Fraction, rate: Fraction) -> bool:
    """Whether the times are i / rate, rounded to whole units."""
    units = float(1 / (rate * time_base))
    ideal = np.arange(len(stamps)) * units
    return bool(np.all(np.abs(stamps - stamps[0] - ideal) <= min(1.01, 0.45 * units)))


def _is_cover(stream: Any) -> bool:
    return bool(stream.disposition & stream.disposition.__class__.attached_pic)


def _cannot_open(path: Path, problem: Exception) -> str:
    if isinstance(problem, PermissionError):
        return f"no permission to read {path}"
    reason = getattr(problem, "strerror", None) or str(problem)
    if path.stat().st_size == 0:
        reason = "the file is empty"
    return f"{path} is not a video that can be read ({reason}); give an mp4, mov, mkv or webm file"
