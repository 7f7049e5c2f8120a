"""The first time, functions run as they are until another process has compiled them all."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest

from sam2_mlx.cli import progress
from sam2_mlx.ops.compiled import compiled
from sam2_mlx.ops.cpu import rehearsal
from sam2_mlx.ops.device import on_gpu

COMPILES = pytest.mark.skipif(
    sys.platform != "linux"
    or on_gpu()
    or shutil.which("g++") is None
    or "MLX_DISABLE_COMPILE" in os.environ,
    reason="needs Linux, g++ and MLX for a CPU",
)
FOLLOW = """
import sam2_mlx, numpy as np, mlx.core as mx
from sam2_mlx.ops.cpu import rehearsal
session = sam2_mlx.TrackingSession(sam2_mlx.load("nano"))
picture = np.random.default_rng(1).integers(0, 255, (80, 120, 3)).astype(np.uint8)
for index in range(3):
    mx.eval(session.step(picture).masks)
    if index == 0:
        session.prompt(7, points=[[50, 30]], labels=[1])
print(rehearsal.programs_are_there())
"""


class Process:
    """Stands in for the process that compiles."""

    started = 0
    code: int | None = None

    def __init__(self, *_: object, **__: object) -> None:
        Process.started += 1

    def poll(self) -> int | None:
        return Process.code


@pytest.fixture
def cold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without programs, and nobody who makes any."""
    monkeypatch.setattr(rehearsal, "_folder", None)
    monkeypatch.setattr(rehearsal, "_process", None)
    monkeypatch.setattr(rehearsal, "_LOOK_SECONDS", 0.0)
    monkeypatch.setattr(subprocess, "Popen", Process)
    monkeypatch.setattr(Process, "started", 0)
    monkeypatch.setattr(Process, "code", None)
    rehearsal.rehearse_in(tmp_path)
    return tmp_path


@COMPILES
def test_functions_run_as_they_are_until_the_mark(cold: Path) -> None:
    calls: list[Any] = []

    @compiled
    def double(x: mx.array) -> mx.array:
        calls.append(x)
        return x + x

    for _ in range(3):
        assert double(mx.array([2.0])).tolist() == [4.0]
    assert len(calls) == 3 and Process.started == 1
    rehearsal.mark(cold).touch()
    for _ in range(3):
        assert double(mx.array([2.0])).tolist() == [4.0]
    # Once more, to be traced.
    assert len(calls) == 4 and Process.started == 1


def test_a_process_that_fails_is_not_waited_for(cold: Path) -> None:
    assert not rehearsal.programs_are_there()
    Process.code = 1
    assert rehearsal.programs_are_there()


def test_one_rehearsal_at_a_time(cold: Path) -> None:
    with rehearsal.Rehearsal() as needed:
        assert needed and rehearsal.programs_are_there()
        rehearsal.rehearse_in(cold)
        with rehearsal.Rehearsal() as again:
            assert not again
        assert not rehearsal.mark(cold).exists()
    assert rehearsal.mark(cold).exists() and not (cold / "busy").exists()


def test_a_rehearsal_that_breaks_leaves_no_mark(cold: Path) -> None:
    with pytest.raises(ZeroDivisionError), rehearsal.Rehearsal():
        raise ZeroDivisionError
    assert list(cold.iterdir()) == []
    (cold / "busy").touch()
    os.utime(cold / "busy", (0, 0))  # of a process that was killed
    rehearsal.rehearse_in(cold)
    with rehearsal.Rehearsal() as needed:
        assert needed


@COMPILES
@pytest.mark.slow
def test_the_first_run_waits_for_no_compiler(tmp_path: Path) -> None:
    root = str(Path(__file__).resolve().parents[2])
    environment = {**os.environ, "PYTHONPATH": root, "XDG_CACHE_HOME": str(tmp_path)}

    def follow() -> bool:
        command = [sys.executable, "-c", FOLLOW]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip() == "True"

    folder = tmp_path / "sam2_mlx" / "compiled"
    assert not follow()
    end = time.monotonic() + 240
    while not rehearsal.mark(folder).exists() and time.monotonic() < end:
        time.sleep(0.5)
    programs = set(folder.rglob("*.so"))
    assert programs and follow()
    # The other process has been through all that this one needs.
    assert set(folder.rglob("*.so")) == programs


def test_what_takes_long_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", 0.01)
    with progress.said_if_slow("loading tiny"):
        time.sleep(0.3)
    assert capsys.readouterr().err == "sam2-mlx: loading tiny ...\n"
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", 5.0)
    with progress.said_if_slow("loading tiny"):
        pass
    assert capsys.readouterr().err == ""
