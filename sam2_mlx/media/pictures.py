"""Pictures of any kind -> upright 8-bit RGB."""

from __future__ import annotations

import os
import re
import struct
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from sam2_mlx.files import check_regular, expanded, open_regular
from sam2_mlx.media.errors import MediaError
from sam2_mlx.media.frame_source import MAX_PIXELS, check_area, check_pixels

PICTURE_SUFFIXES = frozenset(
    ".bmp .jfif .jpe .jpeg .jpg .pgm .png .pnm .ppm .tga .tif .tiff .webp .jp2 .avif".split()
)
_APPLE_SUFFIXES = (".heic", ".heif")
# Pictures too, which whoever put them in a folder expects to see.
_UNREAD_SUFFIXES = frozenset(
    ".heic .heif .exr .hdr .dng .cr2 .cr3 .nef .arw .orf .rw2 .raf .psd .jxl .svg .gif .dpx".split()
)
_ORIENTATION = 0x0112
# Tags of a TIFF.
_BITS_A_SAMPLE, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339
_WHITE_IS_ZERO = 0
Levels = tuple[int, int]
"""The values of deep pictures that become black and white."""
# Pixels that are taken out of a picture at once.
_PORTION = 2**22
DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    ArithmeticError,
    AttributeError,
    RuntimeError,
    struct.error,
)
"""What Pillow's plugins raise for damaged data."""


def load_picture(
    picture: str | os.PathLike[str] | Image.Image | np.ndarray, *, upright: bool = True
) -> np.ndarray:
    """Read a picture as RGB.

    Orientation tags are applied; grey, palette and CMYK pictures become RGB; what is transparent
    is shown on white, as a viewer does. Of values of 16 or 32 bits the largest decides how many
    bits are used (12, say), and those become 8; black is zero, or as far below it as values lie.

    Args:
        picture: a file, a PIL image, or an array (H, W, 3), (H, W, 4), (H, W, 1) or (H, W) of
            uint8 or uint16.
        upright: turn it as its orientation tag says; else its pixels stay as they lie.

    Returns:
        uint8 (H, W, 3) RGB.

    Raises:
        MediaError: if it has more than 2**27 pixels, or a file is no picture or is damaged.
        FileNotFoundError: if there is no such file.
        ValueError: if an array has another shape or type.
    """
    if isinstance(picture, np.ndarray):
        return _array_to_rgb(picture)
    if isinstance(picture, Image.Image):
        check_area("the picture", picture.size)
        return image_to_rgb(picture, "the picture", upright=upright)
    return read_picture(expanded(picture), upright=upright)


def read_picture(path: Path, levels: Levels | None = None, upright: bool = True) -> np.ndarray:
    """Read a picture file as `load_picture` does.

    Args:
        path: the file.
        levels: of a deep picture the values that become black and white; its own by default.
        upright: see `load_picture`.

    Returns:
        uint8 (H, W, 3) RGB.

    Raises:
        MediaError, FileNotFoundError: see `load_picture`.
    """
    if not path.is_file():
        if path.is_dir():
            raise MediaError(f"{path} is a folder; give one picture in it")
        raise FileNotFoundError(f"no file {path}; check the path")
    with open_picture(path) as image, quiet(), _damage_named(path):
        return image_to_rgb(image, str(path), levels, upright)


def deep_levels(path: Path, page: int = 0) -> Levels | None:
    """What becomes black and white of a picture of 16 or 32 bits, or of signed values.

    Args:
        path: the picture.
        page: which one, in a file of several.

    Returns:
        The two values; None for a picture of 8 bits.

    Raises:
        MediaError: if it is no picture or is damaged.
    """
    with open_picture(path) as image, quiet(), _damage_named(path):
        image.seek(page)
        values = _deep_values(image)
    return None if values is None else _levels(values)


def picture_size(path: Path) -> tuple[int, int]:
    """(width, height) of a picture file as displayed, without decoding it.

    Raises:
        MediaError: if the file is no picture or is too large.
    """
    with open_picture(path) as image:
        width, height = image.size
        # Asking a PNG without the tag for it would decode the whole picture; Pillow turns a TIFF.
        plain = image.format == "TIFF" or (image.format == "PNG" and "exif" not in image.info)
        try:
            turned = not plain and image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
        except DAMAGE as problem:
            raise damaged(path, problem) from problem
    return (height, width) if turned else (width, height)


def list_pictures(folder: Path) -> list[Path]:
    """The pictures of a folder in the order of the numbers in their names.

    Args:
        folder: an existing folder.

    Returns:
        Paths; hidden files, other kinds of files and folders are left out. `left_out` names
        those among them that are pictures.

    Raises:
        MediaError: if there is none.
    """
    pictures = _visible_files(folder, PICTURE_SUFFIXES)
    if not pictures:
        reason = left_out(folder) or "frames must be files such as 00000.jpg or 00000.png"
        raise MediaError(f"{folder} holds no pictures; {reason}")
    return sort_by_number(pictures)


def left_out(folder: Path) -> str | None:
    """A line about pictures in a folder that `list_pictures` leaves out; None without any."""
    files = sorted(_visible_files(folder, _UNREAD_SUFFIXES))
    if not files:
        return None
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    return f"{files[0].name}{more} cannot be read; save them as JPEG or PNG"


def _visible_files(folder: Path, suffixes: frozenset[str]) -> list[Path]:
    return [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in suffixes and not path.name.startswith(".") and not path.is_dir()
    ]


def sort_by_number(paths: Sequence[Path]) -> list[Path]:
    """Paths sorted as a person would: 2 before 10, whatever the zeros before them."""

    def key(path: Path) -> tuple[Any, ...]:
        parts = [
            (0, int(part), "") if part.isdigit() and part.isascii() else (1, 0, part.lower())
            for part in re.split(r"([0-9]+)", str(path))
        ]
        return parts, str(path)

    return sorted(paths, key=key)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Pillow's warnings, of damage or of many pixels, from being printed beside our errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    """Turn what damaged data raises into an error that names the file."""
    try:
        yield
    except MediaError:
        raise
    except DAMAGE as problem:
        raise damaged(path, problem) from problem


def damaged(path: Path, problem: BaseException) -> MediaError:
    """The error for a picture whose decoder gave up."""
    reason = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
    return MediaError(f"{path} cannot be decoded ({reason}); it is damaged, save it again")


def open_picture(path: Path) -> Image.Image:
    """Open a picture of which nothing is decoded yet; its size is checked before room is made.

    Raises:
        MediaError: if it is no picture, or declares too many pixels.
        FileNotFoundError: if there is no such file.
    """
    check_regular(path)
    try:
        with quiet():
            image = Image.open(_whole_webp(path) or path)
    except Image.DecompressionBombError as problem:
        raise MediaError(
            f"{path} has too many pixels (at most {MAX_PIXELS:,}); make it smaller"
        ) from problem
    except FileNotFoundError:
        raise
    except DAMAGE as problem:
        if path.suffix.lower() in _APPLE_SUFFIXES:
            hint = "save it as JPEG or PNG (on a Mac: sips -s format jpeg)"
        else:
            hint = "give a JPEG, PNG, WebP or TIFF file"
        raise MediaError(f"{path} is not a picture that can be read; {hint}") from problem
    try:
        check_pixels(path, image.size)
    except MediaError:
        image.close()
        raise
    return image


def webp_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The name and content of each chunk of a WebP that is there as a whole."""
    place = 12
    while place + 8 <= len(data):
        size = int.from_bytes(data[place + 4 : place + 8], "little")
        content = data[place + 8 : place + 8 + size]
        if len(content) == size:
            yield data[place : place + 4], content
        place += 8 + size + size % 2


def is_cut_webp(path: Path) -> bool:
    """Whether a file is a WebP whose end is missing."""
    with open_regular(path) as file:
        head, size = file.read(12), os.fstat(file.fileno()).st_size
    return head[:4] + head[8:] == b"RIFFWEBP" and size < 8 + int.from_bytes(head[4:8], "little")


def _whole_webp(path: Path) -> BytesIO | None:
    """What is there of a WebP that was cut off, as a file that is whole; None for any other."""
    if not is_cut_webp(path):
        return None
    chunks = [
        name + len(content).to_bytes(4, "little") + content + b"\0" * (len(content) % 2)
        for name, content in webp_chunks(path.read_bytes())
    ]
    body = b"WEBP" + b"".join(chunks)
    return BytesIO(b"RIFF" + len(body).to_bytes(4, "little") + body)


def image_to_rgb(
    image: Image.Image, name: str, levels: Levels | None = None, upright: bool = True
) -> np.ndarray:
    """One picture, or the page at hand of several, as RGB; see `read_picture`."""
    if 0 in image.size:
        raise MediaError(f"{name} has no pixels; got {image.size[0]}x{image.size[1]}")
    if image.mode == "F":
        raise MediaError(f"{name} holds floating-point numbers; save it with 8 or 16 bits")
    # Before the orientation is asked for, which can unpack the whole picture.
    values = _deep_values(image)
    turn = image.getexif().get(_ORIENTATION, 1) if upright else 1
    if values is not None:
        # Pillow's own conversion would clip grey at 255, and keep of colours the upper half.
        negative = getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO
        pixels = _to_8_bits(values, levels)
        image = Image.fromarray(255 - pixels if negative else pixels)
        image.getexif()[_ORIENTATION] = turn
    # Pillow would copy the whole picture even where it lies as it should.
    turned = ImageOps.exif_transpose(image) if turn != 1 else image
    if turned.has_transparency_data:
        layers = turned.convert("RGBA")
        page = Image.new("RGBA", layers.size, "white")
        turned = Image.alpha_composite(page, layers)
    return _pixels(turned if turned.mode == "RGB" else turned.convert("RGB"))


def _deep_values(image: Image.Image) -> np.ndarray | None:
    """Values of more than 8 bits or with signs, (H, W) or (H, W, 3 or 4); else None."""
    tags = getattr(image, "tag_v2", {})
    # Pillow takes 32 bits for signed and 8 for unsigned, whatever the file says.
    kind = tags.get(_BITS_A_SAMPLE, (1,)), tags.get(_SAMPLE_FORMAT, (1,))
    if image.mode.startswith("I"):
        grey = np.asarray(image)
        return grey.view(np.uint32) if kind == ((32,), (1,)) else grey
    if image.mode == "L" and kind == ((8,), (2,)):
        return np.asarray(image).view(np.int8)
    tiles = getattr(image, "tile", None)
    if not tiles or ";16" not in str(tiles[0].args) or image.mode not in ("RGB", "RGBA"):
        return None
    # Of colours with 16 bits Pillow gives the upper half; FFmpeg gives all of it.
    import av

    pipe = {"PNG": "png_pipe", "TIFF": "tiff_pipe"}.get(image.format or "")
    path = getattr(image, "filename", "")
    if not pipe or not path:
        return None
    try:
        with av.open(f"file:{os.fspath(path)}", format=pipe) as container:
            stream = container.streams.video[0]
            if image.format == "TIFF":
                stream.codec_context.options = {"page": str(image.tell() + 1)}
            values: np.ndarray = next(container.decode(stream)).to_ndarray(
                format="rgb48le" if image.mode == "RGB" else "rgba64le"
            )
    except (av.FFmpegError, StopIteration, ValueError):
        return None
    return values


def _levels(values: np.ndarray) -> Levels:
    """From 0, or minus a power of two, to what the bits of the largest hold, at least 8 in all."""
    if values.dtype == np.int8:
        return -128, 127
    # Alpha does not count.
    colors = values[..., :3] if values.ndim == 3 else values
    least, most = int(colors.min(initial=0)), int(colors.max(initial=0))
    black = -(2 ** (-1 - least).bit_length()) if least < 0 else 0
    return black, max(black + 255, 2 ** most.bit_length() - 1)


def _to_8_bits(values: np.ndarray, levels: Levels | None = None) -> np.ndarray:
    """Values as 8 bits, scaled so that `levels`, by default their own, are black and white."""
    black, white = _levels(values) if levels is None else levels
    grey = values if values.ndim == 2 else values[..., :3]
    if black:
        grey = grey.astype(np.int64) - black
    spare = max(0, (white - black).bit_length() - 16)
    if spare:
        grey = grey >> spare
    top = (white - black) >> spare
    table = ((np.arange(top + 1) * 255 + top // 2) // top).astype(np.uint8)
    scaled = table[np.clip(grey, 0, top)]
    if values.ndim == 3 and values.shape[2] == 4:
        scaled = np.dstack([scaled, (values[..., 3] >> 8).astype(np.uint8)])
    return scaled


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
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim in (2, 3):
        check_area("the picture", (array.shape[1], array.shape[0]))
    if array.dtype == np.uint16 and array.ndim in (2, 3):
        array = _to_8_bits(array)
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or channels not in (1, 3, 4):
        raise ValueError(
            "a picture array needs shape (H, W, 3) and type uint8, RGB in [0, 255]; "
            f"got {array.shape} {array.dtype}"
        )
    if 0 in array.shape:
        raise ValueError(f"a picture needs at least one pixel; got shape {array.shape}")
    if channels == 1:
        return np.repeat(array.reshape(*array.shape[:2], 1), 3, axis=2)
    if channels == 4:
        return image_to_rgb(Image.fromarray(array), "the picture")
    return np.ascontiguousarray(array)
