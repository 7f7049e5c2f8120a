"""Pictures as clips: animations, pages, deep pictures, and what of a folder is left out."""

from __future__ import annotations

import copy
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from sam2_mlx.media import MediaError, load_picture, open_frames
from tests.media.media_clips import numbered_frame, read_number

LOSSLESS = {name: {"lossless": True} for name in ("a.webp", "cut.webp")}
DELAYS = [40, 50, 60, 70, 80, 90, 100, 110, 120, 130]


def animation(path: Path, frames: int = 10, **options: object) -> Path:
    pictures = [Image.fromarray(numbered_frame(number)) for number in range(frames)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], **options)
    return path


@pytest.mark.parametrize("name", ["a.webp", "a.png", "a.avif", "a.gif"])
def test_an_animation_is_a_clip_with_its_own_times(tmp_path: Path, name: str) -> None:
    path = animation(tmp_path / name, duration=DELAYS, **LOSSLESS.get(name, {}))
    with open_frames(path) as source:
        assert [read_number(frame) for frame in source] == list(range(10))
        backward = [read_number(source.read(number)) for number in range(9, -1, -1)]
        assert backward == list(range(9, -1, -1))
        times = np.cumsum([0, *DELAYS[:-1]]) / 1000
        # A GIF counts in hundredths of a second.
        assert source.times == pytest.approx(times, abs=0.006 if name == "a.gif" else 1e-6)
        assert source.note is None


def test_the_pages_of_a_tiff_are_frames(tmp_path: Path) -> None:
    path = animation(tmp_path / "stack.tif")
    with open_frames(path, frame_rate=10) as source:
        assert source.num_frames == 10 and source.frame_rate == 10
        order = [3, 9, 0, 5, 4, 4]
        assert [read_number(source.read(number)) for number in order] == order
        other = copy.deepcopy(source)
    assert read_number(other.read(7)) == 7
    other.close()


def test_previews_and_masks_in_a_tiff_are_no_frames(tmp_path: Path) -> None:
    pages = [Image.fromarray(numbered_frame(number)) for number in range(4)]
    pages[1] = pages[1].resize((24, 16))
    for page, kind in zip(pages, (0, 1, 0, 0), strict=True):
        tags = TiffImagePlugin.ImageFileDirectory_v2()
        tags[254] = kind
        page.encoderinfo = {"tiffinfo": tags}
    path = tmp_path / "previews.tif"
    pages[0].save(path, save_all=True, append_images=pages[1:])
    with open_frames(path) as source:
        assert [read_number(frame) for frame in source] == [0, 2, 3]


def test_pages_of_another_size_are_fitted_to_the_first(tmp_path: Path) -> None:
    pages = [Image.fromarray(numbered_frame(n, 96 * (1 + n % 2), 64)) for n in range(4)]
    path = tmp_path / "sizes.tif"
    pages[0].save(path, save_all=True, append_images=pages[1:])
    with open_frames(path) as source:
        assert {frame.shape for frame in source} == {(64, 96, 3)}
        assert [read_number(frame) for frame in source] == [0, 1, 2, 3]
        assert source.note is not None and "picture 1 of" in source.note


@pytest.mark.parametrize("name", ["cut.png", "cut.tif", "cut.webp"])
def test_a_cut_off_animation_says_so_and_keeps_the_rest(tmp_path: Path, name: str) -> None:
    path = animation(tmp_path / name, frames=20, **LOSSLESS.get(name, {}))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    with open_frames(path) as source:
        assert source.note is not None and "ends early" in source.note
        good = []
        try:
            good = [read_number(frame) for frame in source]
        except MediaError as problem:
            assert str(path) in str(problem)
        numbers = good or [read_number(source.read(n)) for n in range(source.num_frames - 1)]
    assert 8 <= len(numbers) < 20 and numbers == list(range(len(numbers)))


def test_transparent_animations_are_shown_on_white(tmp_path: Path) -> None:
    pictures = [Image.new("RGBA", (40, 30), (number, 0, 0, 0)) for number in (10, 90)]
    pictures[0].save(tmp_path / "clear.png", save_all=True, append_images=pictures[1:])
    with open_frames(tmp_path / "clear.png") as source:
        assert all((frame == 255).all() for frame in source)


def deep(top: int, width: int = 256) -> np.ndarray:
    """uint16 (4, width): a ramp from 0 to `top`."""
    return np.linspace(0, top, width).round().astype(np.uint16)[None].repeat(4, axis=0)


def write_tiff(path: Path, values: np.ndarray, more: dict[int, int]) -> Path:
    """Grey values (H, W) as one strip, with tags that Pillow would not write."""
    height, width = values.shape
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    # The size, no compression, black is zero, one strip of all rows, one sample a pixel.
    plain = {256: width, 257: height, 259: 1, 262: 1, 273: 0, 277: 1, 278: height}
    for tag, value in {**plain, 279: values.nbytes, **more}.items():
        tags[tag] = value
    file = BytesIO()
    tags.save(file)
    path.write_bytes(file.getvalue() + values.tobytes())
    return path


@pytest.mark.parametrize("bits", [12, 32])
def test_grey_tiffs_that_pillow_takes_for_others(tmp_path: Path, bits: int) -> None:
    """White is zero in 16 bits, and 32 bits without a sign."""
    ramp = np.linspace(0, 2**bits - 1, 256).round()[None].repeat(4, axis=0)
    values = ramp.astype(np.uint16 if bits == 12 else np.uint32)
    # There is no sign.
    write_tiff(tmp_path / "grey.tif", values, {258: max(16, bits), 262: bits // 32, 339: 1})
    expected = np.arange(256) if bits == 32 else np.arange(255, -1, -1)
    assert np.array_equal(load_picture(tmp_path / "grey.tif")[0, :, 0], expected)


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
@pytest.mark.parametrize("kind", ["grey.png", "grey.tif", "int32.tif", "rgb.png", "rgb.tif"])
def test_deep_pictures_are_scaled_by_the_bits_they_have(
    tmp_path: Path, kind: str, bits: int
) -> None:
    ramp = deep(2**bits - 1)
    path = tmp_path / kind
    if kind.startswith("rgb"):
        colors = np.dstack([ramp, ramp // 2, np.zeros_like(ramp)])
        cv2.imwrite(str(path), colors[..., ::-1])
    else:
        Image.fromarray(ramp if kind.startswith("grey") else ramp.astype(np.int32)).save(path)
    picture = load_picture(path)
    assert np.array_equal(picture[0, :, 0], np.arange(256))
    if kind.startswith("rgb"):
        assert np.abs(picture[0, :, 1].astype(int) - np.arange(256) / 2).max() <= 1
        assert not picture[..., 2].any()
    assert np.array_equal(load_picture(ramp)[0, :, 0], np.arange(256))


def test_eight_bits_in_sixteen_and_more_than_sixteen(tmp_path: Path) -> None:
    assert np.array_equal(load_picture(deep(255))[0, :, 0], np.arange(256))
    wide = np.linspace(-500, 2**24 - 1, 256).astype(np.int32)[None].repeat(4, axis=0)
    Image.fromarray(wide).save(tmp_path / "wide.tif")
    picture = load_picture(tmp_path / "wide.tif")
    assert picture[0, 0, 0] == 0 and picture[0, -1, 0] == 255
    assert np.abs(picture[0, :, 0].astype(int) - np.arange(256)).max() <= 1


@pytest.mark.parametrize(
    ("dtype", "black", "white"),
    [(np.int8, -128, 127), (np.int16, -(2**15), 2**15 - 1), (np.int16, -1024, 4095)],
)
def test_values_below_zero_do_not_wrap(tmp_path: Path, dtype: type, black: int, white: int) -> None:
    ramp = np.linspace(black, white, 256).round().astype(dtype)[None].repeat(4, axis=0)
    tags = {258: ramp.itemsize * 8, 339: 2}
    path = write_tiff(tmp_path / "signed.tif", ramp, tags)
    assert np.abs(load_picture(path)[0, :, 0].astype(int) - np.arange(256)).max() <= 1
    # In a clip together with others that lie above zero.
    (tmp_path / "clip").mkdir()
    write_tiff(tmp_path / "clip" / "0.tif", ramp // 2 - black // 2, tags)
    path.rename(tmp_path / "clip" / "1.tif")
    with open_frames(tmp_path / "clip") as source:
        zero = round(-255 * black / (white - black))
        assert [int(frame[0, 0, 0]) for frame in source] == [zero, 0]


def test_deep_colours_are_turned_as_the_camera_says(tmp_path: Path) -> None:
    colors = np.zeros((40, 60, 3), np.uint16)
    colors[:10, :20] = (4095, 0, 0)
    path = tmp_path / "turned.tif"
    cv2.imwrite(str(path), colors[..., ::-1])
    plain = load_picture(path)
    assert (plain[0, 0] == (255, 0, 0)).all()
    path.write_bytes(add_orientation(path.read_bytes(), 6))
    with open_frames(path) as source:
        assert (source.width, source.height) == (40, 60)
        assert (source.read(0)[0, -1] == (255, 0, 0)).all()


def add_orientation(data: bytes, value: int) -> bytes:
    """A little-endian TIFF whose directory is copied to its end with one entry more."""
    assert data[:2] == b"II"
    start = int.from_bytes(data[4:8], "little")
    count = int.from_bytes(data[start : start + 2], "little")
    entries = [data[start + 2 + 12 * n : start + 14 + 12 * n] for n in range(count)]
    entry = (0x0112).to_bytes(2, "little") + (3).to_bytes(2, "little") + (1).to_bytes(4, "little")
    entries = [e for e in entries if e[:2] != entry[:2]] + [entry + value.to_bytes(4, "little")]
    entries.sort(key=lambda e: int.from_bytes(e[:2], "little"))
    place = len(data) + len(data) % 2
    directory = len(entries).to_bytes(2, "little") + b"".join(entries) + bytes(4)
    return data[:4] + place.to_bytes(4, "little") + data[8:].ljust(place - 8, b"\0") + directory


@pytest.mark.parametrize("form", ["folder", "pages"])
def test_deep_pictures_of_one_clip_are_scaled_alike(tmp_path: Path, form: str) -> None:
    pictures = [Image.fromarray(deep(top)) for top in (900, 4000, 1800)]
    if form == "pages":
        path = tmp_path / "stack.tif"
        pictures[0].save(path, save_all=True, append_images=pictures[1:])
    else:
        path = tmp_path
        for number, picture in enumerate(pictures):
            picture.save(tmp_path / f"{number}.png")
    with open_frames(path) as source:
        brightest = [int(frame.max()) for frame in source]
    assert brightest == [round(top * 255 / 4095) for top in (900, 4000, 1800)]


def test_what_a_folder_holds_beside_is_named(tmp_path: Path) -> None:
    (tmp_path / "IMG_2.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    (tmp_path / "light.exr").write_bytes(b"v/1\x01")
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(MediaError, match=r"holds no pictures; IMG_2\.HEIC and 1 more cannot be"):
        open_frames(tmp_path)
    Image.fromarray(numbered_frame(1)).save(tmp_path / "1.png")
    with open_frames(tmp_path) as source:
        assert source.num_frames == 1
        assert source.note is not None and "IMG_2.HEIC and 1 more cannot be read" in source.note
    (tmp_path / "IMG_2.HEIC").unlink()
    (tmp_path / "light.exr").unlink()
    with open_frames(tmp_path) as source:
        assert source.note is None
