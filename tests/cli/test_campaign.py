"""A few of the faults of `make faults`: nothing broken, nothing lost, nothing left behind."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.cli.campaign import Campaign, Ended, broken, render
from tests.cli.machine_faults import faults


@pytest.mark.slow
def test_a_short_campaign(tmp_path: Path) -> None:
    campaign = Campaign(tmp_path, random.Random(20), share=0.03)
    rows = list(campaign.rows())
    assert [row.problems for row in rows] == [[]] * len(rows), "\n".join(map(render, rows))
    assert all(row.runs for row in rows)


def test_what_a_campaign_would_notice(tmp_path: Path) -> None:
    assert broken(tmp_path) == []
    (tmp_path / "out.mp4").write_bytes(b"half a video")
    assert "not a video" in broken(tmp_path)[0]
    (tmp_path / "out.mp4").unlink()
    (tmp_path / "session.safetensors").write_bytes(b"half a session")
    assert "not a saved session" in broken(tmp_path)[0]
    assert Ended(None, "", "").problems == ["hangs"]
    trace = (
        'Traceback (most recent call last):\n  File "/x/sam2_mlx/cli/video.py"\nKeyboardInterrupt'
    )
    assert Ended(1, "", trace).problems
    # Python's own start can be interrupted before a line of this project runs.
    assert not Ended(1, "", trace.replace("/x/sam2_mlx", "")).problems


def test_every_command_meets_every_fault() -> None:
    names = [fault.name for fault in faults()]
    assert len(names) == len(set(names))
    commands = {fault.command.split()[0] for fault in faults()}
    assert commands == {"video", "image", "everything", "eval", "convert", "export", "batch"}
