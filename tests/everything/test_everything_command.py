"""`sam2-mlx everything`: what it writes, what it skips, and what it says about bad input."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sam2_mlx.cli.errors import UsageError
from sam2_mlx.cli.everything_options import EverythingOptions
from sam2_mlx.cli.everything_results import coco_document, draw_everything
from sam2_mlx.ops import rle
from tests.commands import everything as main
from tests.commands import image as image_main
from tests.everything.drawn import draw_shapes

QUICK = ["--model", "nano", "--dtype", "float32", "--points-per-side", "4"]


def _record(mask: np.ndarray) -> dict:
    x, y, width, height = rle.bounding_box(mask)
    return {
        "segmentation": rle.encode(mask),
        "area": int(mask.sum()),
        "bbox": [float(value) for value in (x, y, max(width - 1, 0), max(height - 1, 0))],
        "predicted_iou": 0.912345,
        "stability_score": 0.98,
        "point_coords": [[3.0, 4.0]],
        "crop_box": [0.0, 0.0, 40.0, 30.0],
    }


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two pictures of one stem, one with a tag that turns it, and a text file in disguise."""
    pictures = tmp_path / "photos"
    pictures.mkdir()
    Image.fromarray(draw_shapes()).save(pictures / "a.png")
    Image.fromarray(draw_shapes()[:, ::-1].copy()).save(pictures / "a.jpg")
    turned = Image.fromarray(draw_shapes())
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(pictures / "b.jpg", exif=exif)
    (pictures / "broken.jpg").write_text("no picture")
    return pictures


def test_a_folder_is_done_and_not_done_twice(folder, tmp_path, capsys) -> None:
    output = tmp_path / "found"
    arguments = [str(folder), "--output", str(output), *QUICK]
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert "wrote 3 pictures" in captured.out
    assert "1 picture could not be used" in captured.out
    assert "broken.jpg is not a picture" in captured.err
    names = sorted(path.name for path in output.iterdir())
    assert names == [
        "a.jpg.json",
        "a.jpg_masked.png",
        "a.png.json",
        "a.png_masked.png",
        "b.json",
        "b_masked.png",
    ]
    document = json.loads((output / "b.json").read_text())
    assert document["images"] == [{"id": 1, "file_name": "b.jpg", "width": 120, "height": 168}]
    assert len(document["annotations"]) > 1
    areas = [annotation["area"] for annotation in document["annotations"]]
    assert areas == sorted(areas, reverse=True)
    with Image.open(output / "b_masked.png") as drawn:
        assert drawn.size == (120, 168)

    before = {path: path.stat().st_mtime_ns for path in output.iterdir()}
    (output / "b.json").unlink()
    (folder / "broken.jpg").unlink()
    assert main(arguments) == 0
    assert "wrote 1 picture to" in (said := capsys.readouterr().out) and "2 pictures done" in said
    after = {path: path.stat().st_mtime_ns for path in output.iterdir()}
    changed = {path.name for path in before if after[path] != before[path]}
    assert changed == {"b.json", "b_masked.png"}

    assert main([*arguments, "--min-area", "60"]) == 0
    assert "wrote 3 pictures" in capsys.readouterr().out


def test_several_processes_write_the_same_and_outlive_a_picture_that_kills(
    folder, tmp_path, monkeypatch, capsys
) -> None:
    monkeypatch.setenv("SAM2_MLX_LANES", "1")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    alone = [str(folder), "--output", str(tmp_path / "alone"), *QUICK]
    assert main(alone) == 2
    shutil.copy(folder / "a.png", folder / "dies.png")
    monkeypatch.setattr("sam2_mlx.cli.batch.pool.WORKER", "tests.cli.dying_worker")
    capsys.readouterr()
    several = [str(folder), "--output", str(tmp_path / "several"), *QUICK, "--workers", "2"]
    assert main(several) == 2
    said = capsys.readouterr()
    assert "wrote 3 pictures" in said.out and "2 pictures could not be used" in said.out
    assert "dies.png: its worker was ended by SIGKILL, 3 times" in said.err
    results = [sorted((tmp_path / name).iterdir()) for name in ("alone", "several")]
    for one, other in zip(*results, strict=True):
        assert one.name == other.name and one.read_bytes() == other.read_bytes()


def test_one_picture_and_the_default_folder(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(draw_shapes()).save("shapes.png")
    assert main(["shapes.png", *QUICK, "--min-iou", "0.3", "--min-stability", "0.4"]) == 0
    annotations = json.loads(Path("shapes_everything/shapes.json").read_text())["annotations"]
    assert annotations
    for annotation in annotations:
        mask = rle.decode(annotation["segmentation"])
        assert mask.sum() == annotation["area"]
        assert list(rle.bounding_box(mask)) == annotation["bbox"]


def test_min_area_leaves_out_what_is_smaller(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(draw_shapes()).save("shapes.png")
    loose = ["--min-iou", "0.2", "--min-stability", "0.2"]
    found = {}
    for area in ("0", "900"):
        assert main(["shapes.png", *QUICK, *loose, "--min-area", area, "--output", area]) == 0
        document = json.loads(Path(area, "shapes.json").read_text())
        found[area] = [annotation["area"] for annotation in document["annotations"]]
    assert min(found["0"]) < 900 <= min(found["900"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing"], "no file or folder missing"),
        (["empty"], "empty holds no pictures"),
        (["shapes.png", "--output", "."], "holds the pictures"),
        (["shapes.png", "--output", "shapes.png"], "is a file"),
        (["shapes.png", "--crops", "9"], "--crops must be between 0 and 3; got 9"),
        (["shapes.png", "--points-per-side", "0"], "between 1 and 256; got 0"),
        (["shapes.png", "--min-iou", "2"], "--min-iou must be between 0 and 1; got 2"),
        (["shapes.png", "--min-area", "-1"], "--min-area must be at least 0; got -1"),
    ],
)
def test_bad_arguments_are_one_line(arguments, message, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Image.fromarray(draw_shapes()).save("shapes.png")
    assert main([*arguments, "--model", "nano"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_picture_too_small_for_its_crops_does_not_stop_the_others(tmp_path, capsys) -> None:
    pictures = tmp_path / "photos"
    pictures.mkdir()
    Image.fromarray(draw_shapes()[:2, :1].copy()).save(pictures / "dot.png")
    Image.fromarray(draw_shapes()).save(pictures / "shapes.png")
    output = str(tmp_path / "found")
    assert main([str(pictures), "--output", output, *QUICK, "--crops", "1"]) == 2
    captured = capsys.readouterr()
    assert "dot.png: a picture of 1x2 pixels is too small" in captured.err
    assert "wrote 1 picture" in captured.out


def test_the_smallest_mask_shows() -> None:
    picture = np.full((30, 40, 3), 200, np.uint8)
    large, small = np.zeros((2, 30, 40), bool)
    large[2:25, 3:30] = True
    small[10:16, 10:20] = True
    drawn = draw_everything(picture, [_record(large), _record(small)])
    assert np.array_equal(drawn[~large], picture[~large])
    assert (drawn[12, 15] != drawn[5, 25]).any()
    assert (drawn[large] != picture[large]).any(axis=1).all()
    assert np.array_equal(draw_everything(picture, []), picture)


def test_a_document_counts_as_coco_does() -> None:
    mask = np.zeros((30, 40), bool)
    mask[4:9, 6:20] = True
    records = [_record(mask), _record(np.zeros((30, 40), bool))]
    document = coco_document("a.jpg", (30, 40), records, {})
    full, empty = document["annotations"]
    assert full["bbox"] == [6, 4, 14, 5]
    assert empty["bbox"] == [0, 0, 0, 0]
    assert (full["id"], full["score"], full["iscrowd"]) == (1, 0.9123, 0)
    json.dumps(document)


def test_options_are_checked() -> None:
    with pytest.raises(UsageError, match="--min-stability must be between 0 and 1"):
        EverythingOptions(min_stability=-0.5)


def test_the_image_command_finds_everything(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(draw_shapes()).save("shapes.png")
    arguments = ["shapes.png", "--everything", *QUICK, "--min-iou", "0.3", "--min-stability", "0.4"]
    assert image_main([*arguments, "--save-masks", "masks.json"]) == 0
    count = len(json.loads(Path("masks.json").read_text())["annotations"])
    assert count > 1
    assert (
        f"wrote shapes_masked.png, masks.json (168x120; {count} masks)" in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--point", "3,4"], "--everything needs no prompts and no --point"),
        (["--cutout", "a.png"], "no --cutout"),
        (["--save-masks", "masks"], "give --save-masks FILE.json: masks"),
        (["--output", "shapes.png"], "is the input"),
    ],
)
def test_the_image_command_says_what_does_not_go_together(
    arguments, message, tmp_path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(draw_shapes()).save("shapes.png")
    assert image_main(["shapes.png", "--everything", *arguments]) == 2
    assert message in capsys.readouterr().err
