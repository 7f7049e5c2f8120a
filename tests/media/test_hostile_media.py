"""Media that nobody made in good faith: one line, soon, and without filling the memory."""

from __future__ import annotations

import struct
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sam2_mlx.media import MediaError, load_picture, open_frames
from sam2_mlx.media.mp4_tables import check_tables
from tests.media.media_clips import Recipe, make_clip, read_numbers


def box(name: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + name + body


def many_equal_samples(path: Path, count: int) -> Path:
    """An mp4 whose one entry declares so many samples of equal size."""
    data = bytearray(make_clip(path, Recipe(frames=8)).read_bytes())
    place = data.index(b"stsz") + 8
    data[place : place + 8] = struct.pack(">II", 1, count)
    path.write_bytes(bytes(data))
    return path


@pytest.mark.parametrize("count", [20_000, 40_000_000, 2**32 - 1])
def test_declared_samples_are_bounded_by_the_size_of_the_file(tmp_path: Path, count: int) -> None:
    path = many_equal_samples(tmp_path / "many.mp4", count)
    begin = time.perf_counter()
    with pytest.raises(MediaError, match=rf"declares {count:,} samples .* bytes"):
        open_frames(path)
    assert time.perf_counter() - begin < 1


@pytest.mark.parametrize("length", [0, 1])
def test_fragments_are_counted_too(tmp_path: Path, length: int) -> None:
    """A run of four billion samples without a field of their own; also to the end of the file."""
    run = box(b"trun", struct.pack(">III", 1, 2**32 - 1, 8))
    fragment = bytearray(box(b"moof", box(b"traf", box(b"tfhd", bytes(8)), run)))
    if length == 0:
        fragment[:4] = bytes(4)
    else:
        fragment[8:8] = struct.pack(">Q", 8 + len(fragment))
        fragment[:4] = struct.pack(">I", 1)
    path = tmp_path / "fragments.mp4"
    path.write_bytes(box(b"ftyp", b"isom", bytes(4)) + bytes(fragment))
    with pytest.raises(MediaError, match="declares 4,294,967,295 samples"):
        check_tables(path)


def test_edits_that_show_everything_again_are_counted(tmp_path: Path) -> None:
    edits = box(b"edts", box(b"elst", struct.pack(">II", 0, 2**31)))
    table = box(b"stsz", struct.pack(">III", 0, 0, 1000))
    path = tmp_path / "edits.mov"
    path.write_bytes(box(b"moov", box(b"trak", edits, table)) + bytes(2000))
    with pytest.raises(MediaError, match="2147483648 edits"):
        check_tables(path)


def test_boxes_within_boxes_end(tmp_path: Path) -> None:
    data = b""
    for _ in range(5000):
        data = box(b"moov", data)
    path = tmp_path / "deep.mp4"
    path.write_bytes(data)
    check_tables(path)
    with pytest.raises(MediaError):
        open_frames(path)


def test_good_files_pass(tmp_path: Path) -> None:
    for name, options in {"a.mp4": {}, "b.mov": {}}.items():
        path = make_clip(tmp_path / name, Recipe(frames=30, audio="aac", options=options))
        check_tables(path)
        assert read_numbers(path) == list(range(30))


def test_a_damaged_avif_is_one_line(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    path = tmp_path / "bad.avif"
    Image.fromarray(noise).save(path)
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    data[start:] = bytes(len(data) - start)
    path.write_bytes(bytes(data))
    for read in (load_picture, lambda name: open_frames(name).read(0)):
        with pytest.raises(MediaError, match=r"bad\.avif cannot be decoded") as caught:
            read(path)
        assert "\n" not in str(caught.value)
