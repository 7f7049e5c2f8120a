"""Everything in a clip: objects of the first frame, new ones later, and none twice."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from drawn import draw_shapes

from sam2_mlx.checkpoints.load import load
from sam2_mlx.commands.clip_masks import Stretch
from sam2_mlx.commands.everything_clip import EverythingClip, find_objects
from sam2_mlx.commands.everything_options import EverythingOptions
from sam2_mlx.commands.stop import StopSignals
from sam2_mlx.media.errors import MediaError
from sam2_mlx.media.frame_source import FrameSource, StreamFormat

OPTIONS = EverythingOptions(points_per_side=4, min_iou=0.3, min_stability=0.4)


class Shapes(FrameSource):
    """The drawn picture, from frame 2 on with its right half; before, the half is plain."""

    def __init__(self, frames: int = 5, broken: int | None = None) -> None:
        self.path = Path("shapes")
        self.num_frames = frames
        self.format = StreamFormat(168, 120, Fraction(24))
        self._broken = broken

    def time(self, index: int) -> Fraction:
        return Fraction(index, 24)

    def name(self, index: int) -> str:
        return f"{index:05d}"

    def read(self, index: int) -> np.ndarray:
        if index == self._broken:
            raise MediaError("frame 3 is damaged")
        picture = draw_shapes()
        if index < 2:
            picture[:, 84:] = picture[0, 84]
        return picture

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def nano():
    """The bundled model."""
    return load("nano", dtype="float32")


def _clip(nano, source: Shapes, stop: StopSignals | None = None, **changes) -> EverythingClip:
    stretch = Stretch(0, 0, source.num_frames - 1)
    return EverythingClip(nano, source, stretch, OPTIONS, stop or StopSignals(), **changes)


def test_objects_are_different_and_new(nano) -> None:
    found = find_objects(nano, draw_shapes(), OPTIONS, 4)
    assert 2 <= len(found) <= 4
    for index, mask in enumerate(found):
        for other in found[:index]:
            assert (mask & other).sum() <= 0.5 * min(mask.sum(), other.sum())
    again = find_objects(nano, draw_shapes(), OPTIONS, 4, known=found[:1])
    assert all((mask & found[0]).sum() <= 0.5 * mask.sum() for mask in again)


def test_objects_of_the_first_frame_are_followed(nano) -> None:
    clip = _clip(nano, Shapes(3), max_objects=3)
    shown = list(clip)
    assert [frame.record.frame for frame in shown] == [0, 1, 2]
    assert 1 <= clip.num_objects <= 3
    assert all(frame.record.masks.shape == (3, 120, 168) for frame in shown)
    assert shown[0].record.masks[: clip.num_objects].any(axis=(1, 2)).all()
    assert not shown[2].record.masks[clip.num_objects :].any()


def test_new_objects_are_found_later(nano) -> None:
    clip = _clip(nano, Shapes(5), max_objects=6, every=2)
    counts = []
    for frame in clip:
        counts.append((frame.record.presence > 0).sum() and clip.num_objects)
    assert counts[0] == counts[1] < counts[2]
    assert clip.num_objects <= 6


def test_a_clip_without_objects_is_an_error_that_helps(nano) -> None:
    class Plain(Shapes):
        def read(self, index: int) -> np.ndarray:
            return np.full((120, 168, 3), 90, np.uint8)

    strict = EverythingOptions(points_per_side=2, min_iou=0.99)
    clip = EverythingClip(nano, Plain(), Stretch(0, 0, 4), strict, StopSignals())
    with pytest.raises(ValueError, match="nothing was found on the first frame; lower --min-iou"):
        list(clip)


def test_damage_and_stopping_keep_the_frames_so_far(nano) -> None:
    clip = _clip(nano, Shapes(5, broken=3), max_objects=1)
    assert len(list(clip)) == 3
    assert "frame 3 is damaged" in str(clip.problem)
    stop = StopSignals()
    clip = _clip(nano, Shapes(5), stop, max_objects=1)
    shown = iter(clip)
    next(shown)
    stop.received = 2
    assert list(shown) == []


@pytest.mark.parametrize("changes", [{"max_objects": 0}, {"max_objects": 300}, {"every": -1}])
def test_limits(nano, changes) -> None:
    with pytest.raises(ValueError, match="between 1 and 255 objects"):
        _clip(nano, Shapes(), **changes)
