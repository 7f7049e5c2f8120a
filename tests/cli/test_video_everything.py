"""The video command with --everything: what is followed, written, and refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sam2_mlx.media import open_frames
from sam2_mlx.media.mask_writer import read_npz_masks
from tests.cli.fake_session import DRIFT, SIZE, FakeSession, disc
from tests.commands import video as main
from tests.media.media_clips import Recipe, make_clip, read_number


@pytest.fixture
def clip(folder: Path) -> Path:
    return make_clip(folder / "clip.mp4", Recipe(frames=30, audio="aac"))


class Finder:
    """In place of the mask generator: knows which discs are on which frame."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, int, int, int]] = []
        self.there: dict[int, list[np.ndarray]] = {0: [disc(30, 20), disc(70, 40)]}

    def __call__(self, model, picture, options, limit, followed=()) -> list[np.ndarray]:
        frame = read_number(picture)
        self.calls.append((frame, limit, len(followed), options.points_per_side))
        return self.there.get(frame, [])[:limit]


@pytest.fixture
def finder(monkeypatch: pytest.MonkeyPatch) -> Finder:
    finder = Finder()
    monkeypatch.setattr("sam2_mlx.cli.everything_clip.find_objects", finder)
    return finder


@pytest.mark.usefixtures("fake", "clip")
class TestEverything:
    def test_what_is_on_the_first_frame_is_followed(self, finder: Finder, capsys) -> None:
        assert main(["clip.mp4", "--everything", "--save-masks", "m.npz"]) == 0
        said = capsys.readouterr()
        expected = "with 30 frames (96x64; object 1 on 30, object 2 on 24) in "
        assert said.out.startswith(f"wrote clip_masked.mp4 and m.npz {expected}")
        assert "nothing was found" not in said.err
        assert finder.calls == [(0, 16, 0, 32)]
        (session,) = FakeSession.opened
        assert session.memory == "rolling"
        assert session.passes == [(0, 29, False)]
        assert session.prompted == {1: 0, 2: 0}
        ids, masks = read_npz_masks("m.npz", 3)
        assert ids == (1, 2)
        assert np.abs(masks[0].astype(int) - disc(30 + 3 * DRIFT, 20)).sum() < 40
        with open_frames("clip_masked.mp4") as written:
            assert written.num_frames == 30 and written.has_audio

    def test_options_reach_the_search(self, finder: Finder) -> None:
        args = ["--max-objects", "1", "--points-per-side", "8", "--memory", "distractor-aware"]
        assert main(["clip.mp4", "--everything", *args, "--start", "4", "--end", "6"]) == 2
        finder.there = {4: [disc(30, 20), disc(70, 40)]}
        assert main(["clip.mp4", "--everything", *args, "--start", "4", "--end", "6"]) == 0
        assert finder.calls[-1] == (4, 1, 0, 8)
        session = FakeSession.opened[-1]
        assert session.memory == "distractor-aware"
        assert session.passes == [(4, 2, False)] and list(session.prompts) == [1]

    def test_new_objects_join_later(self, finder: Finder, capsys) -> None:
        finder.there[20] = [disc(20, 50)]
        args = ["--find-every", "10", "--max-objects", "4", "--scores", "s.jsonl"]
        assert main(["clip.mp4", "--everything", *args]) == 0
        assert finder.calls == [(0, 4, 0, 32), (10, 2, 2, 32), (20, 2, 2, 32)]
        assert "object 1 on 30, object 2 on 24, object 3 on 10)" in capsys.readouterr().out
        (session,) = FakeSession.opened
        assert session.passes == [(0, 29, False)] and session.commits == 1
        assert session.prompted[3] == 20
        lines = [json.loads(line) for line in Path("s.jsonl").read_text().splitlines()]
        areas = [line["objects"][2]["area"] for line in lines]
        assert not any(areas[:20]) and all(areas[20:])

    def test_a_stride_counts_frames_that_are_used(self, finder: Finder) -> None:
        args = ["--every", "5", "--find-every", "2", "--save-masks", "masks"]
        assert main(["clip.mp4", "--everything", *args]) == 0
        assert [call[0] for call in finder.calls] == [0, 10, 20]
        # Files are named after the frames of the clip.
        assert sorted(path.name for path in Path("masks").glob("*.png"))[1] == "00005.png"

    def test_saved_masks_name_what_was_found_only(self, finder: Finder) -> None:
        args = ["--end", "2", "--save-masks", "masks", "--format", "png-sequence"]
        assert main(["clip.mp4", "--everything", *args]) == 0
        content = json.loads(Path("masks/masks.json").read_text())
        assert [entry["id"] for entry in content["objects"]] == [1, 2]
        picture = np.array(Image.open("clip_cutout/00000.png"))
        assert (picture[..., 3] > 0).sum() == (disc(30, 20) | disc(70, 40)).sum()

    def test_nothing_to_follow(self, finder: Finder, capsys) -> None:
        finder.there = {}
        assert main(["clip.mp4", "--everything", "--save-masks", "m.npz"]) == 2
        assert "nothing was found on the first frame; lower --min-iou" in capsys.readouterr().err
        assert {path.name for path in Path().iterdir()} == {"clip.mp4"}
        # Where it is looked for again, the clip is written as it is.
        assert main(["clip.mp4", "--everything", "--find-every", "9", "--end", "12"]) == 0
        assert "13 frames (96x64; no object)" in capsys.readouterr().out

    def test_targets_are_checked_before_the_search(self, finder: Finder, capsys) -> None:
        assert main(["clip.mp4", "--everything", "--save-masks", "no/m.npz"]) == 2
        assert "no" in capsys.readouterr().err and not finder.calls
        assert {path.name for path in Path().iterdir()} == {"clip.mp4"}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--everything", "--point", "3,3"], "needs no prompts; leave out --point"),
        (["--everything", "--negative-point", "3,3"], "leave out --negative-point"),
        (["--everything", "--box", "3,3,9,9"], "leave out --box"),
        (["--everything", "--mask", "m.png"], "leave out --mask"),
        (["--everything", "--objects-from", "m.png"], "leave out --objects-from"),
        (["--everything", "--both"], "leave out --both"),
        (["--everything", "--reverse"], "leave out --reverse"),
        (["--everything", "--frame", "3"], "give --start in place of --frame"),
        (["--everything", "--resume", "s.safetensors"], "leave out --everything"),
        (["--everything", "--max-objects", "0"], "between 1 and 255; got 0"),
        (["--everything", "--find-every", "-3"], "at least 0; got -3"),
        (["--everything", "--points-per-side", "0"], "--points-per-side must be between 1 and"),
        (["--point", "3,3", "--max-objects", "3"], "--max-objects is for --everything"),
        (["--point", "3,3", "--find-every", "3"], "--find-every is for --everything"),
        (["--point", "3,3", "--min-area", "3"], "--min-area is for --everything"),
        ([], "nothing to segment; give --point X,Y, --box X0,Y0,X1,Y1 or --everything"),
    ],
)
def test_what_does_not_go_together(clip: Path, args: list[str], message: str, capsys) -> None:
    assert main(["clip.mp4", *args]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert {path.name for path in Path().iterdir()} == {"clip.mp4"}


def test_the_whole_way(clip: Path, capsys) -> None:
    rows, columns = np.mgrid[: SIZE[1], : SIZE[0]]
    ground = np.stack([60 + columns // 4, 90 + rows // 3, 120 - columns // 8], axis=-1)
    Path("frames").mkdir()
    for number in range(4):
        frame = ground.astype(np.uint8)
        frame[disc(30 + number, 20)] = (220, 60, 50)
        frame[disc(70 - number, 42)] = (240, 240, 90)
        Image.fromarray(frame).save(f"frames/{number}.png")
    args = ["--model", "nano", "--image-size", "256", "--points-per-side", "8"]
    args += ["--max-objects", "3", "--find-every", "2", "--save-masks", "m.npz"]
    assert main(["frames", "--everything", *args]) == 0
    assert "with 4 frames (96x64; object 1 on 4" in capsys.readouterr().out
    _, first = read_npz_masks("m.npz", 0)
    _, last = read_npz_masks("m.npz", 3)
    for shift, x, y in ((1, 30, 20), (-1, 70, 42)):
        overlaps = []
        for masks, number in ((first, 0), (last, 3)):
            truth = disc(x + shift * number, y)
            overlaps.append([(m & truth).sum() / (m | truth).sum() for m in masks])
        best = int(np.argmax(overlaps[0]))
        assert overlaps[0][best] > 0.7 and overlaps[1][best] > 0.6, overlaps
