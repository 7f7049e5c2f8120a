"""Videos, sounds and pictures: small ones of many kinds, spoiled, and what a clip is opened for."""

from __future__ import annotations

import random
import struct
import tempfile
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from sam2_mlx.media import load_picture, open_frames
from sam2_mlx.media.pictures import PICTURE_SUFFIXES, picture_size
from sam2_mlx.media.video_writer import write_like
from tests.fuzz.mutate import spoil_bytes
from tests.media.h264_fields import make_field_clip
from tests.media.media_clips import Recipe, make_clip, numbered_frame

_READS = 12
# An encoder of large pictures needs its memory, whoever made them.
_MOST_ENCODED = 2**22
_VP8 = {"auto-alt-ref": "1", "lag-in-frames": "6"}
_VIDEOS: dict[str, Recipe] = {
    "a.mp4": Recipe(audio="aac"),
    "b.mp4": Recipe(codec="mpeg4", audio="libmp3lame"),
    "c.mp4": Recipe(codec="libx265", audio="alac", options={"x265-params": "log-level=none"}),
    "fragments.mp4": Recipe(audio="aac", muxer={"movflags": "frag_keyframe+empty_moov"}),
    "a.mov": Recipe(codec="png", bframes=0, audio="pcm_s16le"),
    "b.mov": Recipe(codec="prores_ks", bframes=0),
    "a.mkv": Recipe(audio="libopus", tracks=2),
    "b.mkv": Recipe(codec="ffv1", bframes=0, audio="flac"),
    "c.mkv": Recipe(codec="mjpeg", bframes=0, audio="ac3"),
    "a.webm": Recipe(codec="libvpx", bframes=0, options=_VP8, audio="libopus"),
    "b.webm": Recipe(codec="libvpx-vp9", bframes=0, audio="libopus"),
    "c.webm": Recipe(codec="libsvtav1", bframes=0, options={"preset": "12"}),
    "a.avi": Recipe(codec="mpeg4", audio="libmp3lame"),
    "b.avi": Recipe(audio="pcm_s16le", sound_rate=11025),
    "a.ts": Recipe(audio="aac"),
    "b.ts": Recipe(codec="mpeg2video", audio="mp2"),
    "a.mpg": Recipe(codec="mpeg2video", audio="mp2"),
    "a.flv": Recipe(codec="flv1", bframes=0, audio="libmp3lame", sound_rate=44100),
    "a.wmv": Recipe(codec="wmv2", bframes=0, audio="libmp3lame"),
    "a.gif": Recipe(codec="gif", bframes=0),
    "a.h264": Recipe(),
    "a.nut": Recipe(codec="mpeg4", audio="libopus"),
}


@lru_cache(maxsize=1)
def _videos() -> dict[str, bytes]:
    """One good file of each kind."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, recipe in _VIDEOS.items():
            make_clip(folder / file, recipe)
        make_field_clip(folder / "fields.mkv")
        make_field_clip(folder / "fields.ts", 8, (0, 3))
        return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@lru_cache(maxsize=1)
def _pictures() -> dict[str, bytes]:
    """One good picture of each kind."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures = [Image.fromarray(numbered_frame(number)) for number in range(6)]
        for suffix in ("png", "jpg", "webp", "tif", "bmp", "avif", "tga", "ppm", "jp2"):
            pictures[0].save(folder / f"one.{suffix}")
        for suffix in ("png", "webp", "tif", "avif"):
            options = {} if suffix == "tif" else {"duration": 70}
            many = folder / f"many.{suffix}"
            pictures[0].save(many, save_all=True, append_images=pictures[1:], **options)
        deep = np.linspace(0, 4095, 96 * 64).astype(np.uint16).reshape(64, 96)
        Image.fromarray(deep).save(folder / "deep.png")
        Image.fromarray(deep.astype(np.int32)).save(folder / "wide.tif")
        pictures[0].convert("P").save(folder / "palette.png")
        pictures[0].convert("CMYK").save(folder / "cmyk.jpg")
        pictures[0].save(folder / "packed.tif", compression="tiff_lzw")
        return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def _spoiled(rng: random.Random, data: bytes) -> bytes:
    if rng.random() < 0.6:
        return spoil_bytes(rng, data)
    return rng.choice((_hostile_field, _swapped, _cut_and_joined))(rng, data)


def _hostile_field(rng: random.Random, data: bytes) -> bytes:
    """A large number where the file has a number of its own: sizes, counts, lengths."""
    result = bytearray(data)
    names = (b"stsz", b"stts", b"ctts", b"stsc", b"stco", b"elst", b"trun", b"tkhd", b"mdhd")
    names += (b"avc1", b"idx1", b"strh", b"strf", b"avih", b"IHDR", b"acTL", b"ANMF", b"VP8X")
    names += (b"ispe", b"iloc", b"fcTL", b"ihdr")
    places = [at + 4 for name in names if (at := data.find(name)) >= 0]
    at = rng.choice(places or [0]) + rng.randrange(0, 40)
    form = rng.choice(("<I", ">I", "<H", ">H"))
    value = rng.choice((0, 1, 255, 16384, 65535, 2**20, 2**27, 2**31 - 1, 2**32 - 1))
    number = struct.pack(form, value % 2 ** (8 * struct.calcsize(form)))
    result[at : at + len(number)] = number
    return bytes(result)


def _swapped(rng: random.Random, data: bytes) -> bytes:
    """Two pieces change places."""
    size = rng.choice((16, 188, 1000))
    a, b = (rng.randrange(max(1, len(data) - size)) for _ in range(2))
    result = bytearray(data)
    result[a : a + size], result[b : b + size] = data[b : b + size], data[a : a + size]
    return bytes(result)


def _cut_and_joined(rng: random.Random, data: bytes) -> bytes:
    """Its beginning, and then a piece of it again."""
    return data[: rng.randrange(len(data))] + data[rng.randrange(len(data)) :]


def _spoil_from(files: Callable[[], dict[str, bytes]]) -> Callable[[random.Random, Path], Path]:
    def spoil(rng: random.Random, folder: Path) -> Path:
        name = rng.choice(sorted(files()))
        path = folder / name
        path.write_bytes(_spoiled(rng, files()[name]))
        return path

    return spoil


spoil_video = _spoil_from(_videos)
spoil_picture = _spoil_from(_pictures)


def use_clip(path: Path) -> None:
    """Read some frames in several orders, and write the clip anew with its sound."""
    if path.suffix in PICTURE_SUFFIXES:
        picture_size(path)
        load_picture(path)
    with open_frames(path) as source:
        last = source.num_frames - 1
        for number in [*range(min(_READS, last + 1)), last, last // 2, 0]:
            source.read(number)
        if source.width * source.height > _MOST_ENCODED:
            return
        writer = write_like(path.with_name("out.mp4"), source, last // 3)
        try:
            begin = source.time(last // 3)
            for number in range(last // 3, min(last + 1, last // 3 + _READS)):
                now = source.time(number)
                length = max(source.time(number + 1) - now, Fraction(1, 1000))
                writer.write(source.read(number), now - begin, length)
            writer.finish()
        finally:
            writer.abort()
