"""Pictures of any kind -> upright 8-bit RGB, and series of pictures as frames."""

from __future__ import annotations

import os
import re
import struct
import warnings
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from sam2_mlx.files import expanded
from sam2_mlx.media.errors import MediaError
from sam2_mlx.media.frame_source import MAX_PIXELS, FrameSource, StreamFormat

PICTURE_SUFFIXES = frozenset(
    ".bmp .jfif .jpe .jpeg .jpg .pgm .png .pnm .ppm .tga .tif .tiff .webp .jp2 .avif".split()
)
_APPLE_SUFFIXES = (".heic", ".heif")
_ORIENTATION = 0x0112
# Pixels that are taken out of a picture at once.
_PORTION = 2**22
# What Pillow's plugins raise for damaged data.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, struct.error)


def load_picture(
    picture: str | os.PathLike[str] | Image.Image | np.ndarray, *, upright: bool = True
) -> np.ndarray:
    """Read a picture as RGB.

    Orientation tags are applied; 16-bit, grey, palette and CMYK pictures become 8-bit RGB; what
    is transparent is shown on white, as a viewer does.

    Args:
        picture: a file, a PIL image, or an array (H, W, 3), (H, W, 4), (H, W, 1) or (H, W) of
            uint8 in [0, 255] or uint16 in [0, 65535].
        upright: turn it as its orientation tag says; else its pixels stay as they lie.

    Returns:
        uint8 (H, W, 3) RGB.

    Raises:
        MediaError: if the file is no picture, is damaged, or has more than 2**27 pixels.
        FileNotFoundError: if there is no such file.
        ValueError: if an array has another shape or type.
    """
    if isinstance(picture, np.ndarray):
        return _array_to_rgb(picture)
    if isinstance(picture, Image.Image):
        return _image_to_rgb(picture, "the picture", upright)
    path = expanded(picture)
    if not path.is_file():
        raise _not_a_file(path)
    try:
        with open_picture(path) as image:
            return _image_to_rgb(image, str(path), upright)
    except MediaError:
        raise
    except _DAMAGE as problem:
        raise _damaged(path, problem) from problem


def picture_size(path: Path) -> tuple[int, int]:
    """Width and height of a picture file as displayed, without decoding it.

    Args:
        path: a picture file.

    Returns:
        (width, height) in pixels.

    Raises:
        MediaError: if the file is no picture or is too large.
    """
    with open_picture(path) as image:
        width, height = image.size
        # Asking a PNG without the tag for it would decode the whole picture.
        plain = image.format == "PNG" and "exif" not in image.info
        try:
            turned = not plain and image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
        except _DAMAGE as problem:
            raise _damaged(path, problem) from problem
    return (height, width) if turned else (width, height)


def list_pictures(folder: Path) -> list[Path]:
    """The pictures of a folder in the order of the numbers in their names.

    Args:
        folder: an existing folder.

    Returns:
        Paths; hidden files, other kinds of files and folders are left out.

    Raises:
        MediaError: if there is none.
    """
    found = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in PICTURE_SUFFIXES
        and not path.name.startswith(".")
        and not path.is_dir()
    ]
    if not found:
        raise MediaError(
            f"{folder} holds no pictures; frames must be files such as 00000.jpg or 00000.png"
        )
    return sort_by_number(found)


def sort_by_number(paths: Sequence[Path]) -> list[Path]:
    """Paths sorted as a person would: 2 before 10, whatever the zeros before them."""

    def key(path: Path) -> tuple[Any, ...]:
        parts = [
            (0, int(part), "") if part.isdigit() and part.isascii() else (1, 0, part.lower())
            for part in re.split(r"([0-9]+)", str(path))
        ]
        return parts, str(path)

    return sorted(paths, key=key)


class PictureFrames(FrameSource):
    """Pictures as the frames of a clip.

    Args:
        path: what was opened: the folder, pattern or single file.
        files: the pictures in order; all of the size of the first.
        frame_rate: frames a second.

    Raises:
        MediaError: if the first picture cannot be read.
    """

    def __init__(self, path: Path, files: Sequence[Path], frame_rate: Fraction) -> None:
        self.path = path
        self.files = list(files)
        self.num_frames = len(self.files)
        width, height = picture_size(self.files[0])
        self.format = StreamFormat(width, height, frame_rate)
        stems = [file.stem for file in self.files]
        self._names = stems if len(set(stems)) == len(stems) else None
        self._last: tuple[int, np.ndarray] | None = None

    def time(self, index: int) -> Fraction:
        """Exact seconds from frame 0 to a frame."""
        return index / self.frame_rate

    def name(self, index: int) -> str:
        """The picture's own name, or the frame's number where two pictures share one."""
        return self._names[index] if self._names else f"{index:05d}"

    def read(self, index: int) -> np.ndarray:
        """One frame; see `FrameSource.read`."""
        index = self.check_index(index)
        if self._last is not None and self._last[0] == index:
            return self._last[1]
        file = self.files[index]
        frame = load_picture(file)
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


def _not_a_file(path: Path) -> Exception:
    if path.is_dir():
        return MediaError(f"{path} is a folder; give one picture in it")
    return FileNotFoundError(f"no file {path}; check the path")


def _damaged(path: Path, problem: BaseException) -> MediaError:
    reason = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
    return MediaError(f"{path} cannot be decoded ({reason}); it is damaged, save it again")


def open_picture(path: Path) -> Image.Image:
    """Read a picture's header and check its size before any pixel is allocated.

    Args:
        path: the file.

    Returns:
        The picture, of which nothing is decoded yet; close it.

    Raises:
        MediaError: if it is no picture, or has too many pixels.
        FileNotFoundError: if there is no such file.
    """
    try:
        with warnings.catch_warnings():
            # Pillow warns from 89 million pixels on; the limit here is our own.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path)
    except Image.DecompressionBombError as problem:
        raise MediaError(
            f"{path} has too many pixels (at most {MAX_PIXELS:,}); make it smaller"
        ) from problem
    except FileNotFoundError:
        raise
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as problem:
        if path.suffix.lower() in _APPLE_SUFFIXES:
            hint = "save it as JPEG or PNG (on a Mac: sips -s format jpeg)"
        else:
            hint = "give a JPEG, PNG, WebP or TIFF file"
        raise MediaError(f"{path} is not a picture that can be read; {hint}") from problem
    width, height = image.size
    if width * height > MAX_PIXELS:
        image.close()
        raise MediaError(
            f"{path} has {width}x{height} pixels (at most {MAX_PIXELS:,}); make it smaller"
        )
    return image


def _image_to_rgb(image: Image.Image, name: str, upright: bool = True) -> np.ndarray:
    if image.mode.startswith("I"):
        # 16-bit grey: Pillow's own conversion would clip it at 255.
        values = np.asarray(ImageOps.exif_transpose(image)).astype(np.int32)
        return _grey_to_rgb((np.clip(values, 0, 0xFFFF) + 128) // 257)
    if image.mode == "F":
        raise MediaError(f"{name} holds floating-point numbers; save it with 8 or 16 bits")
    # Pillow would copy the whole picture even where it lies as it should.
    if upright and image.getexif().get(_ORIENTATION, 1) != 1:
        image = ImageOps.exif_transpose(image)
    if image.has_transparency_data:
        layers = image.convert("RGBA")
        page = Image.new("RGBA", layers.size, "white")
        image = Image.alpha_composite(page, layers)
    return _pixels(image if image.mode == "RGB" else image.convert("RGB"))


def _pixels(image: Image.Image) -> np.ndarray:
    """The pixels of an RGB image; in portions, as Pillow holds them three times on the way."""
    image.load()
    width, height = image.size
    pixels = np.empty((height, width, 3), np.uint8)
    step = max(1, _PORTION // width)
    for top in range(0, height, step):
        bottom = min(top + step, height)
        pixels[top:bottom] = np.asarray(image.crop((0, top, width, bottom)))
    return pixels


def _array_to_rgb(array: np.ndarray) -> np.ndarray:
    if array.dtype == np.uint16:
        array = ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or channels not in (1, 3, 4):
        raise ValueError(
            "a picture array needs shape (H, W, 3) and type uint8, RGB in [0, 255]; "
            f"got {array.shape} {array.dtype}"
        )
    if 0 in array.shape:
        raise ValueError(f"a picture needs at least one pixel; got shape {array.shape}")
    if channels == 1:
        return _grey_to_rgb(array.reshape(array.shape[:2]))
    if channels == 4:
        return _image_to_rgb(Image.fromarray(array), "the picture")
    return np.ascontiguousarray(array)


def _grey_to_rgb(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey.astype(np.uint8)[:, :, None], 3, axis=2)
