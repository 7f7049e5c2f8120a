"""Jobs: credit, cancelling, turns, downloads."""

from __future__ import annotations

import random
import threading
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest

from sam2_mlx.apps.serving.conversation import MAX_WAITING
from sam2_mlx.checkpoints import hub
from tests.serving.app import Refused
from tests.serving.conftest import FRAMES, Served, click, opened


def test_it_never_runs_ahead_of_its_credit(app: Served, clip: Path) -> None:
    session = opened(app, path=str(clip))
    click(app, session, frame=0)
    number = app.post("propagate", session=session, job=1, credit=2)
    assert [app.read()[0]["frame"] for _ in range(2)] == [0, 1]
    # The third frame waits for credit; other requests do not wait for it.
    other = opened(app)
    assert other == session + 1
    app.tell("credit", job=1, frames=100)
    frames = [app.read()[0].get("frame") for _ in range(FRAMES - 1)]
    assert frames == [*range(2, FRAMES), None]
    assert number


def test_what_is_about_a_busy_session_waits_for_the_end_of_its_job(app: Served, clip: Path) -> None:
    session = opened(app, path=str(clip))
    click(app, session, frame=0)
    job = app.post("propagate", session=session, job=1, credit=1)
    assert app.read()[0]["frame"] == 0
    reset = app.post("reset", session=session)
    assert app.call("ping")[0] == {"waiting": 1, "jobs": 1}
    app.tell("cancel", job=1)
    assert app.read()[0] == {"id": job, "result": {"ended": "cancelled", "frames": 1}}
    assert app.read()[0] == {"id": reset, "result": {}}


def test_a_job_may_be_cancelled_before_its_turn(app: Served, clip: Path) -> None:
    session = opened(app, path=str(clip))
    click(app, session, frame=0)
    first = app.post("propagate", session=session, job=1, credit=0)
    second = app.post("propagate", session=session, job=2)
    app.tell("cancel", job=2)
    app.tell("cancel", job=1)
    ends = [app.read()[0] for _ in range(2)]
    assert ends == [
        {"id": number, "result": {"ended": "cancelled", "frames": 0}} for number in (first, second)
    ]
    # Numbers of jobs that have ended may be used again.
    _, result = app.job("propagate", session=session, job=1)
    assert result["ended"] == "done"


def test_a_thousand_random_cancels(app: Served) -> None:
    """Of a job that only counts; the next test has the real one."""
    dice = random.Random(3)
    for turn in range(1000):
        cancel_at_random(app, dice, "count", job=turn)
    assert app.call("ping")[0] == {"waiting": 0, "jobs": 0}


def test_a_cancelled_session_goes_on(app: Served, clip: Path, followed: list[np.ndarray]) -> None:
    dice = random.Random(4)
    session = opened(app, path=str(clip), memory="full")
    click(app, session, frame=0)
    for turn in range(30):
        cancel_at_random(app, dice, "propagate", job=turn, session=session, start=0)
    events, _ = app.job("propagate", session=session, job=0, start=0)
    assert all(
        (app.masks(*event) == wanted).all() for event, wanted in zip(events, followed, strict=True)
    )


def cancel_at_random(app: Served, dice: random.Random, method: str, **fields: Any) -> None:
    credit, cancel_after, events = dice.randrange(1, 5), dice.randrange(4), 0
    number = app.post(method, credit=credit, **fields)
    if not cancel_after:
        app.tell("cancel", job=fields["job"])
    while "event" in (answer := app.read()[0]):
        events += 1
        if events == cancel_after:
            app.tell("cancel", job=fields["job"])
        else:
            app.tell("credit", job=fields["job"], frames=1)
        assert events <= 2 * cancel_after + credit
    assert answer["id"] == number and answer["result"]["frames"] == events
    assert events or not cancel_after


def test_two_jobs_take_turns(app: Served) -> None:
    for job in (1, 2):
        app.post("count", job=job, credit=0)
    assert app.call("ping")[0]["jobs"] == 2
    for job in (1, 2):
        app.tell("credit", job=job, frames=50)
    jobs = [app.read()[0]["job"] for _ in range(100)]
    # One may be a few ahead before the other has credit; then they alternate.
    assert abs(jobs[:60].count(1) - jobs[:60].count(2)) < 20
    assert jobs.count(1) == jobs.count(2) == 50


@pytest.fixture
def slow_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> threading.Event:
    """A hub that sends half a file and goes on when it is told to."""
    go_on = threading.Event()

    def download(repository: str, filename: str, *, tqdm_class: Any, **_: Any) -> str:
        with tqdm_class(total=1000, unit="B") as bar:
            bar.update(500)
            go_on.wait(20)
            for _ in range(250):
                bar.update(2)
        return str(tmp_path / "model.safetensors")

    monkeypatch.setenv("SAM2_MLX_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.setattr(hub, "_probe", lambda repository: None)
    return go_on


@pytest.mark.parametrize("cancelled", [False, True])
def test_a_download_tells_how_far_it_is(
    app: Served, slow_hub: threading.Event, cancelled: bool
) -> None:
    number = app.post("load_model", model="tiny", job=8)
    half = {"event": "progress", "job": 8, "stage": "download", "fraction": 0.5}
    assert app.read()[0] == half
    # It is still at it, and answers.
    assert app.call("ping")[0] == {"waiting": 0, "jobs": 1}
    if cancelled:
        app.tell("cancel", job=8)
        app.call("ping")
    slow_hub.set()
    events = []
    while "event" in (answer := app.read()[0]):
        events.append(answer["fraction"])
    assert answer["id"] == number
    # The file that was fetched is none.
    assert answer["error"]["code"] == ("cancelled" if cancelled else "bad_model")
    assert events == ([] if cancelled else [one / 100 for one in range(51, 101)])


def test_too_many_requests_are_told_so(app: Served, clip: Path) -> None:
    session = opened(app, path=str(clip))
    click(app, session, frame=0)
    app.post("propagate", session=session, job=1, credit=1)
    assert app.read()[0]["frame"] == 0
    # Each of them waits for the job, which waits for credit.
    for _ in range(MAX_WAITING):
        app.post("reset", session=session)
    with pytest.raises(Refused, match="busy"):
        app.call("reset", session=session)
    app.tell("cancel", job=1)
    assert app.read()[0]["result"]["ended"] == "cancelled"
    assert all(app.read()[0]["result"] == {} for _ in range(MAX_WAITING))


def test_objects_that_are_held_keep_their_masks(app: Served, clip: Path) -> None:
    session = opened(app, path=str(clip), memory="full")
    click(app, session, frame=0)
    _follow(app, session, length=3)
    app.call("prompt", session=session, object=2, frame=0, prompt={"box": [20, 15, 60, 50]})
    _follow(app, session, hold=[1])
    # The first object is where it was followed to, and the other on every frame.
    assert _present(app, session) == [[1, 2]] * 4 + [[2]] * (FRAMES - 4)
    _follow(app, session)
    assert _present(app, session) == [[1, 2]] * FRAMES


def _follow(app: Served, session: int, **fields: Any) -> None:
    app.post("propagate", session=session, job=1, credit=FRAMES + 1, **fields)
    while "event" in app.read()[0]:
        pass


def _present(app: Served, session: int) -> list[list[int]]:
    """Objects of which something is known, for each frame."""
    frames = [app.call("masks", session=session, frame=one)[0]["objects"] for one in range(FRAMES)]
    return [[one["object"] for one in objects if one["iou"] != 0] for objects in frames]
