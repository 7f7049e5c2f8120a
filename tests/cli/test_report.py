"""A report says what a machine does, and nothing about whose it is."""

from __future__ import annotations

import getpass
import json
import platform
import re
from pathlib import Path

import pytest

from benchmarks import machines
from sam2_mlx.__main__ import main
from sam2_mlx.cli import report as report_command
from sam2_mlx.ops.metal.verdicts import keep


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("somebody") / "private"
    folder.mkdir()
    file = folder / "report.json"
    # What Metal said of a kernel may name files.
    verdict = f"it cannot be run: no library at {folder}/metal.air: it's gone"
    cache = folder / "cache"
    cache.mkdir()
    (cache / "kernels.json").write_text(json.dumps({"a kernel": verdict}))
    keep(cache / "official.json", "tiny, as it was", {"total": 20, "off": ["truck"]})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAM2_MLX_CACHE", str(cache))
        patch.setenv("MLX_ENABLE_TF32", str(folder))
        patch.setenv("SAM2_MLX_PROFILE", "0")
        assert main(["report", "--quick", "--output", str(file)]) == 0
    return file


def test_nothing_personal(report: Path) -> None:
    text = report.read_text()
    for word in (str(Path.home()), getpass.getuser() + "@", platform.node(), "private", "somebody"):
        assert word not in text
    assert platform.release() not in text and str(Path.cwd()) not in text

    def strings(value: object) -> list[str]:
        if isinstance(value, dict):
            return [text for part in value.items() for each in part for text in strings(each)]
        if isinstance(value, list):
            return [text for part in value for text in strings(part)]
        return [value] if isinstance(value, str) else []

    assert [text for text in strings(json.loads(text)) if "/" in text and " " not in text] == []


def test_what_it_says(report: Path) -> None:
    values = json.loads(report.read_text())
    assert values["selftest"]["failed"] == [] and values["packages"]["mlx"]
    assert values["float32"] == "exact" and values["memory_bytes"] > 2**28
    assert values["verdicts"] == {"a kernel": "it cannot be run: no library at ... it's gone"}
    # Without a compiler on the machine the other one is set too.
    compiled = {"MLX_DISABLE_COMPILE": "1"}
    settings = {"MLX_ENABLE_TF32": "...", "SAM2_MLX_CACHE": "...", "SAM2_MLX_PROFILE": "0"}
    others = {name for name in report_command.SETTINGS if "THREADS" in name or "LANES" in name}
    values["settings"] = {k: v for k, v in values["settings"].items() if k not in others}
    assert values["settings"] | compiled == {**settings, **compiled}
    assert values["official"] == {"tiny, as it was": {"total": 20, "off": ["truck"]}}
    rows = {row["what"]: row["median_s"] for row in values["bench"]}
    assert rows.keys() >= {"image", "frame, 7 mem., 1 obj.", "clip, 1 obj."}
    assert min(rows.values()) > 0
    floors = {row["what"]: row for row in values["bench"] if "floor_s" in row}
    assert floors.keys() == {"frame, 1 mem., 1 obj.", "frame, 7 mem., 1 obj."}
    few, many = (floors[key]["flops"] for key in sorted(floors))
    assert 1e8 < few < many < 1e10


def test_a_model_of_ones_own_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "-o", str(tmp_path / "r.json"), "--model", "./my-secret.pt"]) == 2
    assert "--model is one of" in capsys.readouterr().err


def test_reports_become_a_table(report: Path, tmp_path: Path) -> None:
    page = tmp_path / "machines.md"
    assert machines.main([str(report.parent), "--page", str(page)]) == 0
    *_, row = page.read_text().splitlines()
    assert row.count("|") == page.read_text().splitlines()[-2].count("|")
    assert "nano at 64, float32" in row
    assert row.endswith("| agrees; tiny: 19 of 20 published |")


def test_every_setting_is_in_the_report() -> None:
    sources = "".join(path.read_text() for path in (machines.ROOT / "sam2_mlx").rglob("*.py"))
    table = (machines.ROOT / "docs" / "settings.md").read_text()
    own = {name for name in report_command.SETTINGS if name.startswith("SAM2_MLX_")}
    assert own == set(re.findall(r"SAM2_MLX_[A-Z]+(?![A-Z]*_)", sources)) - {"SAM2_MLX_"}
    assert own == set(re.findall(r"^\| `(SAM2_MLX_\w+)`", table, re.MULTILINE))


@pytest.mark.parametrize(
    "text", ["{}", "[]", "{", '{"format_version": 1, "bench": [1]}', '{"format_version": 2}']
)
def test_what_is_no_report(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    assert machines.main([str(tmp_path), "--page", str(tmp_path / "page.md")]) == 2
    assert "x.json" in capsys.readouterr().err and not (tmp_path / "page.md").exists()


def test_the_page_is_what_the_script_makes(tmp_path: Path) -> None:
    page = machines.ROOT / "docs" / "machines.md"
    assert machines.main(["--page", str(tmp_path / "page.md")]) == 0
    assert (tmp_path / "page.md").read_text() == page.read_text()
