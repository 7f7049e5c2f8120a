"""The scores are those of the public evaluators of DAVIS 2017 and of SA-V."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sam2_mlx.__main__ import main
from tests.evaluation.drawn_datasets import draw_davis, draw_late, draw_sav

NUMBERS = json.loads((Path(__file__).parent / "data" / "public_numbers.json").read_text())


def scored(root: Path, found: Path, tmp_path: Path) -> dict[str, Any]:
    target = tmp_path / "scores.json"
    assert main(["eval", str(root), "--masks", str(found), "--json", str(target)]) == 0
    return json.loads(target.read_text())


def test_davis(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw_davis(tmp_path / "davis", tmp_path / "found")
    ours = scored(tmp_path / "davis", tmp_path / "found", tmp_path)
    public = NUMBERS["davis"]
    for measure in ("J", "F"):
        for key, name in (("M", "mean"), ("R", "recall"), ("D", "decay")):
            assert ours["summary"][measure][name] == pytest.approx(
                public[f"{measure}-{key}"], abs=2e-6
            )
        objects = {
            f"{name}_{number}": each[measure]["mean"]
            for name, sequence in ours["sequences"].items()
            for number, each in sequence["per_object"].items()
        }
        assert objects == pytest.approx(public["objects"][measure], abs=2e-6)
    shown = capsys.readouterr().out
    both = 50 * (public["J-M"] + public["F-M"])
    (line,) = [line for line in shown.splitlines() if line.startswith("all objects")]
    assert f"{both:.1f}" in line.split()


def test_sav(tmp_path: Path) -> None:
    draw_sav(tmp_path / "sav", tmp_path / "found")
    same_as_meta(scored(tmp_path / "sav", tmp_path / "found", tmp_path), NUMBERS["sav"])


def test_objects_that_the_first_frame_does_not_show(tmp_path: Path) -> None:
    # The evaluator of DAVIS has no number for such a clip; Meta's has.
    draw_late(tmp_path / "davis", tmp_path / "found")
    same_as_meta(scored(tmp_path / "davis", tmp_path / "found", tmp_path), NUMBERS["late"])


def same_as_meta(ours: dict[str, Any], public: dict[str, Any]) -> None:
    assert 100 * ours["summary"]["J&F"] == pytest.approx(public["J&F"], abs=2e-4)
    assert 100 * ours["summary"]["J"]["mean"] == pytest.approx(public["J"], abs=2e-4)
    for name, parts in public["objects"].items():
        objects = ours["sequences"][name]["per_object"]
        for measure, expected in zip(("J", "F"), parts, strict=True):
            means = {key: 100 * value[measure]["mean"] for key, value in objects.items()}
            assert means == pytest.approx(expected, abs=2e-4)
