"""The newest frame, and what happens when frames stop coming."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from sam2_mlx.live.capture import Capture
from sam2_mlx.live.feeds import ClipFeed, Feed, FeedEnded, open_feed
from sam2_mlx.media.errors import MediaError


class ScriptedFeed(Feed):
    """Gives one frame for each permit; numbers stand in the first pixel."""

    name = "script"

    def __init__(self, frames: int = 1000, retries: bool = False) -> None:
        self.retries = retries
        self.restarts = 0
        self.given = 0
        self.closed = False
        self.damaged: set[int] = set()
        self._frames = frames
        self._permits = threading.Semaphore(0)

    def allow(self, count: int) -> None:
        self._permits.release(count)

    def read(self) -> np.ndarray:
        if self.given >= self._frames:
            raise FeedEnded("script is over")
        while not self._permits.acquire(timeout=0.01):
            if self.closed:
                raise FeedEnded("closed")
        number = self.given
        self.given += 1
        if number in self.damaged:
            raise MediaError(f"frame {number} is damaged")
        return np.full((4, 4, 3), number, np.uint8)

    def restart(self) -> None:
        self.restarts += 1
        self.given = 0

    def paused(self, seconds: float) -> None:
        pass

    def close(self) -> None:
        self.closed = True


def wait_for(condition) -> None:
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


@pytest.fixture
def start():
    captures: list[tuple[Capture, ScriptedFeed]] = []

    def make(feed: ScriptedFeed, **options) -> Capture:
        captures.append((Capture(feed, **options), feed))
        return captures[-1][0]

    yield make
    for capture, feed in captures:
        feed.closed = True
        capture.close()
        assert not capture._thread.is_alive()


def test_only_the_newest_frame_is_given(start) -> None:
    feed = ScriptedFeed()
    capture = start(feed)
    feed.allow(1)
    first = capture.take(5)
    assert first is not None and first.image[0, 0, 0] == 0
    assert capture.take(0) is None
    feed.allow(7)
    wait_for(lambda: capture._count == 8)
    newest = capture.take(0)
    assert newest is not None and newest.image[0, 0, 0] == 7
    assert capture.dropped == 6
    assert newest.moment <= time.monotonic()


def test_every_frame_on_request(start) -> None:
    feed = ScriptedFeed()
    capture = start(feed, keep_all=True)
    feed.allow(5)
    seen = [capture.take(5) for _ in range(5)]
    assert [int(frame.image[0, 0, 0]) for frame in seen if frame] == [0, 1, 2, 3, 4]
    assert capture.dropped == 0


def test_a_clip_that_is_over_waits_to_be_played_again(start) -> None:
    feed = ScriptedFeed(frames=2)
    capture = start(feed)
    feed.allow(4)
    wait_for(lambda: capture.ended)
    assert capture.problem == "script is over"
    last = capture.take(0)
    assert last is not None and last.image[0, 0, 0] == 1
    capture.restart()
    again = capture.take(5)
    assert again is not None and again.number >= 2
    assert feed.restarts == 1


def test_a_camera_that_is_gone_is_tried_again(start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sam2_mlx.live.capture._RETRY_SECONDS", 0.02)
    feed = ScriptedFeed(frames=1, retries=True)
    capture = start(feed)
    feed.allow(3)
    wait_for(lambda: feed.restarts >= 2)
    assert not capture.ended


def test_a_damaged_frame_is_reported_and_left_out(start) -> None:
    feed = ScriptedFeed()
    feed.damaged = {1}
    capture = start(feed)
    feed.allow(1)
    assert capture.take(5) is not None
    feed.allow(1)
    wait_for(lambda: capture.problem is not None)
    assert capture.problem == "frame 1 is damaged"
    feed.allow(1)
    following = capture.take(5)
    assert following is not None and following.image[0, 0, 0] == 2
    assert capture.problem is None


def test_frames_of_a_frozen_picture_do_not_count_as_dropped(start) -> None:
    feed = ScriptedFeed(retries=True)
    capture = start(feed)
    feed.allow(1)
    assert capture.take(5) is not None
    capture.freeze(True)
    feed.allow(5)
    wait_for(lambda: capture._count == 6)
    capture.freeze(False)
    assert capture.take(0) is None
    feed.allow(1)
    frame = capture.take(5)
    assert frame is not None and frame.image[0, 0, 0] == 6
    assert capture.dropped == 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve grey pictures, the number of each its value."""
    from PIL import Image

    place = tmp_path_factory.mktemp("pictures")
    for number in range(12):
        Image.fromarray(np.full((8, 8, 3), 10 * number, np.uint8)).save(place / f"{number}.png")
    return place


def test_a_clip_plays_at_its_own_speed(folder: Path) -> None:
    feed = ClipFeed(folder)  # 24 frames a second
    start = time.monotonic()
    seen = [int(feed.read()[0, 0, 0]) // 10 for _ in range(4)]
    assert time.monotonic() - start >= 3 / 24 - 0.01
    assert seen[0] == 0 and seen == sorted(seen)
    # Whoever comes late gets the frame that is due.
    time.sleep(0.2)
    assert int(feed.read()[0, 0, 0]) // 10 > seen[-1] + 1
    # A pause is not lateness.
    before = feed._next
    time.sleep(0.15)
    feed.paused(0.15)
    assert feed._next == before and int(feed.read()[0, 0, 0]) // 10 <= before + 1
    feed.close()


def test_every_frame_of_a_clip(folder: Path) -> None:
    feed = open_feed(str(folder), live=False)
    assert [int(feed.read()[0, 0, 0]) // 10 for _ in range(12)] == list(range(12))
    with pytest.raises(FeedEnded, match="is over"):
        feed.read()
    feed.restart()
    assert feed.read()[0, 0, 0] == 0
    feed.close()


def test_feeds_that_do_not_exist() -> None:
    with pytest.raises(FileNotFoundError, match="check the path"):
        open_feed("nowhere.mp4")
    with pytest.raises(MediaError, match="camera 98 cannot be opened; is it connected"):
        open_feed("98")


def test_a_camera_that_gives_no_colour_picture_is_read_on(start, monkeypatch) -> None:
    import cv2

    class Camera:
        frames = iter([np.zeros((4, 6, 2), np.uint8), np.zeros((0, 6, 3), np.uint8)])

        def __init__(self, device: int) -> None: ...

        def isOpened(self) -> bool:
            return True

        def set(self, name: int, value: int) -> None: ...

        def release(self) -> None: ...

        def read(self) -> tuple[bool, np.ndarray]:
            time.sleep(0.01)
            return True, next(self.frames, np.full((4, 6, 3), (9, 8, 7), np.uint8))

    monkeypatch.setattr(cv2, "VideoCapture", Camera)
    feed = open_feed("0")
    for shape in (r"\(4, 6, 2\)", r"\(0, 6, 3\)"):
        with pytest.raises(MediaError, match=f"camera 0 gives no colour picture but uint8 {shape}"):
            feed.read()
    Camera.frames = iter([np.zeros((4, 6, 2), np.uint8)])
    following = start(feed).take(5)
    assert following is not None and following.image[0, 0].tolist() == [7, 8, 9]
