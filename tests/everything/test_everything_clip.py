"""Everything in a clip: objects of the first frame, new ones later, and none twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from sam2_mlx.checkpoints.load import load
from sam2_mlx.cli.everything_clip import find_objects, follow_everything
from sam2_mlx.cli.everything_options import ClipSearch, EverythingOptions
from sam2_mlx.cli.follow import DamagedClip, Following, Stretch, Watch, open_session
from sam2_mlx.cli.stop import StopSignals
from sam2_mlx.media.errors import MediaError
from sam2_mlx.media.frame_source import FrameSource, StreamFormat
from sam2_mlx.media.sinks import ShownFrame
from sam2_mlx.model.sam import Sam
from tests.everything.drawn import draw_shapes

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


class Clip:
    """A clip that is followed, and the session that follows it."""

    def __init__(self, nano, source: Shapes, memory: str = "rolling", **changes) -> None:
        self.stop = StopSignals()
        search = ClipSearch(changes.pop("options", OPTIONS), **changes)
        self.session = open_session(nano, source, Following(memory, search=search))
        stretch = Stretch(0, 0, source.num_frames - 1)
        self.bar = Mock()
        self._frames = follow_everything(self.session, search, stretch, Watch(self.bar, self.stop))

    @property
    def num_objects(self) -> int:
        return len(self.session.object_ids)

    def __iter__(self) -> Iterator[ShownFrame]:
        return self._frames


def test_objects_are_different_and_new(nano) -> None:
    found = find_objects(nano, draw_shapes(), OPTIONS, 4)
    assert 2 <= len(found) <= 4
    for index, mask in enumerate(found):
        for other in found[:index]:
            assert (mask & other).sum() <= 0.5 * min(mask.sum(), other.sum())
    again = find_objects(nano, draw_shapes(), OPTIONS, 4, followed=found[:1])
    assert all((mask & found[0]).sum() <= 0.5 * mask.sum() for mask in again)


def test_objects_of_the_first_frame_are_followed(nano) -> None:
    clip = Clip(nano, Shapes(3), max_objects=3)
    shown = list(clip)
    assert [frame.frame for frame in shown] == [0, 1, 2]
    count = clip.num_objects
    assert 1 <= count <= 3
    assert all(frame.object_ids == tuple(range(1, count + 1)) for frame in shown)
    assert clip.bar.update.call_count == 3
    assert all(frame.masks.shape == (count, 120, 168) for frame in shown)
    assert all(frame.masks.any(axis=(1, 2)).all() for frame in shown)


def test_all_objects_of_a_frame_are_one_batch(nano, monkeypatch) -> None:
    batches = []

    def counted(model, features, memory):
        answer = track_candidates(model, features, memory)
        batches.append(len(answer[0].iou))
        return answer

    track_candidates = Sam.track_candidates
    monkeypatch.setattr(Sam, "track_candidates", counted)
    clip = Clip(nano, Shapes(3), max_objects=5)
    assert len(list(clip)) == 3
    # The first frame's masks are what was found there; each frame after it is one batch.
    assert batches == [clip.num_objects] * 2 and clip.num_objects > 1


def test_new_objects_are_found_later(nano) -> None:
    # Sure ones only: a doubtful piece of the plain half would cover what appears there.
    sure = replace(OPTIONS, min_iou=0.5)
    clip = Clip(nano, Shapes(5), max_objects=6, every=2, options=sure)
    counts, present = [], []
    for frame in clip:
        counts.append(clip.num_objects)
        present.append(int(frame.masks.any(axis=(1, 2)).sum()))
        assert frame.masks.shape == (6, 120, 168)
        known = frame.presence[: clip.num_objects]
        assert (frame.presence[clip.num_objects :] < 0).all() and len(known)
    assert counts[0] == counts[1] < counts[2] <= 6
    # They are followed after the frame that they were found on, too.
    assert present[3] > present[1]


def test_nothing_new_is_added_when_there_is_no_room(nano) -> None:
    clip = Clip(nano, Shapes(5), max_objects=1, every=2)
    assert len(list(clip)) == 5 and clip.num_objects == 1


class Plain(Shapes):
    """Nothing to see before frame 2."""

    def read(self, index: int) -> np.ndarray:
        return draw_shapes() if index >= 2 else np.full((120, 168, 3), 90, np.uint8)


STRICT = EverythingOptions(points_per_side=4, min_iou=0.6, min_stability=0.8)


def test_a_clip_without_objects_is_an_error_that_helps(nano) -> None:
    clip = Clip(nano, Plain(), options=STRICT)
    with pytest.raises(ValueError, match="nothing was found on the first frame; lower --min-iou"):
        list(clip)


def test_a_clip_may_begin_without_objects(nano) -> None:
    clip = Clip(nano, Plain(), options=STRICT, every=2, max_objects=4)
    shown = list(clip)
    assert [frame.frame for frame in shown] == [0, 1, 2, 3, 4]
    seen = [bool(frame.masks.any()) for frame in shown]
    assert seen == [False, False, True, True, True]
    assert np.array_equal(shown[0].image, Plain().read(0)) and clip.num_objects


def test_the_memory_is_the_one_asked_for(nano) -> None:
    clip = Clip(nano, Shapes(2), "distractor-aware", max_objects=2)
    assert len(list(clip)) == 2 and clip.session.memory == "distractor-aware"
    assert clip.session.options.non_overlap_masks


def test_damage_and_stopping_keep_the_frames_so_far(nano) -> None:
    clip = iter(Clip(nano, Shapes(5, broken=3), max_objects=1))
    assert [next(clip).index for _ in range(3)] == [0, 1, 2]
    with pytest.raises(DamagedClip, match="frame 3 is damaged"):
        next(clip)
    clip = Clip(nano, Shapes(5), max_objects=1)
    next(iter(clip))
    clip.stop.received = 2
    assert list(clip) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_objects": 0}, "--max-objects must be between 1 and 255; got 0"),
        ({"max_objects": 300}, "got 300"),
        ({"every": -1}, "--find-every must be at least 0; got -1"),
    ],
)
def test_limits(changes, message) -> None:
    with pytest.raises(ValueError, match=message):
        ClipSearch(OPTIONS, **changes)
