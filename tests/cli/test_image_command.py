"""The image command, with a stand-in for the predictor."""

from __future__ import annotations

import json
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
from PIL import Image

from sam2_mlx.predictors.look import Answer
from sam2_mlx.prompts import Prompt
from tests.commands import image as main

SIZE = (60, 40)


class FakeLook:
    """Three squares around what was pointed at; the second is the likeliest."""

    asked: list[tuple[Prompt, bool]] = []

    def __init__(self, model: object, size: tuple[int, int], features: object) -> None:
        assert size == (SIZE[1], SIZE[0])

    def answer(self, prompt: Prompt, multimask: bool) -> Answer:
        FakeLook.asked.append((prompt, multimask))
        x, y = np.round(prompt.points[0, 0] * SIZE).astype(int)
        count = 3 if multimask else 1
        logits = np.full((1, count, SIZE[1], SIZE[0]), -1, np.float32)
        for place in range(count):
            side = 4 * (place + 1)
            logits[0, place, y : y + side, x : x + side] = 1
        return Answer(mx.array(logits), mx.array([[0.5, 0.9, 0.7][:count]]))

    def enlarge(self, logits: mx.array) -> mx.array:
        return logits


@pytest.fixture(autouse=True)
def picture(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    FakeLook.asked = []
    monkeypatch.setattr("sam2_mlx.predictors.look.Look", FakeLook)
    monkeypatch.setattr("sam2_mlx.predictors.look.encode_pictures", lambda model, pictures: None)
    monkeypatch.setattr("sam2_mlx.cli.image_job.load_model", lambda choice: None)
    grey = np.random.default_rng(0).integers(100, 120, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
    Image.fromarray(grey).save(folder / "photo.png")
    return folder / "photo.png"


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def square(x: int, y: int, side: int) -> np.ndarray:
    mask = np.zeros((SIZE[1], SIZE[0]), bool)
    mask[y : y + side, x : x + side] = True
    return mask


def test_the_likeliest_mask_is_drawn(picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["photo.png", "--point", "10,20"]) == 0
    assert names(picture.parent) == {"photo.png", "photo_masked.png"}
    before, after = (np.asarray(Image.open(name)) for name in ("photo.png", "photo_masked.png"))
    changed = (before != after).any(axis=2)
    assert changed[square(10, 20, 8)].all()
    assert not changed[~square(9, 19, 10)].any()
    said = capsys.readouterr().out
    assert said.startswith("wrote photo_masked.png (60x40; 1 object; object 1: score 0.90, 2.7 %")


def test_one_point_is_ambiguous_and_more_are_not(picture: Path) -> None:
    args = ["--point", "1,1", "--point", "2:5,5", "--negative-point", "2:9,9"]
    assert main([str(picture), *args, "--box", "3:2,2,9,9"]) == 0
    assert [multimask for _, multimask in FakeLook.asked] == [True, False, False]
    assert FakeLook.asked[1][0].labels.tolist() == [[1, 0]]
    assert FakeLook.asked[2][0].labels.tolist() == [[2, 3]]


def test_all_outputs(picture: Path) -> None:
    args = ["--point", "10,20", "--point", "2:30,5", "--cutout", "cut.png"]
    assert main([str(picture), *args, "--save-masks", "m.json", "--output", "a.jpg"]) == 0
    assert names(picture.parent) == {"photo.png", "a.jpg", "cut.png", "m.json"}
    alpha = np.asarray(Image.open("cut.png"))[..., 3]
    assert np.array_equal(alpha == 255, square(10, 20, 8) | square(30, 5, 8))
    notes = json.loads(Path("m.json").read_text())["annotations"]
    assert [(note["object_id"], note["area"]) for note in notes] == [(1, 64), (2, 64)]
    assert notes[0]["score"] == 0.9


def test_all_masks_are_written_likeliest_first(picture: Path) -> None:
    assert main([str(picture), "--point", "10,20", "--all-masks"]) == 0
    assert names(picture.parent) == {"photo.png", *(f"photo_masked_{n}.png" for n in (1, 2, 3))}
    before = np.asarray(Image.open(picture))
    for number, side in ((1, 8), (2, 12), (3, 4)):
        after = np.asarray(Image.open(f"photo_masked_{number}.png"))
        assert (before != after).any(axis=2)[square(10, 20, side)].all()


BAD = {
    "missing.png --point 1,1": "no file missing.png",
    "text.png --point 1,1": "text.png is not a picture that can be read",
    "photo.png": "nothing to segment",
    "photo.png --point 60,1": "outside the picture; it has 60x40 pixels",
    "photo.png --box 1,1,1,9": "has no area",
    "photo.png --point 1,1 --output photo.png": "photo.png is the input",
    "photo.png --point 1,1 --output out.mp4": "'.mp4'; give a name that ends in .png",
    "photo.png --point 1,1 --output none/out.png": "the folder none does not exist",
    "photo.png --point 1,1 --cutout cut.jpg": "ends in .png or .webp",
    "photo.png --point 1,1 --save-masks m.png": "masks cannot be saved as '.png'",
}


@pytest.mark.parametrize("line", BAD)
def test_bad_input_ends_in_one_line(
    picture: Path, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    (picture.parent / "text.png").write_text("no picture")
    before = names(picture.parent)
    assert main(line.split()) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith("sam2-mlx: error: ") and BAD[line] in error
    assert names(picture.parent) == before
