"""Commands run in an empty folder; most of them with a stand-in for the model."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parent.parent / "media"))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the command runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[type]:
    """Replace the model by one that needs no weights."""
    from fake_session import FakeSession, fake_model

    FakeSession.reset()
    monkeypatch.setattr("sam2_mlx.tracking.session.TrackingSession", FakeSession)
    monkeypatch.setattr("sam2_mlx.cli.video_job.load_model", fake_model)
    yield FakeSession
    FakeSession.reset()
