"""Pictures whose values are objects: what is written is read, and nothing large is decoded."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sam2_mlx.media.errors import MediaError
from sam2_mlx.media.overlay import object_color
from sam2_mlx.media.palette import palette_image, read_values

SIZE = (6, 8)


def save(path: Path, values: np.ndarray) -> Path:
    Image.fromarray(values).save(path)
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    masks = np.zeros((2, *SIZE), bool)
    masks[0, 1:4] = masks[1, 3:, 2:5] = True
    palette_image(masks, [7, 255]).save(tmp_path / "a.png")
    values = read_values(tmp_path / "a.png", SIZE)
    assert values.dtype == np.uint8
    # The later mask lies on top.
    assert np.array_equal(values == 255, masks[1])
    assert np.array_equal(values == 7, masks[0] & ~masks[1])
    with Image.open(tmp_path / "a.png") as image:
        colors = np.asarray(image.convert("RGB"))
    assert tuple(colors[1, 0]) == object_color(6) and tuple(colors[0, 0]) == (0, 0, 0)


def test_colours_by_rank() -> None:
    image = palette_image(np.ones((1, *SIZE), bool), [9], ranks=[0])
    assert tuple(np.asarray(image.convert("RGB"))[0, 0]) == object_color(0)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, bool])
def test_grey_pictures(tmp_path: Path, dtype: type) -> None:
    values = (np.arange(48).reshape(SIZE) % 2).astype(dtype)
    read = read_values(save(tmp_path / "a.png", values), SIZE)
    assert read.dtype == np.uint8 and np.array_equal(read, values)


def test_noise_is_not_a_mask_for_each_value(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 2**16, SIZE).astype(np.uint16)
    with pytest.raises(MediaError, match=f"values up to {values.max()}; object ids go from 1"):
        read_values(save(tmp_path / "a.png", values), SIZE)


def declared(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header declares a size."""

    def chunk(name: bytes, data: bytes) -> bytes:
        check = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(bytes(2**20))), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)


@pytest.mark.parametrize(
    ("width", "height", "words"),
    [
        (5_000, 5_000, "has 5000x5000 pixels, the frames 8x6"),
        (11_000, 11_000, "declares 11000x11000 pixels in"),
        (13_000, 13_000, "has 13000x13000 pixels .at most"),
        (60_000, 60_000, "has too many pixels"),
    ],
)
def test_a_bomb_is_not_decoded(tmp_path: Path, width: int, height: int, words: str) -> None:
    (tmp_path / "a.png").write_bytes(declared(width, height))
    tracemalloc.start()
    with pytest.raises(MediaError, match=words):
        read_values(tmp_path / "a.png", SIZE)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_what_is_no_picture_of_values(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no picture"):
        read_values(tmp_path / "none.png", SIZE)
    with pytest.raises(MediaError, match="mode RGB"):
        read_values(save(tmp_path / "a.png", np.zeros((*SIZE, 3), np.uint8)), SIZE)
    whole = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 9, (60, 80)).astype(np.uint8)
    Image.fromarray(noise).save(whole, "PNG")
    (tmp_path / "cut.png").write_bytes(whole.getvalue()[:-200])
    with pytest.raises(MediaError, match="cannot be decoded"):
        read_values(tmp_path / "cut.png", (60, 80))
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(MediaError, match="is not a picture"):
        read_values(tmp_path / "text.png", SIZE)
