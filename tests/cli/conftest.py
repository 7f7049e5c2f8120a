"""Commands run in an empty folder; most of them with a stand-in for the model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.fake_session import FakeSession, fake_model


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the command runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[type]:
    """Replace the model by one that needs no weights."""
    FakeSession.reset()
    monkeypatch.setattr("sam2_mlx.tracking.session.TrackingSession", FakeSession)
    monkeypatch.setattr("sam2_mlx.cli.video_job.load_model", fake_model)
    yield FakeSession
    FakeSession.reset()
