"""Decode ahead in a worker thread while the model works on the frame before."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from fractions import Fraction
from queue import Empty, Full, Queue

import numpy as np

from .frame_source import FrameSource

_POLL_SECONDS = 0.1


class Prefetch(FrameSource):
    """A source that reads another one ahead in a known order.

    Frames read in that order come from the worker; any other frame is read at once. Only one
    thread may call `read`. The inner source is not closed.

    Args:
        source: where the frames come from; nobody else may read it until `close`.
        order: numbers of the frames in the order they will be asked for.
        depth: how many frames may wait.
    """

    def __init__(self, source: FrameSource, order: Sequence[int], depth: int = 3) -> None:
        self.path = source.path
        self.format = source.format
        self.num_frames = source.num_frames
        self.origin = source.origin
        self.has_audio = source.has_audio
        self.note = source.note
        self._source = source
        self._order = order
        self._place = 0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._ready: Queue[np.ndarray | Exception] = Queue(depth)
        # A prompt, the tracker and the drawing all look at the same frame.
        self._recent: OrderedDict[int, np.ndarray] = OrderedDict()
        self._worker = threading.Thread(target=self._work, name="decode", daemon=True)
        self._worker.start()

    def time(self, index: int) -> Fraction:
        """Exact seconds from frame 0 to a frame."""
        return self._source.time(index)

    def name(self, index: int) -> str:
        """A file name for what belongs to a frame."""
        return self._source.name(index)

    def read(self, index: int) -> np.ndarray:
        """One frame; see `FrameSource.read`."""
        if index in self._recent:
            return self._recent[index]
        frame: np.ndarray | None
        if self._place < len(self._order) and self._order[self._place] == index:
            self._place += 1
            frame = self._take()
        else:
            frame = None
        if frame is None:
            with self._lock:
                frame = self._source.read(index)
        self._recent[index] = frame
        while len(self._recent) > 2:
            self._recent.popitem(last=False)
        return frame

    def close(self) -> None:
        """Stop the worker."""
        self._stop.set()
        while self._worker.is_alive():
            try:
                self._ready.get_nowait()
            except Empty:
                pass
            self._worker.join(_POLL_SECONDS)
        self._recent.clear()

    def _take(self) -> np.ndarray | None:
        """The next frame of the worker; None if it has ended."""
        while True:
            alive = self._worker.is_alive()
            try:
                item = self._ready.get(timeout=_POLL_SECONDS)
            except Empty:
                if not alive:
                    return None
                continue
            if isinstance(item, Exception):
                raise item
            return item

    def _work(self) -> None:
        for index in self._order:
            item: np.ndarray | Exception
            try:
                with self._lock:
                    item = self._source.read(index)
            # Whatever it is, the reading thread is the one to hear of it.
            except (ValueError, OSError, IndexError, MemoryError) as problem:
                item = problem
            while not self._stop.is_set():
                try:
                    self._ready.put(item, timeout=_POLL_SECONDS)
                    break
                except Full:
                    continue
            if self._stop.is_set() or isinstance(item, Exception):
                return
