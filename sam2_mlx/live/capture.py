"""The newest frame of a feed: a thread of its own reads, old frames are dropped."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import numpy as np

from sam2_mlx.live.feeds import Feed, FeedEnded
from sam2_mlx.media.errors import MediaError

_RETRY_SECONDS = 1.0
_PAUSE_SECONDS = 0.01


@dataclass(frozen=True)
class Captured:
    """A frame as it came in.

    Attributes:
        number: counts all frames that came in, from zero.
        image: uint8 (H, W, 3) RGB.
        moment: when it came in, in seconds of `time.monotonic`.
    """

    number: int
    image: np.ndarray
    moment: float


class Capture:
    """Reads a feed as fast as it gives frames and keeps the last one only.

    So what is shown is never older than one frame plus the work on it, however slow the work is.

    Args:
        feed: where frames come from; read by the thread of this object only.
        keep_all: wait for each frame to be taken instead of dropping it.

    Attributes:
        problem: what is wrong with the feed at the moment, or None.
        ended: whether the feed is over.
        dropped: frames that came in and were not taken before the next one.
    """

    def __init__(self, feed: Feed, keep_all: bool = False) -> None:
        self._feed = feed
        self._keep_all = keep_all
        self._newest: Captured | None = None
        self._taken = -1
        self._count = 0
        self._change = threading.Condition()
        self._stop = threading.Event()
        self._again = threading.Event()
        self._frozen = False
        self.problem: str | None = None
        self.ended = False
        self.dropped = 0
        self._thread = threading.Thread(target=self._work, name="capture", daemon=True)
        self._thread.start()

    def take(self, timeout: float) -> Captured | None:
        """The newest frame, if there is one within so many seconds that was not taken yet."""
        with self._change:
            self._change.wait_for(self._fresh, timeout)
            if not self._fresh():
                return None
            assert self._newest is not None
            self.dropped += self._newest.number - self._taken - 1
            self._taken = self._newest.number
            self._change.notify_all()
            return self._newest

    def freeze(self, frozen: bool) -> None:
        """Stop or go on: a clip stands still, a camera goes on unseen."""
        with self._change:
            if self._newest is not None and not frozen:
                # What came in meanwhile was not too slow to be shown.
                self._taken = max(self._taken, self._newest.number)
            self._frozen = frozen
            self._change.notify_all()

    def restart(self) -> None:
        """Play a feed that is over from its start."""
        self._again.set()

    def close(self) -> None:
        """Stop the thread and let go of the feed."""
        self._stop.set()
        self._again.set()
        with self._change:
            self._change.notify_all()
        self._thread.join(timeout=5)

    def _fresh(self) -> bool:
        return self._newest is not None and self._newest.number > self._taken

    def _work(self) -> None:
        while not self._stop.is_set():
            self._stand_still()
            try:
                image = self._feed.read()
            except (MediaError, OSError) as problem:
                self.problem = str(problem)
                # A driver may give such frames as fast as they are read.
                self._stop.wait(_PAUSE_SECONDS)
                continue
            except FeedEnded as problem:
                self._wait_for_more(str(problem))
                continue
            self.problem = None
            with self._change:
                if self._keep_all:
                    self._change.wait_for(lambda: self._stop.is_set() or not self._fresh())
                self._newest = Captured(self._count, image, time.monotonic())
                self._count += 1
                self._change.notify_all()
        self._feed.close()

    def _stand_still(self) -> None:
        if self._frozen and not self._feed.retries:
            start = time.monotonic()
            with self._change:
                self._change.wait_for(lambda: self._stop.is_set() or not self._frozen)
            self._feed.paused(time.monotonic() - start)

    def _wait_for_more(self, problem: str) -> None:
        """A camera is tried again and again; a clip waits until it is asked for again."""
        self.problem = problem
        self.ended = not self._feed.retries
        self._again.wait(_RETRY_SECONDS if self._feed.retries else None)
        self._again.clear()
        if self._stop.is_set():
            return
        try:
            self._feed.restart()
        except FeedEnded as still:
            self.problem = str(still)
            return
        self.ended = False
        self.problem = None
