"""What is counted of the frames, and what becomes of a video without one."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np

from sam2_mlx.cli.arguments import FORMATS
from sam2_mlx.cli.sinks import Tally
from sam2_mlx.media.encodings import ENCODINGS
from sam2_mlx.media.sinks import ShownFrame, VideoSink


class Writer:
    """Notes what is asked of it."""

    sound_problem = None

    def __init__(self) -> None:
        self.frames = 0
        self.calls: list[str] = []

    def start_sound_at(self, origin: Fraction) -> None:
        self.calls.append(f"sound from {origin}")

    def write(self, frame: np.ndarray, time: Fraction, duration: Fraction) -> None:
        self.frames += 1
        self.calls.append(f"{time} for {duration}")

    def finish(self) -> None:
        self.calls.append("finish")

    def abort(self) -> None:
        self.calls.append("abort")


def shown(index: int, *visible: bool) -> ShownFrame:
    """A frame on which some of the objects 1, 2, ... are visible."""
    masks = np.zeros((len(visible), 4, 6), bool)
    masks[np.array(visible)] = True
    scores = np.ones(len(visible))
    ids = tuple(range(1, len(visible) + 1))
    image = np.zeros((4, 6, 3), np.uint8)
    values: dict[str, Any] = {"frame": index, "name": f"{index}", "object_ids": ids}
    return ShownFrame(**values, masks=masks, iou=scores, presence=scores, index=index, image=image)


def test_times_count_from_the_first_frame_that_is_written() -> None:
    source: Any = SimpleNamespace(
        origin=Fraction(2), time=lambda index: Fraction(index, 10), decoded=lambda index: None
    )
    writer = Writer()
    sink = VideoSink(writer, source, alone=False)
    for index in (7, 8):
        sink.add(shown(index, True))
    sink.finish()
    assert writer.calls == ["sound from 27/10", "0 for 1/10", "1/10 for 1/10", "finish"]


def test_without_a_frame_there_is_no_video() -> None:
    source: Any = SimpleNamespace()
    writer = Writer()
    VideoSink(writer, source, alone=False).finish()
    assert writer.calls == ["abort"]


def test_objects_are_counted_and_those_that_were_not_there_are_named() -> None:
    prompts: list[Any] = [SimpleNamespace(frame=5, object_id=number) for number in (1, 2)]
    tally = Tally(prompts, search=False)
    for index, visible in ((4, (True, True, False)), (5, (True, False, False)), (6, (True,) * 3)):
        tally.add(shown(index, *visible))
    assert list(tally.missed) == [2] and tally.frames == 3
    assert str(tally) == "object 1 on 3, object 2 on 2, object 3 on 1"


def test_the_command_offers_every_form() -> None:
    assert tuple(ENCODINGS) == FORMATS
