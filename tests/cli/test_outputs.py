"""Results that would replace an input, a model or each other are refused before any work."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from PIL import Image

from sam2_mlx.checkpoints.load import BUNDLED_FOLDER
from sam2_mlx.cli.errors import UsageError
from sam2_mlx.cli.outputs import check_outputs
from sam2_mlx.files import writing_failed
from tests.cli.fake_session import SIZE
from tests.commands import image, main, video
from tests.evaluation.drawn_datasets import draw_davis
from tests.media.media_clips import Recipe, make_clip


@pytest.fixture
def inputs(folder: Path) -> dict[Path, bytes]:
    """A clip, pictures, masks and a model, with what is in them."""
    make_clip(folder / "clip.mp4", Recipe(frames=4))
    (folder / "shots").mkdir()
    for number in range(3):
        Image.new("RGB", SIZE, (90, 90, number)).save(folder / "shots" / f"{number}.png")
    Image.new("L", SIZE, 1).save(folder / "mask.png")
    (folder / "model").mkdir()
    (folder / "model" / "model.safetensors").write_bytes(b"weights")
    (folder / "link.mp4").symlink_to("clip.mp4")
    (folder / "cache" / "models").mkdir(parents=True)
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


WRONG = {
    "clip.mp4 --point 3,3 --output ./clip.mp4": "clip.mp4 is the input; give --output",
    "clip.mp4 --point 3,3 --output link.mp4": "link.mp4 is the input",
    "clip.mp4 --point 3,3 --scores clip.mp4": "clip.mp4 is the input; give --scores",
    "clip.mp4 --mask mask.png --scores mask.png": "mask.png is the input",
    "clip.mp4 --mask 3:mask.png --scores mask.png": "mask.png is the input",
    "clip.mp4 --objects-from mask.png --scores mask.png": "mask.png is the input",
    "shots --point 3,3 --scores shots/1.png": "shots/1.png is the input",
    "shots/%d.png --point 3,3 --scores shots/1.png": "shots/1.png is the input",
    "shots/*.png --point 3,3 --save-masks shots": "shots is the input",
    "clip.mp4 --point 3,3 --save-session model/model.safetensors --model model": "is the input",
    "clip.mp4 --point 3,3 --save-masks model --model model": "model is the input",
    "clip.mp4 --point 3,3 --output p.mp4 --scores p.mp4": "would overwrite each other",
    "clip.mp4 --point 3,3 --save-masks m.json --scores m.json": "would overwrite each other",
    "clip.mp4 --point 3,3 --save-masks out --scores out/s.jsonl": "would overwrite each other",
    "clip.mp4 --point 3,3 --save-masks out --output out/../out/a.mp4": "would overwrite each",
    "clip.mp4 --point 3,3 --scores cache/models/a.json": "where models are kept",
    f"clip.mp4 --point 3,3 --save-session {BUNDLED_FOLDER}/model.safetensors": "models are kept",
}


@pytest.mark.parametrize("line", WRONG)
def test_what_a_clip_is_made_of_stays(
    inputs: dict[Path, bytes], monkeypatch, capsys, line: str
) -> None:
    monkeypatch.setenv("SAM2_MLX_CACHE", "cache")
    monkeypatch.setattr("sam2_mlx.cli.video_job.load_model", None)  # nothing is loaded
    Path("out").mkdir()
    assert video(line.split()) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith("sam2-mlx: error: ") and WRONG[line] in error
    files = {path: path.read_bytes() for path in inputs}
    assert files == inputs


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--cutout a.png --output a.png", "would overwrite each other"),
        ("--all-masks --output a.png --cutout a_2.png", "would overwrite each other"),
        ("--save-masks m.json --output shots/0.png", "shots/0.png is the input"),
        ("--everything --save-masks model/c.json --output m.json", "ends in .png"),
        ("--everything --save-masks a.json --output shots/../shots/0.png", "is the input"),
    ],
)
def test_what_a_picture_is_made_of_stays(
    inputs: dict[Path, bytes], monkeypatch, capsys, line: str, message: str
) -> None:
    monkeypatch.setattr("sam2_mlx.cli.image_job.load_model", None)
    prompts = [] if "--everything" in line else ["--point", "3,3"]
    assert image(["shots/0.png", *prompts, *line.split()]) == 2
    assert message in capsys.readouterr().err
    files = {path: path.read_bytes() for path in inputs}
    assert files == inputs


def test_outputs_of_a_run_belong_together(inputs, fake, monkeypatch, capsys) -> None:
    command = "clip.mp4 --point 3,3 --output o.mp4 --save-masks m.json --scores s.jsonl".split()
    assert video([*command, "--end", "1"]) == 0
    first = {path: path.read_bytes() for path in Path().iterdir() if path.is_file()}
    # The last of them: the video and the masks are complete by then.
    monkeypatch.setattr("sam2_mlx.media.score_writer.ScoreLines.finish", _full)
    assert video(command) == 2
    assert "the disk is full" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in Path().iterdir() if path.is_file()} == first


def _full(writer: object) -> None:
    raise writing_failed(Path("o"), OSError(errno.ENOSPC, "No space left on device"))


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("video loop --point 3,3", "no file or folder loop"),
        ("everything shots --output loop", "loop"),
        ("everything round", "0.png"),
        ("eval data --save-masks loop --model nano", "loop"),
        ("eval data --json loop/a.json --masks masks", "no such folder"),
        ("convert loop other", "loop"),
    ],
)
def test_links_that_go_round(inputs, capsys, command: str, words: str) -> None:
    draw_davis(Path("data"), Path("masks"), frames=(2,))
    Path("round").mkdir()
    for link in ("loop", "round/0.png"):
        Path(link).symlink_to(Path(link).name)
    assert main(command.split()) == 2
    said = capsys.readouterr().err
    assert words in said and "Traceback" not in said


def test_names_reach_the_terminal_as_text(inputs, fake, capsys) -> None:
    name = "a\x1b[2J\nb"
    for suffix, folder in ((".mp4", ""), (".png", "shots/")):
        Path(f"{name}{suffix}").symlink_to(f"{folder}{'0' if folder else 'clip'}{suffix}")
    assert video([f"{name}.mp4", "--point", "3,3", "--end", "2"]) == 0
    assert image([f"{name}.png", "--point", "3,3", "--model", "nano"]) == 0
    with pytest.raises(SystemExit):
        image([f"{name}.png", f"{name}.mp4"])
    said = capsys.readouterr()
    assert said.out.count("wrote a\\x1b[2J") == 2 and "\x1b" not in said.out
    assert "unrecognized arguments: a\\x1b[2J\\nb.mp4" in said.err


def test_a_disk_that_ignores_case(tmp_path: Path, monkeypatch) -> None:
    outputs = [("--scores", tmp_path / "A.json"), ("--save-masks", tmp_path / "a.json")]
    monkeypatch.setattr("sys.platform", "linux")
    check_outputs(outputs, [])
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(UsageError, match="overwrite each other"):
        check_outputs(outputs, [])


def test_home_is_home_for_inputs_and_outputs(inputs, fake, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(Path("shots").resolve()))
    assert video(["~/%d.png", "--point", "3,3", "--output=~/a.mp4", "--scores=~/s.jsonl"]) == 0
    assert image(["~/nobody.png", "--point", "3,3"]) == 2
    assert {path.name for path in Path("shots").iterdir()} >= {"a.mp4", "s.jsonl"}


@pytest.mark.parametrize("address", ["https://example.org/a.mp4", "rtsp://10.0.0.1/s", "s3://b/a"])
def test_addresses_are_not_taken_for_files(inputs, capsys, address: str) -> None:
    for command in (video, image):
        with pytest.raises(SystemExit):
            command([address, "--point", "3,3"])
        (error,) = capsys.readouterr().err.splitlines()
        assert f"{address} is an address; download it and give the file" in error
