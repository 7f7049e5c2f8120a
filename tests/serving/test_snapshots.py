"""Snapshots: an app's undo and redo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sam2_mlx.apps.serving.conversation import MAX_SNAPSHOTS
from tests.serving.app import Refused
from tests.serving.conftest import FRAMES, Served, click, opened


@pytest.mark.parametrize("memory", ["full", "rolling", "distractor-aware"])
def test_a_rollback_undoes_clicks_and_tracking(app: Served, clip: Path, memory: str) -> None:
    session = opened(app, path=str(clip), memory=memory)
    click(app, session, frame=0)
    clicked = app.call("snapshot", session=session)[0]["snapshot"]
    followed = _follow(app, session)
    tracked = app.call("snapshot", session=session)[0]["snapshot"]
    shown = _masks(app, session)

    app.call("remove", session=session, object=1)
    app.call("prompt", session=session, object=2, frame=1, prompt={"box": [4, 4, 30, 30]})
    for _ in range(2):  # back, forward and back again
        app.call("rollback", session=session, snapshot=clicked)
        assert _masks(app, session) != shown
        assert app.call("rollback", session=session, snapshot=tracked)[0] == {"objects": [1]}
        assert _masks(app, session) == shown
    app.call("rollback", session=session, snapshot=clicked)
    assert _follow(app, session) == followed


def test_the_oldest_snapshot_makes_room(app: Served, clip: Path) -> None:
    session = opened(app, path=str(clip), memory="full")
    numbers = [
        app.call("snapshot", session=session)[0]["snapshot"] for _ in range(MAX_SNAPSHOTS + 1)
    ]
    app.call("rollback", session=session, snapshot=numbers[1])
    with pytest.raises(Refused, match=f"bad_state: no snapshot {numbers[0]}; the last"):
        app.call("rollback", session=session, snapshot=numbers[0])


def test_a_stream_does_not_go_back(app: Served) -> None:
    with pytest.raises(Refused, match="bad_state: a stream cannot go back"):
        app.call("snapshot", session=opened(app))


def _follow(app: Served, session: int) -> list[Any]:
    number = app.post("propagate", session=session, job=1, credit=FRAMES + 1)
    frames = []
    while "event" in (message := app.read())[0]:
        frames.append((message[0]["objects"], message[1]))
    assert message[0]["id"] == number
    return frames


def _masks(app: Served, session: int) -> Any:
    facts, blob = app.call("masks", session=session, frame=FRAMES - 1)
    return facts["objects"], blob
