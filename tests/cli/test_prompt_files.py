"""Prompts in files: what is written can be read, what is wrong is said, and where."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sam2_mlx.media import open_frames
from sam2_mlx.media.mask_writer import read_npz_masks
from tests.cli.fake_session import DRIFT, SIZE, FakeSession, disc
from tests.commands import video as main
from tests.media.media_clips import Recipe, make_clip


@pytest.fixture(autouse=True)
def clip(folder: Path) -> Path:
    return make_clip(folder / "clip.mp4", Recipe(frames=30))


def write(*prompts: Any, name: str = "p.json") -> str:
    Path(name).write_text(json.dumps({"prompts": prompts}))
    return name


@pytest.mark.usefixtures("fake")
class TestPrompts:
    def test_prompts_on_several_frames_reach_the_session(self) -> None:
        Image.fromarray((disc(70, 40) * 255).astype(np.uint8)).save("m.png")
        file = write(
            {"object": 1, "frame": 4, "points": [[30, 20], [5, 5]], "labels": [1, 0]},
            {"object": 1, "frame": "0.4s", "box": [10, 10, 40, 30]},
            {"object": 7, "frame": 6, "mask": "m.png"},
            {"points": [[8, 9]], "frame": 5, "object": 2},
        )
        assert main(["clip.mp4", "--prompts", file, "--end", "12"]) == 0
        (session,) = FakeSession.opened
        assert session.passes == [(4, 8, False)]
        assert [(n, frame) for n, frame, _ in session.given] == [(1, 4), (1, 10), (7, 6), (2, 5)]
        labels = [prompt.labels.tolist() for _, _, prompt in session.given]
        assert labels == [[[1, 0]], [[2, 3]], [[]], [[1]]]
        with open_frames("clip_masked.mp4") as written:
            assert written.num_frames == 9

    @pytest.mark.parametrize(
        ("options", "passes"),
        [
            (["--reverse"], [(20, 20, True)]),
            (["--both"], [(9, 20, False), (9, 9, True)]),
            (["--every", "11"], [(0, 1, False)]),
        ],
    )
    def test_directions_and_strides(self, options: list[str], passes: list[Any]) -> None:
        file = write({"frame": 9, "points": [[9, 9]]}, {"frame": 20, "points": [[8, 8]]})
        assert main(["clip.mp4", "--prompts", file, *options]) == 0
        assert [session.passes[0] for session in FakeSession.opened] == passes

    def test_what_is_saved_is_read_again(self) -> None:
        Image.fromarray((disc(70, 40) * 255).astype(np.uint8)).save("m.png")
        args = ["--point", "30.5,20", "--negative-point", "5,5", "--box", "2:10,10,40,30"]
        args += ["--point", "2:20,20", "--mask", "7:m.png", "--frame", "3", "--save-prompts"]
        assert main(["clip.mp4", *args, "p.json"]) == 0
        Path("m.png").unlink()  # the file needs no other
        assert main(["clip.mp4", "--prompts", "p.json", "--save-prompts", "q.json"]) == 0
        first, second = FakeSession.opened
        assert first.passes == second.passes and len(first.given) == 3
        for (n, frame, one), (m, other_frame, other) in zip(first.given, second.given, strict=True):
            assert (n, frame) == (m, other_frame)
            np.testing.assert_allclose(one.points, other.points, atol=1e-4)
            assert one.labels.tolist() == other.labels.tolist()
            assert (one.mask is None) == (other.mask is None)
            assert one.mask is None or np.array_equal(one.mask, other.mask)
        assert Path("p.json").read_text() == Path("q.json").read_text()

    def test_an_object_that_is_missed_anywhere_is_told(self, monkeypatch, capsys) -> None:
        monkeypatch.setattr("tests.cli.fake_session.RADIUS", 0)
        file = write({"frame": 0, "points": [[9, 9]]}, {"frame": 2, "points": [[9, 9]]})
        assert main(["clip.mp4", "--prompts", file]) == 0
        assert capsys.readouterr().err.count("nothing was found at the prompt of object 1") == 1


WRONG: dict[str, tuple[Any, str]] = {
    "no list": ({"prompt": []}, 'needs a list of "prompts"'),
    "none": ({"prompts": []}, "and one at least"),
    "text": ([1], 'needs a list of "prompts"'),
    "nothing": ([{}], "prompt 1: nothing to segment"),
    "number": ([3], "prompt 1: needs an object with some of box, frame"),
    "unknown": ([{"point": [3, 3]}], "prompt 1: needs an object with some of"),
    "object": ([{"object": "1", "points": [[3, 3]]}], "numbered from 1 to 999999; got '1'"),
    "object 0": ([{"object": 0, "points": [[3, 3]]}], "got 0"),
    "yes": ([{"object": True, "points": [[3, 3]]}], "got True"),
    "frame": ([{"frame": 30, "points": [[3, 3]]}], "frame 30 is outside the clip"),
    "frame 1.5": ([{"frame": 1.5, "points": [[3, 3]]}], "a frame is a number or a time"),
    "outside": ([{"points": [[96.5, 3]]}], "must lie in the picture"),
    "shape": ([{"points": [3, 3]}], "points need shape"),
    "words": ([{"points": [["a", "b"]]}], "prompt 1: "),
    "labels": ([{"points": [[3, 3]], "labels": [1, 0]}], "one label a point"),
    "box": ([{"box": [9, 9, 3, 3]}], "has no area"),
    "both": ([{"box": [3, 3, 9, 9], "mask": "m.png"}], "a mask, or points and a box"),
    "no mask": ([{"mask": "m.png"}], "no mask file"),
    "mask elsewhere": ([{"mask": "../m.png"}], "a picture beside the file"),
    "mask root": ([{"mask": "/etc/passwd"}], "a picture beside the file"),
    "mask size": ([{"mask": {"size": [9, 9], "counts": [81]}}], "its mask has size [9, 9]"),
    "mask counts": ([{"mask": {"size": [64, 96], "counts": [81]}}], "prompt 1: "),
    "twice": ([{"points": [[3, 3]]}, {"box": [3, 3, 9, 9]}], "prompt 2: object 1 has one on"),
    "many": ([{"points": [[3, 3]] * 2000}], "at most 1024 points"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_in_one_line(case: str, capsys) -> None:
    content, message = WRONG[case]
    whole = content if case in ("no list", "none") else {"prompts": content}
    Path("p.json").write_text(json.dumps([1] if case == "text" else whole))
    assert main(["clip.mp4", "--prompts", "p.json"]) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith("sam2-mlx: error: p.json") and message in error


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "p.json: it is not JSON"),
        ("[" * 99_999, "p.json: it is nested too deeply"),
        (None, "p.json"),
    ],
)
def test_files_that_are_no_prompts(content: str | None, message: str, capsys) -> None:
    if content is not None:
        Path("p.json").write_text(content)
    assert main(["clip.mp4", "--prompts", "p.json"]) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert message in error


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--point 3,3", "leave out --point"),
        ("--box 3,3,9,9", "leave out --box"),
        ("--frame 3", "leave out --frame"),
        ("--everything", "leave out --everything"),
        ("--resume s.safetensors", "leave out --resume"),
        ("--start 10", "frame 9 has a prompt and is not between"),
        ("--end 5", "frame 9 has a prompt and is not between"),
        ("--every 4", "--every 4 leaves out frame 20"),
        ("--scores p.json", "p.json is the input"),
    ],
)
def test_what_does_not_go_together(options: str, message: str, capsys) -> None:
    file = write({"frame": 9, "points": [[9, 9]]}, {"frame": 20, "points": [[8, 8]]})
    assert main(["clip.mp4", "--prompts", file, *options.split()]) == 2
    assert message in capsys.readouterr().err


def test_a_second_prompt_steadies_the_real_thing(folder: Path) -> None:
    rows, columns = np.mgrid[: SIZE[1], : SIZE[0]]
    ground = np.stack([60 + columns // 4, 90 + rows // 3, 120 - columns // 8], axis=-1)
    Path("frames").mkdir()
    for number in range(5):
        frame = ground.astype(np.uint8)
        frame[disc(30 + number * DRIFT, 20)] = (220, 60, 50)
        Image.fromarray(frame).save(f"frames/{number}.png")
    file = write(
        {"frame": 0, "points": [[30, 20]]},
        {"frame": 4, "points": [[30 + 4 * DRIFT, 20], [70, 50]], "labels": [1, 0]},
    )
    args = ["--model", "nano", "--image-size", "256", "--save-masks", "m.npz", "--both"]
    assert main(["frames", "--prompts", file, *args]) == 0
    for number in range(5):
        _, masks = read_npz_masks("m.npz", number)
        truth = disc(30 + number * DRIFT, 20)
        assert (masks[0] & truth).sum() / (masks[0] | truth).sum() > 0.7
