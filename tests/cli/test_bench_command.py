"""`sam2-mlx bench`: its fields, its table, and one line for every mistake."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sam2_mlx.__main__ import main
from sam2_mlx.checkpoints.convert import convert_checkpoint
from sam2_mlx.checkpoints.load import BUNDLED_FOLDER
from sam2_mlx.ops.dtypes import dtype_name, resolve_dtype

TIMES = {"median_s", "best_s", "stages_s", "peak_bytes"}


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
    assert {"version", "mlx", "device", "processor", "cores", "blas"} <= set(report)
    results = report["results"]
    cases = [(r["what"], r.get("memories"), r.get("objects")) for r in results]
    frames = [("frame", m, n) for m in (1, 7) for n in (1, 2)]
    clips = [("clip", None, n) for n in (1, 2)]
    assert cases == [("image", None, None), ("encoder", None, None), *frames, *clips]
    dtype = dtype_name(resolve_dtype("auto"))
    for result in results:
        assert (result["model"], result["image_size"]) == ("nano", 64)
        assert result["weights"] == "bundled weights" and result["dtype"] == dtype
        assert set(result) >= TIMES and 0 < result["best_s"] <= result["median_s"]
        assert result["peak_bytes"] > 1e6
    by_case = dict(zip(cases, results, strict=True))
    frame = by_case["frame", 7, 1]
    assert set(frame["stages_s"]) == {"encode", "track", "remember"}
    lines = text.splitlines()
    assert len(lines) == 3 + len(results)
    assert "frame, 7 mem., 2 obj." in text and f"nano at 64, {dtype}, bundled weights" in text
    assert len({len(line) for line in lines[2:]}) == 1


def test_models_without_weights_are_seeded(capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--image-size", "64", "--what", "encoder", "--rounds", "1", "--model", "tiny")
    text, report = bench(capsys, *options)
    assert "seeded random weights" in text
    assert report["results"][0]["weights"] == "seeded random weights"


def test_all_models_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--model", "all", "--rounds", "1", "--what", "encoder", "--image-size", "32")
    assert main(["bench", "--json", *options]) == 0
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    results = json.loads(printed)["results"]
    models = ["tiny", "small", "base_plus", "large", "nano", "edgetam"]
    assert [r["model"] for r in results] == models


def test_a_first_model_has_no_frame(capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--model", "mobile-sam", "--rounds", "1", "--image-size", "64")
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
        (["--objects", "0"], "start at 1"),
        (["--rounds", "0"], "start at 1"),
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


def test_counts_and_other_systems_are_in_the_repository(capsys: pytest.CaptureFixture[str]) -> None:
    for option, home in (("--against", "tracked_frame"), ("--chip", "count_work")):
        with pytest.raises(SystemExit, match="2"):
            main(["bench", option, "torch"])
        assert f"{option} is in the repository now: python -m benchmarks.{home}" in (
            capsys.readouterr().err
        )
