"""Frames of a video file: any frame by its number, exactly, one at a time."""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from sam2_mlx.media.containers import open_video, read_packets
from sam2_mlx.media.errors import MediaError
from sam2_mlx.media.frame_source import ColorTags, FrameSource, StreamFormat
from sam2_mlx.media.video_index import index_video

_MATRICES = {1: 1, 5: 5, 6: 5, 9: 9, 10: 9}
_UNSPECIFIED = 2
# RGB, FCC and SMPTE 240M: FFmpeg converts these as frames have them, and no others.
_AS_THEY_ARE = frozenset({0, 4, 7})
# To decode on from where one is.
_HERE = -1
# Frames that are kept as decoded: more than are read ahead and wait to be written, together.
_DECODED = 10


class VideoFrames(FrameSource):
    """The frames of a video file.

    Reading forward never seeks. Reading backward decodes a stretch once and keeps it, so a pass
    from the last frame to the first costs about as much as one forward.

    Args:
        path: an existing file.
        cache_bytes: how much of a backward stretch may be kept.

    Raises:
        MediaError: if it is not a video that can be decoded.
    """

    def __init__(self, path: Path, cache_bytes: int = 2**28) -> None:
        self.path = path
        self.notes: list[str] = []
        self._container: Any = None
        self._stream: Any = None
        self._frames: Iterator[Any] = iter(())
        self._next = 0
        self._last = -1
        self._problem: Exception | None = None
        self._cache: OrderedDict[int, np.ndarray] = OrderedDict()
        self._cache_bytes = cache_bytes
        self._decoded: OrderedDict[int, Any] = OrderedDict()
        self._reformatter = VideoReformatter()
        self._other_sizes: set[tuple[int, int]] = set()
        self._index = index_video(path)
        self._one_by_one = self._index.damaged
        self._lost: set[int] = set()
        self._describe(self._restart_and_peek())

    def __reduce__(self) -> tuple[type[VideoFrames], tuple[Path, int]]:
        # A copy opens the file for itself.
        return VideoFrames, (self.path, self._cache_bytes)

    def time(self, index: int) -> Fraction:
        """Exact seconds from frame 0 to a frame."""
        return self._index.time(index)

    def read(self, index: int) -> np.ndarray:
        """One frame, or the one before it where it is damaged; see `FrameSource.read`."""
        index = self.check_index(index)
        # A step back from the last frame is taken as the start of a backward pass.
        backward = index == self._last - 1
        self._last = index
        room = max(1, self._cache_bytes // (3 * self.width * self.height))
        while index in self._lost or (
            index not in self._cache
            and not self._fill(max(0, index - room + 1) if backward else index, index)
        ):
            index -= 1
        return self._cache[index]

    def decoded(self, index: int) -> Any | None:
        """A frame as the file has it; see `FrameSource.decoded`."""
        return self._decoded.get(index)

    def close(self) -> None:
        """Close the file."""
        self._cache.clear()
        self._decoded.clear()
        self._frames = iter(())
        if self._container is not None:
            self._container.close()
            self._container = None

    # --- decoding ------------------------------------------------------------------------------

    def _fill(self, first: int, last: int) -> bool:
        """Put the frames first..last into the cache, which holds nothing else afterwards.

        Returns:
            False if the last one is damaged, but not those after it.
        """
        self._cache.clear()
        key = self._index.keyframe_at(first)
        starts = [key, self._index.keyframe_at(max(0, key - 1)), 0]
        if self._next <= first and (key <= self._next or not self._index.seekable):
            starts.insert(0, _HERE)
        reached = -1
        for one_by_one in dict.fromkeys((self._one_by_one, True)):
            if one_by_one != self._one_by_one:
                self._one_by_one = True
                self._restart()
                starts = starts[-3:]
            for start in dict.fromkeys(starts):
                if start == 0 < key and reached > last:
                    break
                if start != _HERE:
                    self._start_at(start)
                reached = max(reached, self._collect(first, last))
                if last in self._cache:
                    return True
                self._cache.clear()
        if reached > last:
            self._lose(last, reached)
            return False
        reason = f": {self._problem}" if self._problem else ""
        raise MediaError(
            f"frame {last} of {self.path} cannot be decoded{reason}; the file is damaged there, "
            f"frames 0 to {last - 1} may be good"
        ) from self._problem

    def _lose(self, first: int, end: int) -> None:
        """Remember frames that cannot be decoded, up to one that can."""
        self._lost.update(range(first, end))
        which = f"frame {first}" if end == first + 1 else f"frames {first} to {end - 1}"
        self.notes.append(
            f"{which} of {self.path} cannot be decoded; the one before is taken instead"
        )

    def _collect(self, first: int, last: int) -> int:
        """Decode on until frame `last` or one that follows it.

        Returns:
            Its number; -1 if none comes, or none before it (seeking went too far).
        """
        passing = False
        for frame in self._frames:
            number = self._number(frame)
            if number is None:
                continue
            self._next = number + 1
            if first <= number <= last:
                self._cache[number] = self._to_rgb(frame, number)
            if number >= last:
                return number if passing or number == last else -1
            passing = True
        return -1

    def _number(self, frame: Any) -> int | None:
        """The number of a decoded frame; None if the index does not know it."""
        return self._next if self._index.stamp is None else self._index.number(frame)

    def _start_at(self, keyframe: int) -> None:
        """Make the next decoded frame be at or before `keyframe`, if the file allows it."""
        if keyframe == 0 or not self._index.seekable:
            self._restart()
            return
        self._problem = None
        try:
            self._container.seek(int(self._index.stamps[keyframe]), stream=self._stream)
        except av.FFmpegError:
            self._restart()
            return
        self._next = keyframe
        self._frames = self._decode()

    def _restart(self) -> None:
        """Decode from the start of the file."""
        if self._container is not None:
            self._container.close()
        self._container, self._stream = open_video(self.path, one_by_one=self._one_by_one)
        self._problem = None
        self._next = 0
        self._frames = self._decode()

    def _restart_and_peek(self) -> Any:
        """Decode the first frame that can be shown and make it frame 0."""
        self._restart()
        first = next(self._frames, None)
        if first is None and not self._one_by_one:
            self._one_by_one = True
            return self._restart_and_peek()
        if first is None:
            reason = f": {self._problem}" if self._problem else ""
            self.close()
            raise MediaError(f"no frame of {self.path} can be decoded{reason}; convert the file")
        number = self._number(first)
        if number:
            self._index = self._index.from_frame(number)
        self._next = 1
        return first

    def _decode(self) -> Iterator[Any]:
        """Frames from where the container is; damaged packets are skipped and remembered."""
        problems: list[av.FFmpegError] = []
        packets = self._index.stamped(
            read_packets(self._container, self._stream, problems=problems)
        )
        while True:
            try:
                packet = next(packets)
                # An empty packet that is not the end of the stream would end the decoding.
                frames = packet.decode() if packet.size or packet.dts is None else []
            except StopIteration:
                self._problem = problems[0] if problems else self._problem
                return
            except av.FFmpegError as problem:
                self._problem = problem
                if isinstance(problem, av.EOFError):
                    return
                continue
            yield from frames

    # --- pixels --------------------------------------------------------------------------------

    def _describe(self, first: Any) -> None:
        """Learn size, rotation and colours from the first frame."""
        index, context = self._index, self._stream.codec_context
        self.num_frames = len(index)
        self._coded_size = (first.width, first.height)
        self._turn = _turn_of(first)
        width, height = first.width, first.height
        aspect = self._stream.sample_aspect_ratio or context.sample_aspect_ratio or Fraction(1)
        if self._turn[0] % 2:
            width, height, aspect = height, width, 1 / aspect
        coded = self._matrix = int(first.colorspace)
        if coded not in _MATRICES and coded not in _AS_THEY_ARE:
            # What players assume: BT.709 for high definition, BT.601 below.
            self._matrix = 1 if min(width, height) >= 720 else 5
        tags = ColorTags()
        primaries, transfer = int(context.color_primaries), int(context.color_trc)
        if _UNSPECIFIED not in (primaries, transfer) and self._matrix in _MATRICES:
            tags = ColorTags(primaries, transfer, _MATRICES[self._matrix])
        self.format = StreamFormat(
            width, height, index.frame_rate, aspect, tags, steady=index.constant
        )
        self.origin = int(index.times[0]) * index.time_base
        self.sound = index.sound
        self.notes = list(index.notes)
        if coded not in (_UNSPECIFIED, self._matrix):
            self.notes.append(
                f"{self.path} has colours of a kind that is not read (matrix {coded} of H.273); "
                f"they are taken as those of matrix {self._matrix}"
            )
        self._cache[0] = self._to_rgb(first, 0)

    def _to_rgb(self, frame: Any, number: int) -> np.ndarray:
        size = (frame.width, frame.height)
        if size != self._coded_size and size not in self._other_sizes:
            self._other_sizes.add(size)
            width, height = self._coded_size
            self.notes.append(
                f"frame {number} of {self.path} has {size[0]}x{size[1]} pixels, those before it "
                f"{width}x{height}; it is scaled to their size"
            )
        full = frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj")
        matrix = _MATRICES.get(self._matrix)
        try:
            rgb: np.ndarray = self._reformatter.reformat(
                frame,
                *self._coded_size,
                format="rgb24",
                src_colorspace=None if matrix is None else Colorspace(matrix),
                src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
                dst_color_range=ColorRange.JPEG,
            ).to_ndarray()
        except (av.FFmpegError, OSError, ValueError) as problem:
            raise MediaError(
                f"the colours of frame {number} of {self.path} cannot be read ({problem}); "
                "convert the file"
            ) from problem
        quarters, mirrored = self._turn
        written_alike = matrix == self.format.colors.matrix and not full
        whole = size == self._coded_size and not any(length % 2 for length in size)
        if frame.format.name == "yuv420p" and written_alike and whole and not any(self._turn):
            self._decoded.pop(number, None)
            self._decoded[number] = frame
            if len(self._decoded) > _DECODED:
                self._decoded.popitem(last=False)
        if mirrored:
            rgb = rgb[:, ::-1]
        rgb = np.ascontiguousarray(np.rot90(rgb, quarters))
        rgb.flags.writeable = False
        return rgb


def _turn_of(frame: Any) -> tuple[int, bool]:
    """How a phone's display matrix turns the picture.

    Returns:
        Quarter turns counter-clockwise, and whether to mirror left to right before turning.
    """
    try:
        data = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:
        # A kind that PyAV does not know stands beside it (EXIF, the view of a spatial video).
        return round(frame.rotation / 90) % 4, False
    if data is None:
        return 0, False
    a, b, _, c, d = struct.unpack("<5i", bytes(data)[:20])
    # Rows of the matrix: (x, y) -> (a x + c y, b x + d y), with y downwards, in 16.16.
    mirrored = a * d - b * c < 0
    if mirrored:
        a, b = -a, -b
    if abs(a) >= abs(b):
        return (0 if a >= 0 else 2), mirrored
    return (3 if b > 0 else 1), mirrored
