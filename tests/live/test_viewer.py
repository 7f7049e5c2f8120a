"""The live loop without a window: prompts, lost objects, recordings, saved masks, bad frames."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
from PIL import Image

from sam2_mlx.live.capture import Capture
from sam2_mlx.live.controls import Button, Controls
from sam2_mlx.live.drawing import Status, draw_scene, draw_status
from sam2_mlx.live.feeds import Feed, FeedEnded
from sam2_mlx.live.objects import ObjectView, ObjectViews
from sam2_mlx.live.saving import Recording
from sam2_mlx.live.viewer import Viewer
from sam2_mlx.media import open_frames
from sam2_mlx.media.errors import MediaError
from sam2_mlx.media.overlay import object_color
from sam2_mlx.tracking.results import FrameMasks
from sam2_mlx.tracking.session import TrackingSession
from tests.tiny import ToyClip


class ToyFeed(Feed):
    """The toy clip as a camera."""

    name = "toy"
    retries = False

    def __init__(self, frames: int = 1000) -> None:
        self.clip = ToyClip(frames)
        self.given = 0

    def read(self) -> np.ndarray:
        if self.given >= self.clip.num_frames:
            raise FeedEnded("toy is over")
        self.given += 1
        return self.picture(self.given - 1)

    def picture(self, number: int) -> np.ndarray:
        return self.clip.read(number)

    def restart(self) -> None:
        self.given = 0

    def paused(self, seconds: float) -> None:
        pass

    def close(self) -> None:
        pass


WAIT = "wait"
"""What an action answers that is not done yet."""


class ScriptedWindow:
    """Does one action after each picture shown, then closes."""

    def __init__(self, *actions: Callable[[Controls], str | None]) -> None:
        self.actions = list(actions)
        self.shown: list[np.ndarray] = []
        self.closed = False

    def show(self, canvas: np.ndarray) -> None:
        self.shown.append(canvas)

    def poll(self, controls: Controls, scale: float) -> str | None:
        if not self.shown or not self.actions:
            return "" if self.actions else None
        answer = self.actions[0](controls)
        if answer != WAIT:
            self.actions.pop(0)
        return "" if answer == WAIT else answer or ""

    def close(self) -> None:
        self.closed = True


def key(character: str) -> Callable[[Controls], str | None]:
    return lambda controls: character


def click(x: float, y: float) -> Callable[[Controls], str | None]:
    def act(controls: Controls) -> None:
        controls.mouse(Button.PRESS, x, y)
        controls.mouse(Button.RELEASE, x, y)

    return act


def until(condition: Callable[[], bool]) -> Callable[[Controls], str | None]:
    calls = iter(range(400))

    def act(controls: Controls) -> str:
        time.sleep(0.005)
        assert next(calls, None) is not None, "it did not happen"
        return "" if condition() else WAIT

    return act


nothing = key("")


def run(
    model,
    window: ScriptedWindow,
    folder: Path,
    feed: Feed | None = None,
    session: TrackingSession | None = None,
) -> Viewer:
    capture = Capture(feed or ToyFeed(), keep_all=True)
    viewer = Viewer(session or TrackingSession(model), capture, window, folder)
    try:
        viewer.run()
    finally:
        capture.close()
    assert window.closed
    return viewer


def test_a_click_adds_an_object_that_is_followed(model, tmp_path: Path) -> None:
    window = ScriptedWindow(nothing, click(20, 30), *[nothing] * 5)
    viewer = run(model, window, tmp_path)
    (view,) = viewer.views
    assert view.object_id == 1 and view.mask.any() and not view.lost
    # Something in the object's colour is seen from the click on.
    blue = [
        np.abs(shown.astype(int) - object_color(0)).sum(axis=-1).min() for shown in window.shown
    ]
    assert min(blue[:1]) > 60
    assert max(blue[-3:]) < 10


@pytest.fixture
def statuses(monkeypatch: pytest.MonkeyPatch) -> list[Status]:
    """What is written on each picture shown."""
    written: list[Status] = []

    def note(canvas: np.ndarray, views: Sequence[ObjectView], status: Status) -> None:
        written.append(status)
        draw_status(canvas, views, status)

    monkeypatch.setattr("sam2_mlx.live.viewer.draw_status", note)
    return written


def test_a_frozen_picture_stands_still_and_takes_prompts(model, tmp_path: Path, statuses) -> None:
    session = TrackingSession(model)
    frames: list[int | None] = []

    def note(controls: Controls) -> None:
        time.sleep(0.05)  # another frame has time to come
        frames.append(session.frame)

    window = ScriptedWindow(
        nothing, nothing, key(" "), note, click(20, 30), note, click(70, 20), note,
        key(" "), until(lambda: session.frame is not None and session.frame > frames[0] + 1),
    )  # fmt: skip
    viewer = run(model, window, tmp_path, session=session)
    assert [view.object_id for view in viewer.views] == [1, 2]
    assert frames[0] is not None and frames == frames[:1] * 3
    assert [status.frozen for status in (statuses[0], statuses[-1])] == [False, False]
    assert any(status.frozen for status in statuses)


class PacedFeed(ToyFeed):
    """Takes a while for each frame."""

    def read(self) -> np.ndarray:
        time.sleep(0.002)
        return super().read()


def test_a_frozen_clip_is_not_read_on(model, tmp_path: Path) -> None:
    feed = PacedFeed(1_000_000)
    given: list[int] = []

    def note(controls: Controls) -> None:
        time.sleep(0.1)  # the thread that reads may be within a frame
        given.append(feed.given)

    window = ScriptedWindow(
        nothing, key(" "), note, click(20, 30), note, note,
        key(" "), until(lambda: feed.given > given[0] + 2),
    )  # fmt: skip
    # As a clip at its own speed is read: what is not taken is dropped.
    capture = Capture(feed)
    try:
        Viewer(TrackingSession(model), capture, window, tmp_path).run()
    finally:
        capture.close()
    assert given == given[:1] * 3


def test_removed_objects_are_gone_at_once(model, tmp_path: Path) -> None:
    window = ScriptedWindow(
        nothing, key(" "), click(20, 30), click(70, 20), key("1"), key("x"), nothing
    )
    viewer = run(model, window, tmp_path)
    assert [view.object_id for view in viewer.views] == [2]


def test_a_recording_plays_and_a_mask_is_saved(model, tmp_path: Path) -> None:
    window = ScriptedWindow(
        nothing, click(20, 30), key("r"), *[nothing] * 6, key("s"), nothing, key("r")
    )
    run(model, window, tmp_path)
    (video,) = tmp_path.glob("recording_*.mp4")
    with open_frames(video) as source:
        assert source.num_frames >= 4
        assert source.read(0).shape == (64, 96, 3)
    (saved,) = tmp_path.glob("masks_*.png")
    values = np.array(Image.open(saved))
    assert set(np.unique(values)) == {0, 1}


def test_closing_the_window_finishes_the_recording(model, tmp_path: Path) -> None:
    run(model, ScriptedWindow(nothing, key("r"), *[nothing] * 4), tmp_path)
    (video,) = tmp_path.glob("recording_*.mp4")
    with open_frames(video) as source:
        assert source.num_frames >= 2


def test_a_recording_that_is_lost_at_the_end_is_an_error(
    model, tmp_path: Path, monkeypatch
) -> None:
    def full(self) -> None:
        raise MediaError("the disk is full")

    monkeypatch.setattr(Recording, "finish", full)
    window = ScriptedWindow(nothing, key("r"), nothing)
    with pytest.raises(MediaError, match="the disk is full"):
        run(model, window, tmp_path)
    assert window.closed
    # While the window is there it says so.
    run(model, ScriptedWindow(nothing, key("r"), nothing, key("r"), nothing), tmp_path)


def test_what_is_pointed_at_belongs_to_its_frame(model, tmp_path: Path, monkeypatch) -> None:
    session = TrackingSession(model)
    prompts: list[tuple[int | None, int]] = []
    prompt = session.prompt

    def note(object_id: int, **options) -> FrameMasks:
        prompts.append((session.frame, len(options["points"])))
        return prompt(object_id, **options)

    monkeypatch.setattr(session, "prompt", note)
    # Two clicks on one frame correct each other, the next frame starts anew.
    window = ScriptedWindow(
        nothing, key(" "), click(20, 30), key("1"), click(22, 32), key(" "),
        until(lambda: session.frame is not None and session.frame > prompts[-1][0]),
        click(30, 30), nothing,
    )  # fmt: skip
    run(model, window, tmp_path, session=session)
    assert [points for _, points in prompts] == [1, 2, 1]


class ChangingFeed(ToyFeed):
    """From frame 6 on the frames are twice as large."""

    def picture(self, number: int) -> np.ndarray:
        frame = super().picture(number)
        return frame.repeat(2, axis=0).repeat(2, axis=1) if number >= 6 else frame


def test_a_change_of_size_ends_the_recording_not_the_session(model, tmp_path: Path) -> None:
    window = ScriptedWindow(nothing, click(20, 30), key("r"), *[nothing] * 9)
    viewer = run(model, window, tmp_path, ChangingFeed())
    assert viewer.views[0].mask.shape == (128, 192)
    (video,) = tmp_path.glob("recording_*.mp4")
    with open_frames(video) as source:
        assert 2 <= source.num_frames <= 4


class BadFeed(ToyFeed):
    """Frame 3 is grey."""

    def picture(self, number: int) -> np.ndarray:
        return super().picture(number)[..., 0] if number == 3 else super().picture(number)


def test_a_frame_that_is_no_picture_is_reported_and_left_out(
    model, tmp_path: Path, statuses
) -> None:
    window = ScriptedWindow(nothing, click(20, 30), *[nothing] * 8)
    session = TrackingSession(model)
    viewer = run(model, window, tmp_path, BadFeed(), session)
    assert viewer.views
    # Frames 1, 2, 4 and so on were followed: the stream counts good frames only.
    assert session.frame is not None and session.frame >= 4
    places = [i for i, status in enumerate(statuses) if "(64, 96)" in status.message]
    assert places and statuses[places[-1] + 1].message == ""


def test_a_clip_that_is_over_can_be_played_again(model, tmp_path: Path, statuses) -> None:
    feed = ToyFeed(3)
    over = until(lambda: any("toy is over; space plays it again" in s.message for s in statuses))
    session = TrackingSession(model)
    window = ScriptedWindow(over, key(" "), until(lambda: session.frame == 5))
    viewer = run(model, window, tmp_path, feed, session)
    assert feed.clip.reads == [0, 1, 2, 0, 1, 2]
    assert not viewer.controls.frozen


def test_the_state_is_written(model, tmp_path: Path, statuses) -> None:
    window = ScriptedWindow(nothing, nothing, key("r"), nothing, key("r"), key("h"), nothing)
    run(model, window, tmp_path)
    assert [s.recording for s in statuses].count(True) >= 1 and not statuses[-1].recording
    assert statuses[-1].fps > 0 and 0 < statuses[-1].latency < 20
    assert statuses[-1].help and "has" in statuses[-1].message


def _masks(present: bool, *ids: int) -> FrameMasks:
    logits = mx.full((len(ids), 1, 6, 6), 3.0 if present else -3.0)
    scores = mx.full((len(ids),), 0.75)
    presence = mx.full((len(ids),), 5.0 if present else -5.0)
    return FrameMasks(0, ids, logits, scores, presence, logits.shape[-2:])


def test_a_lost_object_is_shown_as_lost_and_found_again() -> None:
    views = ObjectViews(shown_found=2)
    (view,) = views.update(_masks(True, 4), tracked=True)
    assert view.caption == "4  0.75"
    (view,) = views.update(_masks(False, 4), tracked=True)
    assert view.lost and view.caption == "4  lost"
    (view,) = views.update(_masks(True, 4), tracked=True)
    assert not view.lost and view.caption == "4  0.75  found again"
    for _ in range(2):
        (view,) = views.update(_masks(True, 4), tracked=True)
    assert view.caption == "4  0.75"
    assert views.update(_masks(True), tracked=True) == []


def test_colours_stay_with_their_objects() -> None:
    image = np.zeros((60, 60, 3), np.uint8)
    mask = np.zeros((60, 60), bool)
    mask[20:50, 20:50] = True
    for object_id in (1, 2, 9):
        scene = draw_scene(image, [ObjectView(object_id, mask, 0.5)])
        assert tuple(scene[40, 20]) == object_color(object_id - 1)  # the outline
        assert not scene[55, 5].any()
    lost = draw_scene(image, [ObjectView(1, np.zeros_like(mask), lost=True)])
    assert not lost.any()


PLAIN = Status(0, 0, 0, False, False, False, None, "", None)


def drawn(size: tuple[int, int], status: Status, score: float = 0.5) -> np.ndarray:
    canvas = np.full((*size, 3), 90, np.uint8)
    views = [ObjectView(1, np.ones(size, bool), score), ObjectView(2, np.zeros(size, bool))]
    draw_status(canvas, views, status)
    return canvas


@pytest.mark.parametrize(
    "change",
    [
        {"fps": 30.0}, {"latency": 0.5}, {"dropped": 3}, {"frozen": True}, {"recording": True},
        {"help": True}, {"chosen": 1}, {"message": "a message"}, {"box": (10, 100, 60, 180)},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_each_part_of_the_state_is_drawn(change: dict) -> None:
    size = (360, 640)
    assert (drawn(size, PLAIN) != drawn(size, replace(PLAIN, **change))).any()
    assert (drawn(size, PLAIN) != drawn(size, PLAIN, score=0.9)).any()


def test_a_small_picture_takes_all_that_is_drawn() -> None:
    status = Status(30, 0.02, 3, True, True, True, 1, "a message", (1, 1, 20, 20))
    canvas = drawn((30, 40), status)
    assert canvas.shape == (30, 40, 3) and (canvas != 90).any()
