"""Each n-th frame of a clip, as a clip of its own."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from sam2_mlx.media import open_frames
from sam2_mlx.media.strided import StridedFrames
from tests.media.media_clips import Recipe, make_clip, read_number


def test_every_fourth_frame(tmp_path: Path) -> None:
    with open_frames(make_clip(tmp_path / "a.mp4", Recipe(frames=12))) as source:
        every = StridedFrames(source, [2, 6, 10], 4)
        assert every.num_frames == 3 and every.frame_rate == source.frame_rate / 4
        assert [read_number(every.read(index)) for index in range(3)] == [2, 6, 10]
        assert [every.number(index) for index in range(3)] == [2, 6, 10]
        step = 1 / source.frame_rate
        # The last one is shown as long as there are frames.
        assert [every.time(index) for index in range(4)] == [0, 4 * step, 8 * step, 10 * step]
        assert every.origin == source.origin + 2 * step and isinstance(step, Fraction)
        with pytest.raises(IndexError):
            every.read(3)
        every.close()
        assert np.array_equal(every.read(0), source.read(2))
