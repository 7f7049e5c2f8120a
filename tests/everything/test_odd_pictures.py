"""Pictures of every kind, good and bad, through the commands: a right result or one clear line."""

from __future__ import annotations

import json
import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from sam2_mlx.ops import rle
from tests.commands import everything as everything_main
from tests.commands import image as image_main
from tests.everything.drawn import draw_shapes

QUICK = ["--model", "nano", "--dtype", "float32", "--points-per-side", "4"]
LOOSE = ["--min-iou", "0.3", "--min-stability", "0.4"]


def _save_good(folder: Path) -> dict[str, tuple[int, int]]:
    """Pictures that must work, and the (width, height) of each as shown."""
    shapes = draw_shapes()
    image = Image.fromarray(shapes)
    deep = shapes.astype(np.uint16) * 257
    clear = np.dstack([shapes, np.full(shapes.shape[:2], 255, np.uint8)])
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(folder / "plain.png")
    Image.fromarray(clear).save(folder / "alpha.png")
    cv2.imwrite(str(folder / "deep.png"), deep[..., ::-1])
    cv2.imwrite(str(folder / "deepgrey.png"), deep[..., 0])
    image.convert("CMYK").save(folder / "cmyk.tif")
    image.convert("P").save(folder / "palette.png", transparency=0)
    image.save(folder / "turned.png", exif=exif)
    image.resize((1, 1)).save(folder / "one.png")
    image.resize((300, 1)).save(folder / "row.png")
    sizes = {path.name: (168, 120) for path in folder.iterdir()}
    return {**sizes, "turned.png": (120, 168), "one.png": (1, 1), "row.png": (300, 1)}


def _save_bad(folder: Path) -> dict[str, str]:
    """Pictures that cannot work, and what must be said of each."""
    (folder / "text.jpg").write_text("no picture")
    (folder / "empty.png").touch()
    whole = folder / "cut.jpg"
    Image.fromarray(draw_shapes()).save(whole)
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    header = b"IHDR" + struct.pack(">IIBBBBB", 40000, 40000, 8, 2, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header
    bomb = start + struct.pack(">I", zlib.crc32(header)) + struct.pack(">I", 0) + b"IDAT" + bytes(4)
    (folder / "bomb.png").write_bytes(bomb)
    Image.fromarray(draw_shapes()).convert("F").save(folder / "float.tif")
    (folder / "gone.jpg").symlink_to(folder / "nowhere.jpg")
    return {
        "text.jpg": "is not a picture that can be read",
        "empty.png": "is not a picture that can be read",
        "cut.jpg": "cannot be decoded",
        "bomb.png": "too many pixels",
        "float.tif": "save it with 8 or 16 bits",
        "gone.jpg": "no file",
    }


def test_a_folder_with_everything_in_it(tmp_path: Path, capsys) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    sizes = _save_good(photos)
    problems = _save_bad(photos)
    (photos / "folder.png").mkdir()
    found = tmp_path / "found"
    assert everything_main([str(photos), "--output", str(found), *QUICK, *LOOSE]) == 2
    said = capsys.readouterr()
    assert f"wrote {len(sizes)} pictures" in said.out
    assert f"{len(problems)} pictures could not be used" in said.out
    errors = [line for line in said.err.splitlines() if "error" in line]
    assert len(errors) == len(problems)
    for name, message in problems.items():
        (line,) = [line for line in errors if name in line]
        assert message in line
    assert "Traceback" not in said.err and "Warning" not in said.err

    documents = {
        name: json.loads((found / f"{Path(name).stem}.json").read_text()) for name in sizes
    }
    for name, (width, height) in sizes.items():
        (image,) = documents[name]["images"]
        assert (image["width"], image["height"]) == (width, height)
        with Image.open(found / f"{Path(name).stem}_masked.png") as drawn:
            assert drawn.size == (width, height)
        for annotation in documents[name]["annotations"]:
            assert rle.decode(annotation["segmentation"]).shape == (height, width)
    plain = documents["plain.png"]["annotations"]
    assert len(plain) > 1
    # The same pixels in another form give the same masks.
    for name in ("alpha.png", "deep.png"):
        assert documents[name]["annotations"] == plain


@pytest.mark.parametrize("what", [["--everything"], ["--box", "1,1,9,9"]])
def test_the_image_command_says_what_is_wrong(tmp_path: Path, what, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    problems = _save_bad(tmp_path)
    (tmp_path / "folder.png").mkdir()
    before = set(tmp_path.iterdir())
    for name, message in {**problems, "folder.png": "is a folder"}.items():
        assert image_main([name, *what, "--model", "nano"]) == 2
        (error,) = capsys.readouterr().err.splitlines()
        assert error.startswith("sam2-mlx: error: ") and message in error
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize("what", [["--everything", "--points-per-side", "2"], ["--box", "0,0,1,1"]])
def test_the_image_command_takes_every_kind(tmp_path: Path, what, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    for name, size in _save_good(tmp_path).items():
        assert image_main([name, *what, "--model", "nano", "--output", "drawn.png"]) == 0
        assert f"({size[0]}x{size[1]}; " in capsys.readouterr().out
        with Image.open("drawn.png") as drawn:
            assert drawn.size == size


def test_a_hostile_folder(tmp_path: Path, capsys) -> None:
    photos, found = tmp_path / "photos", tmp_path / "found"
    photos.mkdir()
    found.mkdir()
    for name in ("good.png", "mine.png", "deep.png", "waits.png", "x" * 246 + ".png"):
        Image.fromarray(draw_shapes()).save(photos / name)
    os.mkfifo(photos / "pipe.png")
    (photos / "zero.png").symlink_to("/dev/zero")
    (photos / "clear\x1b[2J.png").write_bytes(b"no picture")
    (found / "mine.json").write_text('{"info": {"description": "holidays"}}')
    (found / "deep.json").write_text("[" * 100_000)
    before = {path: path.read_bytes() for path in found.iterdir()}
    os.mkfifo(found / "waits.json")
    assert everything_main([str(photos), "--output", str(found), *QUICK, *LOOSE]) == 2
    said = capsys.readouterr()
    assert "wrote 1 picture to" in said.out and "\x1b" not in said.err.replace("\x1b[A", "")
    errors = "\n".join(line for line in said.err.splitlines() if "error" in line)
    for words in (
        "mine.json was not written by an earlier run and would be lost",
        "deep.json was not written",
        "waits.json is a device or a pipe",
        "no file " + str(photos / "pipe.png"),
        "no file " + str(photos / "zero.png"),
        "clear\\x1b[2J.png is not a picture",
        "File name too long",
    ):
        assert words in errors, words
    assert {path: path.read_bytes() for path in before} == before
    assert {path.name for path in found.iterdir()} - {path.name for path in before} == {
        "good.json",
        "good_masked.png",
        "waits.json",
    }
