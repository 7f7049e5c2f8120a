"""Some frames of a source, as if there were no others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from sam2_mlx.media.frame_source import FrameSource


class StridedFrames(FrameSource):
    """Every n-th frame of a source, each shown until the next one.

    Frames are numbered anew from 0, so whoever looks at neighbouring frames, such as a memory,
    sees those that are n apart. The inner source is not closed.

    Args:
        source: all frames.
        indices: numbers of the frames to keep, rising by `step`.
        step: how far apart they are.
    """

    def __init__(self, source: FrameSource, indices: Sequence[int], step: int) -> None:
        self.path = source.path
        self.format = replace(source.format, frame_rate=source.frame_rate / step)
        self.num_frames = len(indices)
        self.origin = source.origin + source.time(indices[0])
        self.sound = source.sound
        self.notes = source.notes
        self._source = source
        self._indices = indices
        self._end = min(indices[-1] + step, source.num_frames)

    def time(self, index: int) -> Fraction:
        """Exact seconds from frame 0 to a frame."""
        place = self._end if index >= self.num_frames else self._indices[index]
        return self._source.time(place) - self._source.time(self._indices[0])

    def number(self, index: int) -> int:
        """Number of a frame in the file."""
        return self._source.number(self._indices[index])

    def name(self, index: int) -> str:
        """A file name for what belongs to a frame."""
        return self._source.name(self._indices[index])

    def read(self, index: int) -> np.ndarray:
        """One frame; see `FrameSource.read`."""
        return self._source.read(self._indices[self.check_index(index)])

    def decoded(self, index: int) -> Any | None:
        """A frame as the file has it; see `FrameSource.decoded`."""
        return self._source.decoded(self._indices[index])

    def close(self) -> None:
        """Nothing: the source belongs to somebody else."""
