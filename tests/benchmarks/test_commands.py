"""Counts as a command, and this package beside other systems."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import count_work, peers, tracked_frame
from benchmarks.side_by_side import Worker, compare, render, start

COUNTS = {"flops", "bytes", "primitives", "launches", "roofline_s", "gpu"}


@pytest.fixture(autouse=True)
def no_downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAM2_MLX_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def test_counts_of_a_model(capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--image-size", "64", "--objects", "1", "2", "--dtype", "float32"]
    assert count_work.main(small) == 0
    *lines, report = capsys.readouterr().out.splitlines()
    results = json.loads(report)["results"]
    by_case = {(r["what"], r.get("memories"), r.get("objects")): r for r in results}
    frames = [("frame", m, n) for m in (1, 7) for n in (1, 2)]
    assert list(by_case) == [("image", None, None), ("encoder", None, None), *frames]
    assert all(set(result) >= COUNTS for result in results)
    encoder, frame = by_case["encoder", None, None], by_case["frame", 7, 1]
    assert by_case["frame", 7, 2]["flops"] > frame["flops"]
    assert frame["flops"] > by_case["frame", 1, 1]["flops"] > encoder["flops"]
    assert 0 < frame["gpu"]["compiled_launches"] <= frame["gpu"]["launches"]
    table = lines[lines.index("nano at 64, float32") + 1 :]
    assert len(table) == 1 + len(results) and len({len(line) for line in table}) == 1


def test_counts_of_every_model(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--model", "all", "--what", "encoder", "--image-size", "64", "--dtype", "float16"]
    assert count_work.main(options) == 0
    results = json.loads(capsys.readouterr().out.splitlines()[-1])["results"]
    with_memory = ["tiny", "small", "base_plus", "large", "nano", "edgetam"]
    assert [r["model"] for r in results] == with_memory
    flops = [r["flops"] for r in results]
    assert flops[:4] == sorted(flops[:4])


def test_a_first_model_has_no_frame(capsys: pytest.CaptureFixture[str]) -> None:
    assert count_work.main(["--model", "mobile-sam", "--image-size", "64"]) == 0
    results = json.loads(capsys.readouterr().out.splitlines()[-1])["results"]
    assert [r["what"] for r in results] == ["image", "encoder"]


@pytest.mark.parametrize(
    ("command", "arguments", "words"),
    [
        (count_work, ["--chip", "M0"], "unknown chip"),
        (count_work, ["--model", "tinny"], "unknown model 'tinny'"),
        (count_work, ["--dtype", "int8"], "dtype must be"),
        (tracked_frame, ["--rounds", "0"], "start at 1"),
        (tracked_frame, ["--model", "nano"], "with seeded weights; got 'nano'"),
        (tracked_frame, ["--model", "edgetam", "--against", "torch"], "got 'edgetam'"),
        (tracked_frame, ["--against", "mlx-sam"], "no package mlx_sam in the folder"),
        (tracked_frame, ["--against", "mlx-sam", "--mlx-sam", "."], "no package mlx_sam in ."),
        (tracked_frame, ["--against", "torch", "--torch-python", "./no"], "no interpreter ./no"),
    ],
)
def test_mistakes(command, arguments: list[str], words: str, capsys) -> None:
    assert command.main(arguments) == 2
    printed = capsys.readouterr()
    assert words in printed.err and printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1 and "Traceback" not in printed.err


def test_mlx_sam_has_one_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mlx_sam").mkdir()
    options = ["--image-size", "512", "--mlx-sam", str(tmp_path)]
    assert tracked_frame.main(["--against", "mlx-sam", *options]) == 2
    assert "at 1024 only; got 512" in capsys.readouterr().err


def test_ours_in_a_process_of_its_own() -> None:
    spec = {"model": "nano", "image_size": 64}
    results = compare(start(["edgetam"], "", "", {**spec, "image_size": 256}), objects=1, rounds=1)
    assert results["edgetam"]["primitives"] != results["ours"]["primitives"]
    results = compare(start([], "", "", spec), objects=2, rounds=1)
    ours = results["ours"]
    assert set(ours) >= {"encode", "track", "remember", "seconds", "cpu_seconds", "peak_bytes"}
    assert ours["times_ours"] == 1.0 and ours["primitives"] > 100
    head, line = render(results).splitlines()
    assert head.split()[:4] == ["system", "encode", "track", "remember"]
    assert line.startswith("ours ") and len(line) == len(head)


def test_a_peer_that_cannot_run() -> None:
    for system in ("mlx-sam", "torch"):
        worker = Worker(system, sys.executable, [], {"model": "tiny", "image_size": 64})
        with worker, pytest.raises(ValueError, match=f"{system} cannot run: "):
            worker.ask("run 1")


def test_a_peer_that_ends() -> None:
    with Worker("ours", sys.executable, [], {}) as worker:
        with pytest.raises(ValueError, match="ours (cannot run|ended)"):
            worker.ask("run 1")


def test_the_worker_needs_nothing_of_this_package_to_start() -> None:
    # The interpreter of another system does not have it.
    script = "import runpy, sys; runpy.run_path(sys.argv[1]); print('sam2_mlx' in sys.modules)"
    command = [sys.executable, "-I", "-c", script, peers.__file__]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "False\n"


def test_one_tracked_frame(capsys: pytest.CaptureFixture[str]) -> None:
    assert tracked_frame.main(["--image-size", "64", "--rounds", "1", "--objects", "2"]) == 0
    title, head, ours, line = capsys.readouterr().out.splitlines()
    assert title == "tiny at 64, objects: 2" and head.startswith("system")
    report = json.loads(line)
    assert (report["model"], report["objects"]) == ("tiny", 2) and ours.startswith("ours ")
    assert report["ours"]["seconds"] > 0
