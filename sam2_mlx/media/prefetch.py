"""Decode ahead in a worker thread while the model works on the frame before."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from sam2_mlx.media.frame_source import FrameSource
from sam2_mlx.media.read_ahead import ReadAhead


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
        self._lock = threading.Lock()
        # A prompt, the tracker and the drawing all look at the same frame.
        self._recent: OrderedDict[int, np.ndarray] = OrderedDict()
        self._ahead = ReadAhead(self._read_now, order, depth)

    def time(self, index: int) -> Fraction:
        """Exact seconds from frame 0 to a frame."""
        return self._source.time(index)

    def name(self, index: int) -> str:
        """A file name for what belongs to a frame."""
        return self._source.name(index)

    def number(self, index: int) -> int:
        """Number of a frame in the file."""
        return self._source.number(index)

    def read(self, index: int) -> np.ndarray:
        """One frame; see `FrameSource.read`."""
        if index in self._recent:
            return self._recent[index]
        frame = self._ahead.take(index)
        if frame is None:
            frame = self._read_now(index)
        self._recent[index] = frame
        while len(self._recent) > 2:
            self._recent.popitem(last=False)
        return frame

    def close(self) -> None:
        """Stop the worker."""
        self._ahead.close()
        self._recent.clear()

    def _read_now(self, index: int) -> np.ndarray:
        with self._lock:
            return self._source.read(index)
