"""Masks drawn on what was decoded: as drawn in RGB, and nothing else changed."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sam2_mlx.media import demo_clip, open_frames
from sam2_mlx.media.overlay import draw_masks, draw_on_decoded
from sam2_mlx.media.sinks import ShownFrame, VideoSink
from sam2_mlx.media.video_reader import _DECODED
from sam2_mlx.media.yuv import planes_of, rgb_to_yuv420
from tests.media.media_clips import Recipe, make_clip, set_rotation

SIZE = (360, 640)


def tagged(matrix: str, more: str = "", **kind: Any) -> Recipe:
    tags = f"colorprim={matrix}:transfer={matrix}:colormatrix={matrix}{more}"
    return Recipe(options={"x264-params": tags}, **kind)


def masks_of(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    masks = np.zeros((len(boxes), *SIZE), bool)
    for mask, (top, left, bottom, right) in zip(masks, boxes, strict=True):
        mask[top:bottom, left:right] = True
    return masks


@pytest.mark.parametrize(
    "boxes",
    [
        ((101, 203, 150, 300),),
        ((101, 203, 150, 300), (120, 250, 200, 351), (0, 0, 0, 0)),
        ((0, 0, 33, 33),),
        ((301, 599, 360, 640),),
        ((0, 0, 360, 640),),
        ((0, 0, 0, 0),),
        (),
    ],
)
def test_it_is_drawn_as_in_rgb_and_the_rest_stays(boxes: tuple[Any, ...]) -> None:
    masks = masks_of(*boxes)
    with open_frames(demo_clip()) as source:
        image, decoded = source.read(7), source.decoded(7)
        before = decoded.to_ndarray()
        drawn = planes_of(draw_on_decoded(decoded, image, masks, source.format.colors.matrix))
        expected = planes_of(rgb_to_yuv420(draw_masks(image, masks), source.format.colors.matrix))
        assert np.array_equal(decoded.to_ndarray(), before)
    margin = 4  # the outline, and up to whole pixels of colour
    touched = np.zeros(SIZE, bool)
    if masks.any():
        rows, columns = np.nonzero(masks.any(axis=0))
        top, left = (max(0, places.min() - margin) for places in (rows, columns))
        touched[top : rows.max() + margin + 1, left : columns.max() + margin + 1] = True
    for plane, right, source_plane, step in zip(
        drawn, expected, planes_of(decoded), (1, 2, 2), strict=True
    ):
        changed = plane != source_plane
        assert not changed[~touched[::step, ::step] & ~touched[step - 1 :: step, ::step]].any()
        for mask in masks:
            inside = mask[::step, ::step] & mask[step - 1 :: step, step - 1 :: step]
            assert np.array_equal(plane[inside], right[inside])


@pytest.mark.parametrize(
    ("recipe", "usable"),
    [
        (tagged("bt709"), True),
        (tagged("smpte170m"), True),
        (Recipe(), False),  # read as BT.601, and written as BT.709
        (tagged("bt709", ":fullrange=on"), False),
        (tagged("bt709", codec="mpeg4"), False),
    ],
)
def test_only_what_is_written_alike_is_used(tmp_path: Path, recipe: Recipe, usable: bool) -> None:
    with open_frames(make_clip(tmp_path / "clip.mkv", recipe)) as source:
        image = source.read(3)
        decoded = source.decoded(3)
        assert (decoded is not None) == usable
        if usable:
            back = planes_of(rgb_to_yuv420(image, source.format.colors.matrix))
            off = np.abs(planes_of(decoded)[0].astype(int) - back[0])
            assert off.mean() < 1.5


def test_a_turned_clip_is_not(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mp4", tagged("bt709"))
    with open_frames(path) as source:
        assert source.read(2) is not None and source.decoded(2) is not None
    set_rotation(path, (0, 1, -1, 0))
    with open_frames(path) as source:
        assert source.read(2) is not None and source.decoded(2) is None


def test_only_the_last_ones_are_kept() -> None:
    with open_frames(demo_clip()) as source:
        for index in range(_DECODED + 2):
            source.read(index)
        assert source.decoded(1) is None and source.decoded(2) is not None
        assert source.decoded(_DECODED + 5) is None


def test_a_clip_is_written_so() -> None:
    class Writer:
        written: list[Any] = []

        def start_sound_at(self, origin: Fraction) -> None: ...

        def write(self, frame: Any, time: Fraction, duration: Fraction) -> None:
            self.written.append(frame)

    masks, one = masks_of((101, 203, 150, 300)), np.ones(1, np.float32)
    with open_frames(demo_clip()) as source:
        sink = VideoSink(Writer(), source, alone=False)  # type: ignore[arg-type]
        for index in range(2):
            image = source.read(index)
            sink.add(ShownFrame(index, f"{index}", (1,), masks, one, one, index, image))
        (first, second), luma = Writer.written, planes_of(source.decoded(1))[0]
        assert (planes_of(second)[0] == luma).mean() > 0.95
        assert (planes_of(second)[0] != luma)[101:150, 203:300].mean() > 0.9
        assert (planes_of(first)[0] != planes_of(second)[0]).any()
