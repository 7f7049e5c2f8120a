"""What continuous integration is told to run is there."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from sam2_mlx.__main__ import COMMANDS

ROOT = Path(__file__).resolve().parent.parent
GITHUB = ROOT / ".github"
FORMS = sorted((GITHUB / "ISSUE_TEMPLATE").glob("*.yml"))
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))


def steps(path: Path) -> list[dict[str, Any]]:
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
    return [step for job in jobs.values() for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_commands_and_targets_exist(path: Path) -> None:
    text = "\n".join(step.get("run", "") for step in steps(path))
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for line in text.splitlines():
        words = [word.rpartition("/")[2] for word in shlex.split(line)]
        if "sam2-mlx" in words:
            assert words[words.index("sam2-mlx") + 1] in COMMANDS, line
        if words[:1] == ["make"]:
            assert {word for word in words[1:] if "=" not in word} <= set(targets), line
        if line.startswith(".ci/"):
            assert (ROOT / line).is_file()


def test_a_mac_runs_all_of_it() -> None:
    text = "\n".join(step.get("run", "") for step in steps(GITHUB / "workflows" / "macos.yml"))
    for command in ("selftest", "selftest --official", "tune", "report", "export", "info"):
        assert f"sam2-mlx {command}" in text
    for part in ("make test", "-m metal", "make swift", "follower", "platform=iOS"):
        assert part in text


def test_the_oldest_mlx_is_found() -> None:
    runs = [step.get("run", "") for step in steps(GITHUB / "workflows" / "macos.yml")]
    (line,) = [line for run in runs for line in run.splitlines() if line.startswith("oldest=")]
    done = subprocess.run(["bash", "-c", f"{line}; echo $oldest"], cwd=ROOT, capture_output=True)
    assert re.fullmatch(rb"\d+\.\d+\.\d+\n", done.stdout), done
    assert f'"mlx>={done.stdout.decode().strip()};' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_issue_forms(path: Path) -> None:
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert form["name"] and form["description"]
    fields = [part for part in form["body"] if part["type"] != "markdown"]
    assert len({field["id"] for field in fields}) == len(fields) > 0
    assert all(field["attributes"]["label"] for field in fields)
    assert any(field["validations"]["required"] for field in fields)
