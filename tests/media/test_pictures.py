"""Pictures of every kind end as upright 8-bit RGB."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from sam2_mlx.media import MediaError, frame_source, load_picture, open_frames
from sam2_mlx.media.pictures import picture_size
from sam2_mlx.transforms import check_picture

RED = np.array([250, 10, 20])


def red_corner(mode: str = "RGB") -> Image.Image:
    picture = np.full((40, 60, 3), 200, np.uint8)
    picture[:10, :20] = RED
    return Image.fromarray(picture).convert(mode)


@pytest.mark.parametrize(
    ("orientation", "corner", "size"),
    [
        (1, (0, 0), (60, 40)),
        (3, (-1, -1), (60, 40)),
        (6, (0, -1), (40, 60)),
        (8, (-1, 0), (40, 60)),
    ],
)
def test_the_camera_s_orientation_is_applied(
    tmp_path: Path, orientation: int, corner: tuple[int, int], size: tuple[int, int]
) -> None:
    path = tmp_path / "photo.jpg"
    exif = Image.Exif()
    exif[0x0112] = orientation
    red_corner().save(path, exif=exif, quality=100, subsampling=0)
    picture = load_picture(path)
    assert picture.shape == (size[1], size[0], 3)
    assert picture_size(path) == size
    assert np.abs(picture[corner].astype(int) - RED).max() < 12


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.tif", "a.bmp"])
def test_file_formats(tmp_path: Path, name: str) -> None:
    red_corner().save(tmp_path / name, quality=100)
    picture = load_picture(tmp_path / name)
    assert picture.dtype == np.uint8 and picture.shape == (40, 60, 3)
    assert np.abs(picture[2, 2].astype(int) - RED).max() < 25


def test_cmyk_and_palette_and_grey(tmp_path: Path) -> None:
    red_corner("CMYK").save(tmp_path / "cmyk.jpg", quality=100, subsampling=0)
    assert np.abs(load_picture(tmp_path / "cmyk.jpg")[2, 2].astype(int) - RED).max() < 12
    red_corner("P").save(tmp_path / "palette.png")
    assert np.abs(load_picture(tmp_path / "palette.png")[2, 2].astype(int) - RED).max() < 40
    red_corner("L").save(tmp_path / "grey.png")
    assert (load_picture(tmp_path / "grey.png")[30, 30] == 200).all()
    red_corner("1").save(tmp_path / "bits.png")
    assert set(np.unique(load_picture(tmp_path / "bits.png"))) == {0, 255}


def test_sixteen_bit_pictures_are_scaled_not_clipped(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(4, axis=0)
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    assert np.array_equal(load_picture(tmp_path / "deep.png")[0, :, 0], np.arange(256))
    Image.fromarray(ramp).save(tmp_path / "deep.tif")
    assert np.array_equal(load_picture(tmp_path / "deep.tif")[0, :, 0], np.arange(256))
    assert np.array_equal(load_picture(ramp)[0, :, 0], np.arange(256))


def test_transparent_pixels_are_shown_on_white(tmp_path: Path) -> None:
    layers = np.zeros((4, 4, 4), np.uint8)
    layers[:2] = (10, 20, 30, 255)
    layers[2:] = (90, 0, 0, 0)
    Image.fromarray(layers).save(tmp_path / "alpha.png")
    picture = load_picture(tmp_path / "alpha.png")
    assert (picture[0, 0] == (10, 20, 30)).all()
    assert (picture[3, 3] == 255).all()
    assert np.array_equal(load_picture(layers), picture)


def test_arrays_and_images_are_taken_too() -> None:
    array = np.asarray(red_corner())
    assert np.array_equal(load_picture(array), array)
    assert np.array_equal(load_picture(red_corner()), array)
    assert load_picture(array[..., 0]).shape == (40, 60, 3)
    for wrong in (array.astype(np.float32), array[None], np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(ValueError, match="picture"):
            load_picture(wrong)


def header_only(path: Path, width: int, height: int) -> Path:
    """A PNG that announces a size and holds no pixels."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks + struct.pack(">I", 0) + b"IDAT" + bytes(4))
    return path


@pytest.mark.parametrize("size", [(30000, 30000), (13500, 10000)])
def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, size: tuple[int, int]) -> None:
    path = header_only(tmp_path / "bomb.png", *size)
    for read in (load_picture, picture_size, open_frames):
        with pytest.raises(MediaError, match=r"bomb\.png .*pixels .*make it smaller"):
            read(path)


def test_a_hundred_megapixels_are_fine(tmp_path: Path) -> None:
    path = header_only(tmp_path / "panorama.png", 12500, 8000)
    with pytest.raises(MediaError, match="declares 12500x8000 pixels in .* bytes"):
        picture_size(path)
    with path.open("ab") as file:
        file.write(bytes(100_000))
    assert picture_size(path) == (12500, 8000)


@pytest.mark.skipif(sys.platform != "linux", reason="counts kilobytes as Linux does")
@pytest.mark.parametrize("name", ["large.png", "large.jpg"])
def test_a_large_picture_is_not_held_many_times(tmp_path: Path, name: str) -> None:
    side = 5000
    Image.new("RGB", (side, side), (40, 90, 160)).save(tmp_path / name)
    program = """
import resource, sys
from sam2_mlx.media import load_picture
peak = lambda: 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
assert (load_picture(sys.argv[1])[::500, ::500] == (40, 90, 160)).all() or ".jpg" in sys.argv[1]
print(peak() - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / name], capture_output=True, text=True, check=True
    )
    # Pillow's four bytes a pixel and our three, and some room.
    assert int(done.stdout) < 9 * side**2


def test_sixteen_bit_colours_keep_their_upper_half(tmp_path: Path) -> None:
    deep = np.zeros((6, 8, 3), np.uint16)
    deep[:3] = (60000, 30000, 514)
    cv2.imwrite(str(tmp_path / "deep.png"), deep[..., ::-1])
    picture = load_picture(tmp_path / "deep.png")
    assert np.abs(picture[0, 0].astype(int) - (233, 117, 2)).max() <= 1 and not picture[4].any()


def test_pictures_at_hand_are_bounded_as_files_are(monkeypatch: pytest.MonkeyPatch) -> None:
    # A view of one pixel: to convert it would take 24 GB.
    huge = np.broadcast_to(np.zeros((1, 1, 3), np.uint8), (90_000, 90_000, 3))
    for refuse in (load_picture, check_picture):
        with pytest.raises(ValueError, match="has 90000x90000 pixels .at most 134,217,728.; make"):
            refuse(huge)
    with pytest.raises(MediaError, match="the picture has 90000x90000 pixels"):
        load_picture(huge[..., 0].view())
    monkeypatch.setattr(frame_source, "MAX_PIXELS", 99)
    with pytest.raises(MediaError, match="the picture has 20x5 pixels"):
        load_picture(Image.new("L", (20, 5)))
    assert load_picture(Image.new("L", (9, 11))).shape == (11, 9, 3)


def test_what_is_no_picture_is_refused_in_one_line(tmp_path: Path) -> None:
    text = tmp_path / "text.png"
    text.write_text("no picture")
    whole = tmp_path / "whole.png"
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(whole)
    cut = tmp_path / "cut.png"
    cut.write_bytes(whole.read_bytes()[:2000])
    phone = tmp_path / "photo.heic"
    phone.write_bytes(b"\0\0\0\x18ftypheic" + bytes(50))
    for path in (text, cut, phone, tmp_path):
        with pytest.raises(MediaError) as caught:
            load_picture(path)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(FileNotFoundError, match="check the path"):
        load_picture(tmp_path / "missing.png")


def test_a_pipe_in_a_folder_of_pictures_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "0.png")
    with pytest.raises(MediaError, match=r"0.png is a device or a pipe"):
        open_frames(tmp_path)
