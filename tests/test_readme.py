"""The README is a contract: its snippets run, its commands work, what it names exists."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sam2_mlx import __main__ as dispatcher
from sam2_mlx.checkpoints.load import BUNDLED_FOLDER
from sam2_mlx.config import MODELS
from sam2_mlx.media import demo_clip

FRAMES = 8
ROOT = Path(__file__).resolve().parent.parent
ASIDE = {"assets", "video.py", "image.py"}
VARIABLE = re.compile(r"\bSAM2_MLX_[A-Z_]+\b")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The README's fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    """The README's shell commands, split into words, without their comments."""
    lines = [line for block in blocks("bash") for line in block.splitlines()]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the README names: a short clip, a picture, a checkpoint."""
    folder = tmp_path_factory.mktemp("readme")
    shorten(demo_clip(), folder)
    shutil.copy(BUNDLED_FOLDER / "model.safetensors", folder / "nano.safetensors")
    draw_dataset(folder / "dataset")
    (folder / "jobs.jsonl").write_text(
        '{"clip": "clip.mp4", "prompts": [{"points": [[320, 180]]}]}'
    )
    return folder


def draw_dataset(folder: Path) -> None:
    """Write a sequence of four frames with one object, in the layout of DAVIS."""
    for name in ("JPEGImages", "Annotations"):
        (folder / name / "a").mkdir(parents=True)
    for index in range(4):
        label = np.zeros((48, 64), np.uint8)
        label[10:30, 10 + index : 34 + index] = 1
        picture = np.repeat(200 * label[..., None], 3, axis=-1)
        Image.fromarray(picture).save(folder / "JPEGImages" / "a" / f"{index:05d}.jpg")
        Image.fromarray(label).save(folder / "Annotations" / "a" / f"{index:05d}.png")


def shorten(source: Path, folder: Path) -> None:
    """Write the first frames of a clip as `clip.mp4`, and the very first as `photo.jpg`."""
    import av

    with av.open(str(source)) as reader, av.open(str(folder / "clip.mp4"), "w") as writer:
        stream = reader.streams.video[0]
        out = writer.add_stream("libx264", rate=stream.average_rate)
        out.width, out.height, out.pix_fmt = stream.width, stream.height, "yuv420p"
        for index, frame in enumerate(reader.decode(stream)):
            if index == 0:
                frame.to_image().save(folder / "photo.jpg")
            if index == FRAMES:
                break
            plain = av.VideoFrame.from_ndarray(frame.to_ndarray(format="rgb24"), format="rgb24")
            writer.mux(out.encode(plain))
        writer.mux(out.encode(None))


def test_snippets_run(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(files)
    found: dict[str, Any] = {}
    for block in blocks("python"):
        # The official model is not at hand in a test; the bundled one does the same.
        exec(compile(block.replace('"tiny"', '"nano"'), "README.md", "exec"), found)
        if "photo.jpg" in block:
            height, width = found["mask"].shape
            assert found["mask"].dtype == bool and 0 < found["mask"].sum() < height * width
        if "clip.mp4" in block:
            assert found["frame"] == FRAMES - 1 and list(found["object_ids"]) == [1]
            assert found["masks"].shape == (1, 1, height, width) and found["masks"].any()
        if "camera" in block:
            assert found["masks"].frame == 2
            assert np.asarray(found["masks"].logits).shape == (1, 1, 360, 640)
    assert {"mask", "masks", "session"} <= set(found)


@pytest.mark.parametrize(
    # What is official needs a network; test_official.py has a hub of its own. A page is served
    # until somebody ends it; tests/workbench does.
    "words",
    [w for w in commands() if w[0] == "sam2-mlx" and not {"--official", "app"} & set(w)],
    ids=lambda words: " ".join(words[1:4]),
)
def test_commands_work(
    files: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
) -> None:
    for path in files.iterdir():
        if path.is_dir():
            shutil.copytree(path, tmp_path / path.name)
        else:
            shutil.copy(path, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SAM2_MLX_CACHE", str(tmp_path / "cache"))
    before = set(tmp_path.iterdir())
    arguments = ["nano.safetensors" if word.endswith(".pt") else word for word in words[1:]]
    if arguments[0] in ("video", "image") and "--model" not in arguments:
        arguments += ["--model", "nano"]
    assert dispatcher.main(arguments) == 0, capsys.readouterr().err
    if arguments[0] not in ("info", "selftest", "bench", "serve"):
        assert set(tmp_path.iterdir()) > before


def test_every_command_is_shown() -> None:
    shown = {words[1] for words in commands() if words[0] == "sam2-mlx"}
    assert shown == set(dispatcher.COMMANDS)
    mentioned = set(re.findall(r"sam2-mlx (\w+)", README))
    assert mentioned <= set(dispatcher.COMMANDS)


def test_the_first_screen_has_two_commands() -> None:
    first = blocks("bash")[0]
    targets = re.findall(r"^make (\w+)", first, re.MULTILINE)
    assert targets == ["demo", "test"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"make (\w+)", first):
        assert re.search(rf"^{target}:.*##", makefile, re.MULTILINE), target
    assert README.index("make demo") < 1500


def test_what_is_named_exists() -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]+)", README)
    assert [link for link in links if not (ROOT / link).exists()] == []
    (tree,) = blocks("text")
    missing = []
    for line in tree.splitlines():
        base = ROOT / "sam2_mlx" if line.startswith(" ") else ROOT
        names = re.split(r"\s{2,}", line.strip())[:-1]
        missing += [name for name in names if not (base / name).exists()]
    assert missing == []


def test_the_plan_of_the_house_names_files_that_exist() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[^|]*) \|", text, re.MULTILINE)
    missing, rooms = [], set()
    for row in rows:
        folder = ""
        for name in re.findall(r"`([\w./]+(?:/|\.py))`", row):
            if "/" in name:
                folder = name[: name.rindex("/") + 1]
            path = name if "/" in name else folder + name
            rooms.add(path.split("/")[0])
            if not (ROOT / "sam2_mlx" / path).exists() and not (ROOT / path).exists():
                missing.append(path)
    assert missing == []
    # Every room has a row.
    here = {path.name for path in (ROOT / "sam2_mlx").iterdir() if path.suffix != ".typed"}
    assert {name for name in here if not name.startswith("__")} - rooms - ASIDE == set()


def test_every_model_is_listed() -> None:
    table = README[README.index("## Models") : README.index("## Speed")]
    assert [name for name in MODELS if f"`{name}`" not in table] == []


def test_every_variable_is_in_the_table() -> None:
    table = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    sources = [path for name in ("sam2_mlx", "tests") for path in (ROOT / name).rglob("*.py")]
    read = {name for path in sources for name in VARIABLE.findall(path.read_text("utf-8"))}
    assert read == set(VARIABLE.findall(table))
    rows = re.findall(r"^\| `(SAM2_MLX_\w+)`", table, re.MULTILINE)
    assert len(rows) == len(set(rows)) >= 6


def test_every_page_is_named() -> None:
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")}
    tree = README[README.index("docs/  ") :]
    assert pages == set(re.findall(r"\w+", tree[5 : tree.index("```")]))


def test_extras_exist() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for extra in re.findall(r'pip install "?\.\[(\w+)\]', README):
        assert re.search(rf"^{extra} = \[", project, re.MULTILINE), extra
