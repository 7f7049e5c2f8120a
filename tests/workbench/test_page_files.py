"""The files of the page: small, of this project alone, and with types that fit."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "sam2_mlx" / "apps" / "workbench" / "page"
FILES = sorted(file for file in PAGE.rglob("*") if file.is_file())


def test_the_page_is_small() -> None:
    assert sum(file.stat().st_size for file in FILES) < 250_000
    assert {file.suffix for file in FILES} == {".html", ".css", ".js"}
    for file in FILES:
        assert len(file.read_text(encoding="utf-8").splitlines()) < 400, file


def test_nothing_comes_from_the_network() -> None:
    # Namespaces of SVG are names, and the server is on this machine.
    harmless = re.compile(r"http://www\.w3\.org/2000/svg")
    for file in FILES:
        text = harmless.sub("", file.read_text(encoding="utf-8"))
        assert not re.search(r"(https?:)?//\w+\.\w", text), file


def test_the_types_fit() -> None:
    compiler = shutil.which("tsc")
    if compiler is None:
        pytest.skip("there is no tsc; Debian's node-typescript has it")
    config = Path(__file__).with_name("tsconfig.json")
    run = subprocess.run([compiler, "-p", str(config)], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout
