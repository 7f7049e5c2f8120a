"""`sam2-mlx eval`: layouts, prompts, saved masks, and what is said when something is wrong."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sam2_mlx.__main__ import main
from sam2_mlx.evaluation.annotations import AnnotatedSequence
from sam2_mlx.evaluation.datasets import open_dataset
from sam2_mlx.evaluation.runs import GivenPrompt
from tests.evaluation.drawn_datasets import (
    HEIGHT,
    WIDTH,
    draw_davis,
    draw_sav,
    ellipse,
    save,
    save_frame,
)

MODEL = ("--model", "nano", "--image-size", "64", "--dtype", "float32")


@pytest.fixture
def davis(tmp_path: Path) -> Path:
    draw_davis(tmp_path / "davis", tmp_path / "found", frames=(4, 5))
    return tmp_path / "davis"


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main(["eval", *map(str, arguments)])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def values(file: Path) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(image)


def test_a_model_is_scored_as_its_saved_masks_are(
    davis: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, table, _ = run(
        capsys, davis, *MODEL, "--save-masks", tmp_path / "mine", "--json", tmp_path / "a.json"
    )
    assert code == 0
    code, again, _ = run(capsys, davis, "--masks", tmp_path / "mine", "--json", tmp_path / "b.json")
    assert code == 0 and again == table
    model, masks = (json.loads((tmp_path / name).read_text()) for name in ("a.json", "b.json"))
    assert model["summary"] == masks["summary"] and model["sequences"] == masks["sequences"]
    assert model["settings"]["prompt"] == "mask" and model["settings"]["image_size"] == 64
    # A mask that was given comes back nearly as it was.
    assert model["summary"]["first_frame_J"] > 0.6
    with Image.open(tmp_path / "mine" / "clip-1" / "00004.png") as saved:
        assert saved.mode == "P" and saved.size == (WIDTH, HEIGHT)


@pytest.mark.parametrize("prompt", ["box", "click", "clicks=3"])
def test_prompts(davis: Path, capsys: pytest.CaptureFixture[str], prompt: str) -> None:
    code, table, _ = run(capsys, davis, *MODEL, "--prompt", prompt, "--sequences", "clip-0")
    assert code == 0
    rows = [line.split()[0] for line in table.splitlines() if line.startswith(("clip", "all"))]
    assert rows == ["clip-0", "all"]


def test_sav_layout_is_saved_in_its_own_way(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw_sav(tmp_path / "sav", tmp_path / "found", frames=(13,))
    code, table, _ = run(
        capsys, tmp_path / "sav", *MODEL, "--memory", "distractor-aware", "--save-masks",
        tmp_path / "mine",
    )  # fmt: skip
    assert code == 0 and "recall" not in table
    files = sorted((tmp_path / "mine" / "sav_000000").rglob("*.png"))
    assert len(files) == 3 * 13
    assert files[0].parent.name == "000"
    assert np.unique(values(files[0])).tolist() in ([0], [0, 1])
    again = run(capsys, tmp_path / "sav", "--masks", tmp_path / "mine")
    assert again[:2] == (0, table)


def test_an_object_is_prompted_where_it_first_appears(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "late"
    for frame in range(6):
        save_frame(root / "JPEGImages" / "a" / f"{frame:05d}.jpg", frame)
        shown = np.zeros((HEIGHT, WIDTH), np.uint8)
        shown[ellipse(60, 30, 9, 9)] = 2
        if frame >= 2:
            shown[ellipse(20, 30, 9, 9)] = 1
        save(root / "Annotations" / "a" / f"{frame:05d}.png", shown)
    code, _, _ = run(capsys, root, *MODEL, "--save-masks", tmp_path / "mine")
    assert code == 0
    seen = [
        set(np.unique(values(tmp_path / "mine" / "a" / f"{frame:05d}.png")).tolist())
        for frame in range(3)
    ]
    assert 1 not in seen[0] | seen[1]
    assert 1 in seen[2] and 2 in seen[0]


def test_lists_and_fewer_frames(davis: Path) -> None:
    (davis / "ImageSets" / "2017" / "short.txt").write_text("clip-1\n\n")
    assert open_dataset(davis).names == ("clip-0", "clip-1")
    dataset = open_dataset(davis, "short")
    assert dataset.names == ("clip-1",)
    sequence = dataset.open("clip-1", max_frames=3)
    assert sequence.frames.num_frames == 3 and list(sequence.annotated) == [0, 1, 2]
    assert sequence.scored(1) == {1}


def test_objects_that_come_later_are_scored(
    davis: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = davis / "Annotations" / "480p" / "clip-0" / "00002.png"
    changed = values(file).copy()
    changed[:5, :5] = 9
    save(file, changed)
    code, table, _ = run(capsys, davis, "--masks", tmp_path / "found")
    # As Meta's evaluator has it; that of DAVIS leaves it out.
    row = next(line.split() for line in table.splitlines() if line.startswith("clip-0"))
    assert code == 0 and row[1] == "3"


def break_size(davis: Path) -> None:
    save(davis / "Annotations" / "480p" / "clip-0" / "00001.png", np.zeros((10, 12)))


def break_frames(davis: Path) -> None:
    (davis / "JPEGImages" / "480p" / "clip-0" / "00002.jpg").unlink()


def break_mask(davis: Path) -> None:
    (davis / "Annotations" / "480p" / "clip-0" / "00001.png").write_bytes(b"no picture")


def break_colours(davis: Path) -> None:
    picture = Image.new("RGB", (WIDTH, HEIGHT))
    picture.save(davis / "Annotations" / "480p" / "clip-0" / "00001.png")


def break_found(davis: Path) -> None:
    (davis.parent / "found" / "clip-0" / "00001.png").unlink()


def break_ids(davis: Path) -> None:
    save(davis.parent / "found" / "clip-0" / "00001.png", np.full((HEIGHT, WIDTH), 7))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (break_size, "has 12x10 pixels, the frames 84x60"),
        (break_frames, "annotates a frame that is missing: no 00002.jpg"),
        (break_mask, "is not a picture"),
        (break_colours, "mode RGB"),
        (break_found, "no picture"),
        (break_ids, "has the value 7, but clip-0 has 2 objects"),
    ],
)
def test_one_bad_sequence_does_not_stop_the_others(
    davis: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: Any, said: str
) -> None:
    damage(davis)
    target = tmp_path / "scores.json"
    code, table, problems = run(capsys, davis, "--masks", tmp_path / "found", "--json", target)
    assert code == 2
    lines = [line for line in problems.splitlines() if "error" in line]
    assert len(lines) == 1 and "clip-0" in lines[0] and said in lines[0]
    assert "clip-1" in table and "clip-0 " not in table
    assert table.endswith("left out, as it could not be scored: clip-0\n")
    content = json.loads(target.read_text())
    assert list(content["failed"]) == ["clip-0"] and list(content["sequences"]) == ["clip-1"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere",), "no folder nowhere"),
        ((".",), "has no layout that is known"),
        (("DAVIS", "--sequences", "clip-7"), "no sequence clip-7; it has clip-0, clip-1"),
        (("DAVIS", "--set", "test"), "has no list test.txt; it has val"),
        (("DAVIS", "--masks", "nowhere"), "no folder nowhere with masks"),
        (("DAVIS", "--masks", "x", "--save-masks", "y"), "leave out --save-masks"),
        (("DAVIS", "--prompt", "clicks=0"), "a prompt is mask, box, click or clicks=N"),
        (("DAVIS", "--json", "nowhere/a.json"), "there is no such folder"),
        (("DAVIS", "--fill-holes=-1"), "an area of 0 or more"),
        (("DAVIS", "--model", "sam1-vit-b"), "no memory"),
    ],
)
def test_mistakes_are_one_line(
    davis: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    said: str,
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    words = [str(davis) if word == "DAVIS" else word for word in arguments]
    code, table, problems = run(capsys, *words)
    assert code == 2 and table == ""
    assert said in problems and len(problems.splitlines()) == 1


def test_prompt_names() -> None:
    assert str(GivenPrompt.parse("clicks=5")) == "clicks=5"
    assert str(GivenPrompt.parse("click")) == "click"
    for text in ("clicks", "points", "clicks=", "clicks=-1", "clicks=²"):
        with pytest.raises(ValueError, match="a prompt is"):
            GivenPrompt.parse(text)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"../clip-0\n", "holds '../clip-0', which is no name of a sequence"),
        (b"clip-0\n/etc\n", "holds '/etc'"),
        (b"..\n", "holds '..'"),
        (b"a\0b\n", "no name of a sequence"),
        (b"\xff\xfe", "is no list of names"),
        (b"a\n" * 2**21 + b"a\n", "is too long"),
    ],
)
def test_lists_name_sequences_and_nothing_else(
    davis: Path, capsys: pytest.CaptureFixture[str], content: bytes, said: str
) -> None:
    (davis / "ImageSets" / "2017" / "odd.txt").write_bytes(content)
    code, table, problem = run(capsys, davis, "--set", "odd", *MODEL)
    assert (code, table) == (2, "") and said in problem and problem.count("\n") == 1


def test_names_do_not_command_the_terminal(
    davis: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "clip\x1b[31m"
    for folder in (*(davis / kind / "480p" for kind in ("JPEGImages", "Annotations")),
                   tmp_path / "found"):  # fmt: skip
        (folder / "clip-0").rename(folder / name)
    (davis / "ImageSets" / "2017" / "both.txt").write_text(f"{name}\nclip-1\n")
    (davis / "JPEGImages" / "480p" / "clip-1" / "00002.jpg").unlink()
    code, table, problem = run(
        capsys, davis, "--set", "both", "--masks", tmp_path / "found", "--json", tmp_path / "j"
    )
    assert code == 2 and "\x1b" not in table + problem and "clip\\x1b[31m" in table


def test_saved_masks_appear_whole_and_replace_only_masks(
    davis: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "mine"
    arguments = (davis, *MODEL, "--save-masks", target)
    (davis / "JPEGImages" / "480p" / "clip-0" / "00003.jpg").write_bytes(b"no picture")
    code, _, problem = run(capsys, *arguments)
    assert code == 2 and "00003.jpg is not a picture" in problem
    assert [path.name for path in target.iterdir()] == ["clip-1"]
    before = values(target / "clip-1" / "00002.png")
    assert run(capsys, *arguments)[0] == 2  # an earlier run's masks are replaced
    assert np.array_equal(values(target / "clip-1" / "00002.png"), before)
    (target / "clip-1" / "letter.txt").write_text("mine")
    code, _, problem = run(capsys, *arguments)
    assert "clip-1 holds other files and will not be replaced ('letter.txt'" in problem
    assert (target / "clip-1" / "letter.txt").read_text() == "mine"


@pytest.mark.parametrize("place", ["", "Annotations/480p", "JPEGImages", "found"])
def test_nothing_is_written_into_the_dataset(
    davis: Path, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    before = sorted(davis.rglob("*"))
    for option, name in (("--save-masks", place or "."), ("--json", f"{place}/s.json")):
        code, _, problem = run(capsys, davis, *MODEL, option, davis / name.lstrip("/"))
        assert code == 2 and f"give {option} another name" in problem or "no such folder" in problem
    assert sorted(davis.rglob("*")) == before


def test_an_interrupt_prints_the_scores_so_far(
    davis: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = AnnotatedSequence.file_name

    def file_name(self: AnnotatedSequence, frame: int) -> str:
        if self.name == "clip-1" and frame == 2:
            signal.raise_signal(signal.SIGTERM)
        return before(self, frame)

    monkeypatch.setattr(AnnotatedSequence, "file_name", file_name)
    target = tmp_path / "mine"
    arguments = ("--save-masks", target, "--json", tmp_path / "s.json")
    code, table, said = run(capsys, davis, *MODEL, *arguments)
    assert code == 128 + signal.SIGTERM
    assert "clip-0 " in table and "clip-1" not in table
    assert "interrupted; 1 of 2 sequences were scored" in said
    assert list(json.loads((tmp_path / "s.json").read_text())["sequences"]) == ["clip-0"]
    assert [path.name for path in target.iterdir()] == ["clip-0"]


def show_objects(davis: Path) -> None:
    """Frames on which there is something to follow."""
    for file in (davis / "Annotations").rglob("*.png"):
        picture = Path(str(file).replace("Annotations", "JPEGImages")).with_suffix(".jpg")
        Image.fromarray(40 + 60 * (values(file) % 4)).convert("RGB").save(picture)


class TestEngine:
    """Several processes, a log of what is done, and a Dask cluster."""

    @pytest.fixture(autouse=True)
    def one_lane(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # Sums in another order may move a pixel.
        monkeypatch.setenv("SAM2_MLX_LANES", "1")
        monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))

    def test_several_processes_give_the_same_and_do_what_is_missing(
        self, davis: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def score(*arguments: object) -> tuple[str, dict[str, Any], str]:
            file = tmp_path / "scores.json"
            code, table, said = run(capsys, davis, *MODEL, "--json", file, *arguments)
            assert code == 0, said
            content = json.loads(file.read_text())
            del content["settings"]["seconds"]
            return table, content, said

        def entries() -> list[str]:
            lines = (tmp_path / "work" / "manifest.jsonl").read_text().splitlines()
            return [entry["name"] for entry in map(json.loads, lines) if "name" in entry]

        show_objects(davis)
        alone = score("--save-masks", tmp_path / "alone")
        assert alone[1]["summary"]["J&F"] > 0.2
        several = ("--out", tmp_path / "work", "--save-masks", tmp_path / "mine", "--workers")
        assert score(*several, 2)[:2] == alone[:2]
        for file in (tmp_path / "alone").rglob("*.png"):
            other = tmp_path / "mine" / file.relative_to(tmp_path / "alone")
            assert other.read_bytes() == file.read_bytes()
        assert sorted(entries()) == ["clip-0", "clip-1"]
        assert score(*several, 1)[:2] == alone[:2] and len(entries()) == 2
        (tmp_path / "mine" / "clip-1" / "00004.png").unlink()
        assert score(*several, 1)[:2] == alone[:2] and entries()[2:] == ["clip-1"]
        changed = davis / "Annotations" / "480p" / "clip-0" / "00001.png"
        save(changed, np.roll(values(changed), 9, axis=1))
        assert score(*several, 1)[0] != alone[0] and entries()[3:] == ["clip-0"]
        manifest = tmp_path / "work" / "manifest.jsonl"
        manifest.write_text(manifest.read_text().replace('"regions"', '"religions"'))
        code, _, said = run(capsys, davis, *MODEL, *several, 1)
        assert code == 2 and f"{manifest} is damaged; remove it" in said

    def test_a_sequence_that_kills_its_workers_is_set_aside(
        self,
        davis: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setattr("sam2_mlx.cli.batch.pool.WORKER", "tests.cli.dying_worker")
        for folder in ("JPEGImages", "Annotations"):
            (davis / folder / "480p" / "clip-0").rename(davis / folder / "480p" / "dies")
        code, table, said = run(capsys, davis, *MODEL, "--out", tmp_path / "work")
        assert code == 2 and "dies: its worker was ended by SIGKILL, 3 times" in said
        assert "clip-1 " in table and "left out, as it could not be scored: dies" in table
