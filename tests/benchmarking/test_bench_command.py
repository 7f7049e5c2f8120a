"""`sam2-mlx bench`: its fields, its table, and one line for every mistake."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sam2_mlx.__main__ import main
from sam2_mlx.checkpoints.convert import convert_checkpoint
from sam2_mlx.checkpoints.load import BUNDLED_FOLDER, resolve_dtype
from sam2_mlx.cli.bench import peers
from sam2_mlx.cli.bench.side_by_side import Worker, compare, render, start

TIMES = {"median_s", "best_s", "stages_s", "peak_bytes"}
COUNTS = {"flops", "bytes", "primitives", "launches", "roofline_s", "gpu"}


@pytest.fixture(autouse=True)
def no_downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAM2_MLX_CACHE", str(tmp_path / "cache"))


def bench(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[str, dict[str, Any]]:
    """The lines for people, and the JSON."""
    assert main(["bench", *arguments]) == 0
    lines = capsys.readouterr().out.splitlines()
    return "\n".join(lines[:-1]), json.loads(lines[-1])


def test_everything_at_a_small_size(capsys: pytest.CaptureFixture[str]) -> None:
    small = ("--image-size", "64", "--rounds", "1", "--objects", "1", "2", "--frames", "2")
    text, report = bench(capsys, *small)
    assert {"version", "mlx", "device", "processor", "cores", "rates", "chip"} <= set(report)
    results = report["results"]
    cases = [(r["what"], r.get("memories"), r.get("objects")) for r in results]
    frames = [("frame", m, n) for m in (1, 7) for n in (1, 2)]
    clips = [("clip", None, n) for n in (1, 2)]
    assert cases == [("image", None, None), ("encoder", None, None), *frames, *clips]
    dtype = str(resolve_dtype("auto")).removeprefix("mlx.core.")
    for result in results:
        assert (result["model"], result["image_size"]) == ("nano", 64)
        assert result["weights"] == "bundled weights" and result["dtype"] == dtype
        assert set(result) >= TIMES and 0 < result["best_s"] <= result["median_s"]
        assert result["peak_bytes"] > 1e6
        assert (set(result) >= COUNTS) is (result["what"] != "clip")
    by_case = dict(zip(cases, results, strict=True))
    frame = by_case["frame", 7, 1]
    assert set(frame["stages_s"]) == {"encode", "track", "remember"}
    assert (
        frame["flops"] > by_case["frame", 1, 1]["flops"] > by_case["encoder", None, None]["flops"]
    )
    assert by_case["frame", 7, 2]["flops"] > frame["flops"]
    assert 0 < frame["gpu"]["compiled_launches"] <= frame["gpu"]["launches"]
    lines = text.splitlines()
    assert len(lines) == 3 + len(results)
    assert "frame, 7 mem., 2 obj." in text and f"nano at 64, {dtype}, bundled weights" in text
    assert len({len(line) for line in lines[2:]}) == 1


def test_models_without_weights_are_seeded(capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--image-size", "64", "--what", "encoder", "--rounds", "1", "--model", "tiny")
    text, report = bench(capsys, *options)
    assert "seeded random weights" in text
    assert report["results"][0]["weights"] == "seeded random weights"


def test_counting_alone(capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--model", "all", "--rounds", "0", "--what", "encoder", "--image-size", "64")
    assert main(["bench", "--json", *options, "--dtype", "float16"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    results = json.loads(printed)["results"]
    assert [r["model"] for r in results] == ["tiny", "small", "base_plus", "large", "nano"]
    assert not TIMES & set(results[0])
    flops = [r["flops"] for r in results]
    assert flops[:4] == sorted(flops[:4])


def test_a_first_model_has_no_frame(capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--model", "mobile-sam", "--rounds", "0", "--image-size", "64")
    report = bench(capsys, *options)[1]
    assert [r["what"] for r in report["results"]] == ["image", "encoder"]


def test_a_quantised_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    convert_checkpoint(BUNDLED_FOLDER, tmp_path / "small", bits=8)
    options = ("--what", "encoder", "--rounds", "1", "--image-size", "64")
    report = bench(capsys, "--model", str(tmp_path / "small"), *options)[1]
    assert report["results"][0]["weights"] == str(tmp_path / "small")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "tinny"], "unknown model 'tinny'"),
        (["--model", "./none.pt"], "no file or folder ./none.pt"),
        (["--image-size", "100"], "multiple of 32"),
        (["--dtype", "int8"], "dtype must be"),
        (["--chip", "M0"], "unknown chip"),
        (["--objects", "0"], "start at 1"),
        (["--rounds", "-1"], "start at 1"),
        (["--against", "other"], "mlx-sam, torch; got 'other'"),
        (["--against", "torch"], "with seeded weights; got 'nano'"),
        (["--against", "mlx-sam", "--model", "tiny"], "no package mlx_sam in the folder"),
        (["--against", "mlx-sam", "--mlx-sam", ".", "--model", "tiny"], "no package mlx_sam in ."),
        (["--against", "torch", "--torch-python", "./no", "--model", "tiny"], "no interpreter"),
        (["--against", "torch", "--model", "tiny", "--what", "clip"], "runs a frame"),
        (["--against", "torch", "--model", "tiny", "--dtype", "float16"], "runs in float32"),
    ],
)
def test_mistakes(
    arguments: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["bench", *arguments]) == 2
    printed = capsys.readouterr()
    assert words in printed.err and printed.err.startswith("sam2-mlx: error: ")
    assert printed.err.count("\n") == 1 and printed.out == ""


def test_mlx_sam_has_one_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mlx_sam").mkdir()
    options = ["--model", "tiny", "--image-size", "512", "--mlx-sam", str(tmp_path)]
    assert main(["bench", "--against", "mlx-sam", *options]) == 2
    assert "at 1024 only; got 512" in capsys.readouterr().err


def test_ours_in_a_process_of_its_own() -> None:
    spec = {"model": "nano", "image_size": 64}
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


def test_the_front_of_the_checkout(repository: Path) -> None:
    command = [sys.executable, str(repository / "benchmarks" / "tracked_frame.py"), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    for option in ("--against", "--mlx-sam", "--torch-python", "--objects", "--rounds"):
        assert option in done.stdout
