"""The held-out clips: the same masks each time, an occlusion in each, readable by `eval`."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from sam2_mlx.__main__ import main as command
from sam2_mlx.evaluation.datasets import open_dataset
from training.drawing.dice import Dice, field
from training.drawing.scenes import HEIGHT, WIDTH, Scene
from training.heldout import heldout_scene, main

FRAMES = 24
# Of the masks of the first clip; other numbers mean another held-out set, and new tables.
DIGEST = "03fb18f7cae8b6bf0218b30aa6be91d433d6a2b6d93bbffd4d7c930404041f18"


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [heldout_scene(number, FRAMES) for number in range(12)]


def test_dice_fall_as_always() -> None:
    dice = Dice(5)
    assert [dice.whole(0, 100) for _ in range(4)] == [62, 74, 79, 94]
    assert [round(float(value), 6) for value in field(5, 2)] == [0.805003, 0.807941]


def test_masks_are_the_same_each_time(scenes: list[Scene]) -> None:
    def digest(scene: Scene) -> str:
        found = hashlib.sha256()
        for time in range(FRAMES):
            found.update(scene.labels(time)[0].tobytes())
        return found.hexdigest()

    assert digest(scenes[0]) == digest(heldout_scene(0, FRAMES)) == DIGEST
    assert digest(scenes[1]) != DIGEST


def test_frames_are_the_same_each_time() -> None:
    first, second = (next(heldout_scene(3, 12).frames(1)) for _ in range(2))
    assert np.array_equal(first.image, second.image)
    assert np.array_equal(first.labels, second.labels)
    assert first.image.shape == (HEIGHT, WIDTH, 3) and first.image.dtype == np.uint8
    assert first.image.std() > 10


@pytest.mark.parametrize("number", range(12))
def test_every_clip_has_an_occlusion(scenes: list[Scene], number: int) -> None:
    scene = scenes[number]
    covered, shares = [], []
    for time in range(FRAMES):
        labels, areas, hidden = scene.labels(time)
        covered.append(hidden[0])
        shares.append(np.count_nonzero(labels == 1) / areas[0])
    deepest = int(np.argmax(covered))
    assert 3 < deepest < FRAMES - 3
    assert covered[deepest] >= 0.85
    assert max(shares[:3]) >= 0.75 and max(shares[deepest:]) >= 0.7


def test_first_frames_show_every_object(scenes: list[Scene]) -> None:
    for scene in scenes:
        labels, areas, _ = scene.labels(0)
        assert 2 <= scene.num_objects <= 4
        assert set(np.unique(labels)) - {0} == set(range(1, scene.num_objects + 1))
        for number, area in enumerate(areas, start=1):
            assert np.count_nonzero(labels == number) >= max(250, 0.75 * area)


def test_stories(scenes: list[Scene]) -> None:
    told = [set(scene.story) for scene in scenes]
    assert sum("leaves" in story for story in told) == 4
    assert sum("look-alike" in story for story in told) == 6
    for scene in scenes:
        if "leaves" in scene.story:
            leaver = _leaver(scene)
            seen = [np.count_nonzero(scene.labels(t)[0] == leaver) for t in range(FRAMES)]
            gone = [time for time, count in enumerate(seen) if count == 0]
            assert len(gone) >= 3
            assert max(seen[gone[-1] + 1 :]) > 100


def _leaver(scene: Scene) -> int:
    (actor,) = [actor for actor in scene.actors if actor.path.away != (0.0, 0.0)]
    return actor.label


def test_eval_reads_what_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "set"), "--clips", "1", "--frames", "12"]) == 0
    dataset = open_dataset(tmp_path / "set", "val")
    assert dataset.layout == "davis" and dataset.names == ("00-post",)
    sequence = dataset.open("00-post")
    scene = heldout_scene(0, 12)
    assert len(sequence.objects) == scene.num_objects
    truth = sequence.truth(7)
    assert np.array_equal(truth[1], scene.labels(7)[0] == 1)
    capsys.readouterr()
    annotations = str(tmp_path / "set" / "Annotations" / "480p")
    assert command(["eval", str(tmp_path / "set"), "--masks", annotations]) == 0
    assert "100.0" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main([str(tmp_path / "set")])
    assert "is not an empty folder" in capsys.readouterr().err
