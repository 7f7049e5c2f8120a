"""Frames read, resized and encoded ahead: same masks, same errors, no thread left."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from sam2_mlx.media.read_ahead import ReadAhead
from sam2_mlx.tracking.options import TrackingOptions
from sam2_mlx.tracking.session import TrackingSession
from tests.tiny import ToyClip

CLICK = {"points": [[20, 30]], "labels": [1]}


class BrokenClip(ToyClip):
    """A clip that ends in the middle of frame 5."""

    def read(self, index: int) -> np.ndarray:
        if index == 5:
            raise ValueError("frame 5 is damaged")
        return super().read(index)


class WatchedClip(ToyClip):
    """A clip that knows who reads it, and that no two read at once."""

    def __init__(self, num_frames: int) -> None:
        super().__init__(num_frames)
        self.readers: set[str] = set()
        self._lock = threading.Lock()

    def read(self, index: int) -> np.ndarray:
        assert self._lock.acquire(blocking=False), "two threads read at once"
        self.readers.add(threading.current_thread().name)
        frame = super().read(index)
        self._lock.release()
        return frame


def _session(model, clip: ToyClip, depth: int) -> TrackingSession:
    session = TrackingSession(model, clip, options=TrackingOptions(read_ahead=depth))
    session.prompt(1, frame=0, **CLICK)
    return session


@pytest.mark.parametrize("reverse", [False, True])
def test_reading_ahead_changes_no_mask(model, reverse: bool) -> None:
    results, plain = [], ToyClip(16)
    for depth in (0, 1, 4):
        clip = WatchedClip(16)
        session = TrackingSession(model, clip, options=TrackingOptions(read_ahead=depth))
        session.prompt(1, frame=15 if reverse else 0, **CLICK)
        shown = []
        for masks in session.propagate(reverse=reverse):
            np.testing.assert_array_equal(session.image, plain.read(masks.frame))
            shown.append(np.array(masks.logits))
        assert ("read-ahead" in clip.readers) == (depth > 0)
        results.append(np.stack(shown))
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


@pytest.mark.parametrize("depth", [0, 2])
def test_damage_ends_after_the_last_good_frame(model, depth: int) -> None:
    session = _session(model, BrokenClip(10), depth)
    seen = []
    with pytest.raises(ValueError, match="frame 5 is damaged"):
        for masks in session.propagate():
            seen.append(masks.frame)
            np.array(masks.logits)
    assert seen == [0, 1, 2, 3, 4]
    # The session lives on: the good part can be followed again.
    assert len(list(session.propagate(length=3))) == 4


def test_a_loop_left_early_leaves_no_thread(model) -> None:
    before = threading.active_count()
    clip = ToyClip(300)
    session = _session(model, clip, 3)
    for masks in session.propagate():
        if masks.frame == 4:
            break
    # CPython closes the generator as soon as nobody holds it.
    assert threading.active_count() == before
    assert len(clip.reads) < 15


def test_a_prompt_amid_the_loop_finds_its_frame(model) -> None:
    clip = WatchedClip(20)
    session = _session(model, clip, 3)
    for masks in session.propagate():
        if masks.frame == 6:
            np.testing.assert_array_equal(session.image, ToyClip(20).read(6))
            shown = session.prompt(2, points=[[50, 30]], labels=[1])
            assert shown.object_ids == (1, 2)
        if masks.frame == 8:
            session.prompt(3, frame=2, points=[[50, 30]], labels=[1])


class SlowClip(ToyClip):
    """A clip whose frame 3 takes the worker long, or until somebody else reads as well."""

    def __init__(self, num_frames: int) -> None:
        super().__init__(num_frames)
        self.begun, self._another = threading.Event(), threading.Event()
        self.alone: bool | None = None

    def read(self, index: int) -> np.ndarray:
        if index == 3:
            self.begun.set()
            self.alone = not self._another.wait(0.3)
        elif self.begun.is_set():
            self._another.set()
        return super().read(index)


def test_a_frame_out_of_turn_waits_for_the_worker(model) -> None:
    clip = SlowClip(8)
    session = _session(model, clip, 3)
    for _ in session.propagate():
        assert clip.begun.wait(10)
        session.prompt(2, frame=6, points=[[50, 30]], labels=[1])
        break
    assert clip.alone


def test_the_queue_is_bounded() -> None:
    reads: list[int] = []
    ahead = ReadAhead(lambda i: reads.append(i) or i, range(100), depth=3)
    assert ahead.take(0) == 0
    for _ in range(1000):
        if len(reads) >= 5:
            break
        threading.Event().wait(0.01)
    threading.Event().wait(0.05)
    # Three wait, and one more is in the worker's hand.
    assert reads == [0, 1, 2, 3, 4]
    assert ahead.take(7) is None
    assert ahead.take(1) == 1
    ahead.close()
