"""Many clips: each done exactly once, whatever dies meanwhile."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sam2_mlx.cli.batch.manifest import DIED
from tests.cli.fake_session import SIZE, disc
from tests.cli.machine_faults import hear_signals
from tests.commands import batch
from tests.media.media_clips import Recipe, make_clip

MODEL = ["--model", "nano", "--image-size", "64"]
POINT = {"points": [[30, 20]]}


@pytest.fixture
def jobs(folder: Path) -> Path:
    """A list of three clips."""
    for number, name in enumerate("abc"):
        make_clip(folder / f"{name}.mp4", Recipe(frames=5 + number))
    return write(*({"clip": f"{name}.mp4", "prompts": [POINT]} for name in "abc"))


def write(*jobs: dict[str, Any], name: str = "jobs.jsonl") -> Path:
    Path(name).write_text("".join(json.dumps(job) + "\n" for job in jobs))
    return Path(name)


def stamps(place: str = "out") -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in Path(place).glob("*_*")}


def test_results_are_those_of_the_video_command(jobs: Path, monkeypatch, capsys) -> None:
    # Sums in another order move the last digit of a score.
    monkeypatch.setenv("SAM2_MLX_LANES", "1")
    more = ["--save-masks", "json", "--scores", "--every", "2", "--workers", "2"]
    assert batch([str(jobs), "--out", "out", *MODEL, *more]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("done     3\n3 clips in ") and "3/3" in said.err
    for name in "abc":
        alone = ["--output", "x.mp4", "--save-masks", "x.json", "--scores", "x.jsonl"]
        words = ["video", f"{name}.mp4", "--point", "30,20", "--every", "2", *MODEL, *alone]
        assert not start(words).communicate()[1].count("error")
        for ours, theirs in (
            ("masked.mp4", "x.mp4"), ("masks.json", "x.json"), ("scores.jsonl", "x.jsonl"),
        ):  # fmt: skip
            assert Path(f"out/{name}_{ours}").read_bytes() == Path(theirs).read_bytes()
    content = json.loads(Path("out/report.json").read_text())
    assert sorted(content["done"]) == ["a", "b", "c"] and not content["failed"]
    assert content["model"]["model"] == "nano" and len(content["model"]["weights"]) == 64


def test_again_does_what_is_missing_or_changed_and_nothing_else(jobs: Path, capsys) -> None:
    command = [str(jobs), "--out", "out", *MODEL, "--workers", "1"]
    assert batch(command) == 0
    before = stamps()

    def changed() -> set[str]:
        nonlocal before
        code = batch(command)
        after = stamps()
        names = {name for name in after if after[name] != before.get(name)}
        before = after
        assert code == 0, capsys.readouterr().err
        return names

    assert changed() == set()
    assert "skipped  3" in capsys.readouterr().out
    Path("out/b_masked.mp4").unlink()
    assert changed() == {"b_masked.mp4"}
    make_clip(Path("c.mp4"), Recipe(frames=4))
    assert changed() == {"c_masked.mp4"}
    write(
        {"clip": "a.mp4", "prompts": [{"points": [[31, 20]]}]},
        *({"clip": f"{name}.mp4", "prompts": [POINT]} for name in "bc"),
    )
    assert changed() == {"a_masked.mp4"}
    command += ["--every", "2"]
    assert changed() == {"a_masked.mp4", "b_masked.mp4", "c_masked.mp4"}


def test_failures_are_told_and_tried_again_when_asked(jobs: Path, capsys) -> None:
    write(
        {"clip": "a.mp4", "prompts": [POINT]},
        {"clip": "gone.mp4", "prompts": [POINT]},
        {"clip": "b.mp4", "prompts": [{"points": [[300, 20]]}]},
        {"clip": "c.mp4", "prompts": [POINT], "options": {"memory": "odd"}},
        {"clip": "c.mp4", "prompts": [POINT], "options": {"format": "prores4444"}, "name": "cut"},
    )
    command = [str(jobs), "--out", "out", *MODEL]
    assert batch(command) == 3
    out = capsys.readouterr().out
    assert "done     2\nfailed   3" in out and Path("out/cut_cutout.mov").is_file()
    assert "gone: no file or folder" in out and "b: prompts, prompt 1: points must lie" in out
    assert "c: argument --memory: invalid choice" in out
    assert batch(command) == 3
    assert "(before; --retry-failed tries again)" in capsys.readouterr().out
    shutil.copy("a.mp4", "gone.mp4")
    assert batch([*command, "--retry-failed"]) == 3
    content = json.loads(Path("out/report.json").read_text())
    assert list(content["done"]) == ["gone"] and sorted(content["failed"]) == ["b", "c"]


def test_a_clip_that_kills_its_workers_is_set_aside(jobs: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("sam2_mlx.cli.batch.pool.WORKER", "tests.cli.dying_worker")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    shutil.copy("a.mp4", "dies.mp4")
    write(*({"clip": f"{name}.mp4", "prompts": [POINT]} for name in ("a", "dies", "b", "c")))
    assert batch([str(jobs), "--out", "out", *MODEL, "--workers", "2"]) == 3
    out = capsys.readouterr().out
    assert "done     3\nfailed   1" in out
    assert "dies: its worker was ended by SIGKILL, 3 times" in out
    lines = [json.loads(line) for line in Path("out/manifest.jsonl").read_text().splitlines()]
    assert sum(line.get("state") == DIED for line in lines) == 3


def start(command: list[str], **options: Any) -> subprocess.Popen[str]:
    root = str(Path(__file__).parents[2])
    return subprocess.Popen(
        [sys.executable, "-m", "sam2_mlx", *command],
        env={**os.environ, "PYTHONPATH": root},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_signals,
    )


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(number) for number in children.read_text().split()] if children.exists() else []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks for the workers in /proc")
def test_every_result_once_whatever_is_killed(folder: Path) -> None:
    dice = random.Random(5)
    for number in range(10):
        make_clip(folder / f"{number}.mp4", Recipe(frames=8 + number))
    write(*({"clip": f"{number}.mp4", "prompts": [POINT]} for number in range(10)))
    assert batch(["jobs.jsonl", "--out", "whole", *MODEL, "--workers", "1"]) == 0
    command = ["jobs.jsonl", "--out", "out", *MODEL, "--workers", "2"]
    for victim in ("worker", "worker", "parent", "parent"):
        process = start(["batch", *command])
        time.sleep(dice.uniform(1.5, 4))
        pids = workers_of(process) if victim == "worker" else [process.pid]
        if pids:
            os.kill(dice.choice(pids), signal.SIGKILL)
        _, said = process.communicate(timeout=120)
        assert "Traceback" not in said
    assert batch(command) == 0
    for number in range(10):
        name = f"{number}_masked.mp4"
        assert Path("out", name).read_bytes() == Path("whole", name).read_bytes()
    time.sleep(1)  # workers of a parent that is gone notice it
    assert batch(command) == 0
    assert not [path for path in Path("out").iterdir() if path.name.startswith(".")]


@pytest.mark.slow
def test_ctrl_c_finishes_the_clips_at_work_and_begins_no_other(jobs: Path) -> None:
    for number in range(4):
        make_clip(Path(f"{number}.mp4"), Recipe(frames=40))
    write(*({"clip": f"{number}.mp4", "prompts": [POINT]} for number in range(4)))
    process = start(["batch", str(jobs), "--out", "out", *MODEL, "--workers", "1"])
    while (
        not Path("out/manifest.jsonl").exists()
        or b"done" not in Path("out/manifest.jsonl").read_bytes()
    ):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, said = process.communicate(timeout=120)
    assert process.returncode == 130 and "interrupted; run it again to go on" in said
    done = json.loads(Path("out/report.json").read_text())["done"]
    assert 1 <= len(done) < 4 and sorted(stamps()) == [f"{name}_masked.mp4" for name in done]
    assert f"left     {4 - len(done)}" in out
    assert not [path for path in Path("out").iterdir() if path.name.startswith(".")]


def test_everything_in_a_folder_of_clips(folder: Path, capsys) -> None:
    Path("clips").mkdir()
    rows, columns = np.mgrid[: SIZE[1], : SIZE[0]]
    ground = np.stack([60 + columns // 4, 90 + rows // 3, 120 - columns // 8], axis=-1)
    Path("clips/shots").mkdir()
    for number in range(2):
        frame = ground.astype(np.uint8)
        frame[disc(30, 20)] = (220, 60, 50)
        Image.fromarray(frame).save(f"clips/shots/{number}.png")
    options = ["--everything", "--max-objects", "2", "--points-per-side", "4", "--min-iou", "0.2"]
    model = ["--model", "nano", "--image-size", "256"]
    assert batch(["clips", "--out", "out", *options, *model]) == 0, capsys.readouterr()
    assert Path("out/shots_masked.mp4").is_file()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("jobs.jsonl --out out --model no-such", "unknown model 'no-such'"),
        ("jobs.jsonl --out out --model sam1-vit-b", "no memory to follow objects with"),
        ("none.jsonl --out out", "none.jsonl"),
        ("clips --out clips --everything", "clips is the input"),
        ("jobs.jsonl --out a.mp4", "a.mp4 is the input"),
    ],
)
def test_mistakes(jobs: Path, capsys, line: str, message: str) -> None:
    Path("clips").mkdir()
    shutil.copy("a.mp4", "clips")
    assert batch(line.split()) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith("sam2-mlx: error: ") and message in error
