"""A stand-in for the model: every object is a disc that follows the clip's own drift."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import mlx.core as mx
import numpy as np

from sam2_mlx.prompts import Prompt
from sam2_mlx.tracking.options import TrackingOptions
from sam2_mlx.tracking.results import FrameMasks

SIZE = (96, 64)  # of the clip, width and height
RADIUS = 10
DRIFT = 1.5  # pixels a frame, to the right


class FakeSession:
    """Has the interface of a tracking session, and remembers what it was asked.

    Attributes:
        opened: every session since `reset`.
        on_frame: called with the number of each frame before its masks are given.
    """

    opened: list[FakeSession] = []
    on_frame: Callable[[int], None] = staticmethod(lambda frame: None)

    def __init__(
        self, model: Any, source: Any = None, *, memory: str, options: TrackingOptions
    ) -> None:
        self.model = model
        self.source = source
        self.memory = memory
        self.options = options
        self.image = np.zeros((0, 0, 3), np.uint8)
        self.prompts: dict[int, Prompt] = {}
        self.prompted: dict[int, int] = {}  # the frame of each
        self.given: list[tuple[int, int, Prompt]] = []
        self.passes: list[tuple[int, int, bool]] = []
        self.commits = 0
        FakeSession.opened.append(self)

    @classmethod
    def reset(cls) -> None:
        cls.opened = []
        cls.on_frame = staticmethod(lambda frame: None)

    @property
    def object_ids(self) -> tuple[int, ...]:
        return tuple(self.prompts)

    def add(self, object_id: int, frame: int, prompt: Prompt) -> None:
        self.source.read(frame)
        self.prompts[object_id] = prompt
        self.prompted[object_id] = frame
        self.given.append((object_id, frame, prompt))

    def propagate(self, start: int, length: int, reverse: bool = False) -> Iterator[FrameMasks]:
        self.passes.append((start, length, reverse))
        step = -1 if reverse else 1
        for frame in range(start, start + step * (length + 1), step):
            FakeSession.on_frame(frame)
            self.image = self.source.read(frame)
            yield self.masks_on(frame)

    def commit(self) -> None:
        self.commits += 1

    def masks_on(self, frame: int) -> FrameMasks:
        y, x = np.mgrid[: self.source.height, : self.source.width]
        logits = []
        for object_id, prompt in self.prompts.items():
            cx, cy = _centre(prompt, (self.source.width, self.source.height))
            cx += DRIFT * (frame - self.prompted[object_id])
            logits.append(RADIUS**2 - (x - cx) ** 2 - (y - cy) ** 2)
        count = len(logits)
        stack = mx.array(np.array(logits, np.float32)[:, None])
        ids = tuple(self.prompts)
        scores, presence = mx.full((count,), 0.9), mx.full((count,), 5.0)
        return FrameMasks(frame, ids, stack, scores, presence, stack.shape[-2:])


def fake_model(choice: Any) -> SimpleNamespace:
    """In place of `load_model`."""
    return SimpleNamespace(choice=choice)


def disc(x: float, y: float, radius: float = RADIUS) -> np.ndarray:
    """The mask of an object whose centre is there: bool (64, 96)."""
    rows, columns = np.mgrid[: SIZE[1], : SIZE[0]]
    return (columns - x) ** 2 + (rows - y) ** 2 < radius**2


def _centre(prompt: Prompt, size: tuple[int, int]) -> np.ndarray:
    if prompt.mask is not None:
        rows, columns = np.nonzero(prompt.mask)
        return np.array([columns.mean(), rows.mean()])
    points = prompt.points[0] * size
    # The corners of a box come first.
    return points[:2].mean(axis=0) if prompt.has_box else points[0]
