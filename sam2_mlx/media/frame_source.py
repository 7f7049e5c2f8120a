"""What every source of frames offers, whatever it reads from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from sam2_mlx.media.errors import MediaError
from sam2_mlx.media.timeline import Jumps

# About 128 million pixels: well above any camera, well below what fills the memory.
MAX_PIXELS = 2**27
# An 8K picture may be one byte long; beyond that no codec packs pixels closer, but of one colour.
_FREE_PIXELS, _PIXELS_A_BYTE = 2**25, 2**10


def check_area(name: object, size: tuple[int, int]) -> None:
    """Refuse (width, height) pixels that would fill the memory.

    Raises:
        MediaError: if they are more than `MAX_PIXELS`; it begins with the name.
    """
    width, height = size
    if width * height > MAX_PIXELS:
        raise MediaError(
            f"{name} has {width}x{height} pixels (at most {MAX_PIXELS:,}); make it smaller"
        )


def check_pixels(path: Path, size: tuple[int, int]) -> None:
    """Refuse (width, height) pixels that would fill the memory, or that cannot be in their file.

    Raises:
        MediaError: if they have too many pixels.
    """
    check_area(path, size)
    width, height = size
    length = path.stat().st_size
    if width * height > _FREE_PIXELS + _PIXELS_A_BYTE * length:
        raise MediaError(
            f"{path} declares {width}x{height} pixels in {length:,} bytes; it is damaged, save it "
            "again"
        )


@dataclass(frozen=True)
class ColorTags:
    """How a video's numbers become light (code points of ITU-T H.273).

    Attributes:
        primaries: colour primaries, 1 is BT.709.
        transfer: transfer characteristics, 1 is BT.709.
        matrix: matrix coefficients, 1 is BT.709, 5 and 6 BT.601, 9 BT.2020.
    """

    primaries: int = 1
    transfer: int = 1
    matrix: int = 1


@dataclass(frozen=True)
class StreamFormat:
    """What a written video must share with its source.

    Attributes:
        width: in pixels, as displayed.
        height: in pixels, as displayed.
        frame_rate: frames a second (their mean, where the rate varies).
        pixel_aspect: width of a pixel over its height.
        colors: colour tags.
        steady: whether frame i is shown at i / frame_rate.
    """

    width: int
    height: int
    frame_rate: Fraction
    pixel_aspect: Fraction = Fraction(1)
    colors: ColorTags = ColorTags()
    steady: bool = False


@dataclass(frozen=True)
class SoundStream:
    """A sound stream of a file.

    Attributes:
        index: its number among all streams of the file.
        steady: whether it has no gaps and no overlaps, so that it may be copied.
        jumps: where its clock jumps; see `media.timeline`.
    """

    index: int
    steady: bool = True
    jumps: Jumps = ()


class Frames(Protocol):
    """What following objects needs of a clip: any object that has this will do."""

    @property
    def num_frames(self) -> int:
        """Length of the clip."""

    @property
    def width(self) -> int:
        """Width of a frame in pixels."""

    @property
    def height(self) -> int:
        """Height of a frame in pixels."""

    def read(self, index: int) -> np.ndarray:
        """One frame, uint8 (height, width, 3) RGB."""


class FrameSource(ABC):
    """A clip that was opened: its frames by number, their times, and what goes with them.

    Attributes:
        path: the file, folder or pattern, as given.
        format: size (as displayed: rotation applied), frame rate, pixel shape and colours.
        num_frames: exact number of frames.
        origin: seconds from the container's zero to frame 0; its sound counts from the same zero.
        sound: the sound streams of `path`, if it is a file that has any.
        notes: what the user should know, such as that the file ends early. Reading may add to it.
    """

    path: Path
    format: StreamFormat
    num_frames: int
    origin: Fraction = Fraction(0)
    sound: tuple[SoundStream, ...] = ()
    notes: Sequence[str] = ()

    @property
    def has_audio(self) -> bool:
        """Whether `path` is a file with sound."""
        return bool(self.sound)

    @property
    def note(self) -> str | None:
        """All of `notes` in one line, or None."""
        return "; ".join(self.notes) or None

    @property
    def width(self) -> int:
        """Width in pixels, as displayed."""
        return self.format.width

    @property
    def height(self) -> int:
        """Height in pixels, as displayed."""
        return self.format.height

    @property
    def frame_rate(self) -> Fraction:
        """Frames a second; their mean where the rate varies."""
        return self.format.frame_rate

    @property
    def times(self) -> tuple[float, ...]:
        """Seconds from frame 0 to each frame."""
        return tuple(float(self.time(index)) for index in range(self.num_frames))

    @abstractmethod
    def time(self, index: int) -> Fraction:
        """Exact seconds from frame 0 to a frame; `num_frames` gives the end of the last one."""

    def name(self, index: int) -> str:
        """A file name for what belongs to a frame, without extension: `00012`, or the picture's."""
        return f"{index:05d}"

    def number(self, index: int) -> int:
        """Number of a frame in the file; another one where frames are left out."""
        return index

    @abstractmethod
    def read(self, index: int) -> np.ndarray:
        """One frame by its number, from zero.

        Returns:
            uint8 (height, width, 3) RGB in [0, 255], upright; read-only, it may be kept.

        Raises:
            IndexError: if there is no such frame.
            MediaError: if the frame cannot be decoded.
        """

    def decoded(self, index: int) -> Any | None:
        """One of the frames read last as the file has it, where a video can be written of it.

        Returns:
            As of `yuv.rgb_to_yuv420`, with the matrix of `format.colors`; not to be changed. None
            where frames are in another form, or others were read since.
        """
        return None

    @abstractmethod
    def close(self) -> None:
        """Let go of the file; reading is over."""

    def check_index(self, index: int) -> int:
        """The frame number as a plain int.

        Raises:
            IndexError: if there is no such frame.
        """
        if not 0 <= index < self.num_frames:
            raise IndexError(
                f"{self.path} has frames 0 to {self.num_frames - 1}; there is no frame {index}"
            )
        return int(index)

    def __len__(self) -> int:
        return self.num_frames

    def __iter__(self) -> Iterator[np.ndarray]:
        for index in range(self.num_frames):
            yield self.read(index)

    def __enter__(self) -> FrameSource:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
