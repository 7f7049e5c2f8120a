"""Pictures as the frames of a clip: a series of files, or the pages of one."""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from itertools import accumulate
from pathlib import Path

import numpy as np
from PIL import Image

from sam2_mlx.media.errors import MediaError
from sam2_mlx.media.frame_source import FrameSource, StreamFormat, check_pixels
from sam2_mlx.media.pictures import (
    DAMAGE,
    Levels,
    damaged,
    deep_levels,
    image_to_rgb,
    is_cut_webp,
    open_picture,
    picture_size,
    quiet,
    read_picture,
    webp_chunks,
)

# Deep pictures of one clip are scaled alike, as far as the brightest of so many goes.
_SAMPLES = 16
_CACHE_BYTES = 2**28
# A TIFF's pages that are previews or masks of others have one of these bits in their type.
_SUBFILE_TYPE, _NO_PAGE = 254, 0b101


def open_picture_file(path: Path, frame_rate: Fraction) -> FrameSource:
    """A picture as a clip: of all its pages or of one frame.

    Args:
        path: a picture file.
        frame_rate: frames a second of pages; an animation has its own.

    Raises:
        MediaError: if it cannot be read.
    """
    with open_picture(path) as image:
        kind, several = image.format, getattr(image, "is_animated", False)
    if several and kind == "AVIF":
        # FFmpeg reads those at any place; Pillow does from the start only.
        from sam2_mlx.media.video_reader import VideoFrames

        return VideoFrames(path)
    if several and kind in ("TIFF", "WEBP", "PNG"):
        return PageFrames(path, frame_rate)
    return PictureFrames(path, [path], frame_rate)


class PictureFrames(FrameSource):
    """Pictures as the frames of a clip.

    Args:
        path: what was opened: the folder, pattern or single file.
        files: the pictures in order; all of the size of the first.
        frame_rate: frames a second.
        notes: what the user should know of the files.

    Raises:
        MediaError: if the first picture cannot be read.
    """

    def __init__(
        self,
        path: Path,
        files: Sequence[Path],
        frame_rate: Fraction,
        notes: Sequence[str] = (),
    ) -> None:
        self.path = path
        self.notes = tuple(notes)
        self.files = list(files)
        self.num_frames = len(self.files)
        width, height = picture_size(self.files[0])
        self.format = StreamFormat(width, height, frame_rate, steady=True)
        stems = [file.stem for file in self.files]
        self._names = stems if len(set(stems)) == len(stems) else None
        self._levels = _common_levels(len(self.files), lambda index: deep_levels(self.files[index]))
        self._last: tuple[int, np.ndarray] | None = None

    def time(self, index: int) -> Fraction:
        """Exact seconds from frame 0 to a frame."""
        return index / self.frame_rate

    def name(self, index: int) -> str:
        """The picture's own name, or the frame's number where two pictures share one."""
        return self._names[index] if self._names else super().name(index)

    def read(self, index: int) -> np.ndarray:
        """One frame; see `FrameSource.read`."""
        index = self.check_index(index)
        if self._last is not None and self._last[0] == index:
            return self._last[1]
        file = self.files[index]
        frame = read_picture(file, self._levels)
        if frame.shape[:2] != (self.height, self.width):
            raise MediaError(
                f"frame {index} ({file.name}) has {frame.shape[1]}x{frame.shape[0]} pixels but "
                f"{self.files[0].name} has {self.width}x{self.height}; make all of one size"
            )
        frame.flags.writeable = False
        self._last = (index, frame)
        return frame

    def close(self) -> None:
        """Forget the last picture."""
        self._last = None


class PageFrames(FrameSource):
    """The pages of a TIFF, or the pictures of an animation, as the frames of a clip.

    Pages of another size than the first are scaled to it.

    Args:
        path: the file.
        frame_rate: frames a second, where the file has no times.

    Raises:
        MediaError: if it cannot be read.
    """

    def __init__(self, path: Path, frame_rate: Fraction) -> None:
        self.path = path
        self._frame_rate = frame_rate
        self._image = open_picture(path)
        with quiet():
            pages, announced = self._list_pages()
        if not pages:
            self.close()
            raise MediaError(f"{path} holds no page that can be read; save it again")
        self._pages = pages
        self.num_frames = len(pages)
        usual = 1 / frame_rate
        delays = [delay or usual for delay in self._delays()] or [usual] * len(pages)
        self._begins = [Fraction(0), *accumulate(delays[: len(pages)])]
        rate = self.num_frames / self._begins[-1]
        width, height = picture_size(path)
        self.format = StreamFormat(width, height, rate, steady=len(set(delays)) == 1)
        self.notes: list[str] = []
        if len(pages) < announced:
            self.notes.append(
                f"{path} ends early: it should hold {announced} pictures, {len(pages)} are there"
            )
        self._levels = _common_levels(len(pages), lambda index: deep_levels(path, pages[index]))
        self._cache: OrderedDict[int, np.ndarray] = OrderedDict()
        self._room = max(1, _CACHE_BYTES // (3 * width * height))

    def __reduce__(self) -> tuple[type[PageFrames], tuple[Path, Fraction]]:
        # A copy opens the file for itself.
        return PageFrames, (self.path, self._frame_rate)

    def time(self, index: int) -> Fraction:
        """Exact seconds from frame 0 to a frame."""
        return self._begins[index]

    def read(self, index: int) -> np.ndarray:
        """One frame; see `FrameSource.read`."""
        index = self.check_index(index)
        if index not in self._cache:
            # An animation is decoded from its start up to a picture: what passes by is kept.
            passing = self._image.format != "TIFF" and self._image.tell() > self._pages[index]
            first = max(0, index - self._room + 1) if passing else index
            for place in range(first, index + 1):
                self._cache[place] = self._decode(place)
                while len(self._cache) > self._room:
                    self._cache.popitem(last=False)
        return self._cache[index]

    def close(self) -> None:
        """Close the file."""
        self._image.close()

    def _decode(self, index: int) -> np.ndarray:
        try:
            with quiet():
                self._image.seek(self._pages[index])
                check_pixels(self.path, self._image.size)
                frame = image_to_rgb(self._image, str(self.path), self._levels)
        except MediaError:
            raise
        except DAMAGE as problem:
            raise MediaError(f"picture {index} of {damaged(self.path, problem)}") from problem
        if frame.shape[:2] != (self.height, self.width):
            self.notes.append(
                f"picture {index} of {self.path} has {frame.shape[1]}x{frame.shape[0]} pixels, the "
                f"first one {self.width}x{self.height}; it is scaled to that size"
            )
            scaled = Image.fromarray(frame).resize((self.width, self.height))
            frame = np.array(scaled)
        frame.flags.writeable = False
        return frame

    def _list_pages(self) -> tuple[list[int], int]:
        """Numbers of the pages that are frames, and how many of them were announced."""
        if self._image.format != "TIFF":
            first = 1 if getattr(self._image, "default_image", False) else 0
            count = int(self._image.n_frames)  # type: ignore[attr-defined]
            pages = list(range(first, count))[: len(self._delays())]
            # A WebP does not tell how many are missing.
            return pages, count - first + is_cut_webp(self.path)
        pages = []
        number = 0
        try:
            while True:
                self._image.seek(number)
                kind = self._image.tag_v2.get(_SUBFILE_TYPE, 0)  # type: ignore[attr-defined]
                if not int(kind) & _NO_PAGE:
                    pages.append(number)
                number += 1
        except DAMAGE as problem:
            # The end is an EOFError; another one is a page that cannot be read.
            return pages, len(pages) + (not isinstance(problem, EOFError))

    def _delays(self) -> list[Fraction]:
        """How long each picture of an animation is shown, without decoding any."""
        if self._image.format == "TIFF":
            return []
        read = _webp_delays if self._image.format == "WEBP" else _png_delays
        return list(read(self.path.read_bytes()))


def _webp_delays(data: bytes) -> Iterator[Fraction]:
    """Seconds of each ANMF chunk that is there as a whole."""
    for name, content in webp_chunks(data):
        if name == b"ANMF":
            yield Fraction(int.from_bytes(content[12:15], "little"), 1000)


def _png_delays(data: bytes) -> Iterator[Fraction]:
    """Seconds of each fcTL chunk."""
    place = 8
    while place + 12 <= len(data):
        size = int.from_bytes(data[place : place + 4], "big")
        if data[place + 4 : place + 8] == b"fcTL":
            delay, unit = struct.unpack(">HH", data[place + 28 : place + 32].ljust(4, b"\0"))
            yield Fraction(delay, unit or 100)
        place += 12 + size


def _common_levels(count: int, levels_of: Callable[[int], Levels | None]) -> Levels | None:
    """What becomes black and white in all of a clip's deep pictures; None if they have 8 bits."""
    levels = levels_of(0)
    if levels is not None:
        for index in {*range(0, count, -(-count // _SAMPLES)), count - 1}:
            with suppress(MediaError, OSError):
                black, white = levels_of(index) or levels
                levels = min(levels[0], black), max(levels[1], white)
    return levels
