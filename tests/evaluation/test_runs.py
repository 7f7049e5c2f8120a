"""What an object is prompted with, and where the masks of a model come from."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from sam2_mlx.evaluation.annotations import AnnotatedSequence
from sam2_mlx.evaluation.runs import GivenPrompt, ModelMasks


class Sequence(AnnotatedSequence):
    """Two frames; object 1 is on the second only."""

    def __init__(self, overlap: bool) -> None:
        frames: Any = SimpleNamespace(
            num_frames=2, width=12, height=9, read=lambda index: np.zeros((9, 12, 3), np.uint8)
        )
        super().__init__("a", frames)
        self.objects = {1: "1", 2: "2"}
        self.overlap = overlap
        self.annotated = [0, 1]

    annotated: list[int] = []  # type: ignore[assignment]

    def truth(self, frame: int) -> dict[int, np.ndarray]:
        masks = {number: np.zeros((9, 12), bool) for number in self.objects}
        masks[2][2:7, 3:8] = True
        if frame == 1:
            masks[1][4, 9] = True
        return masks

    def scored(self, object_id: int) -> frozenset[int]:
        return frozenset()

    save = load = None  # type: ignore[assignment]


class Session:
    """Notes prompts, and shows an object wherever one was made."""

    made: list[Session] = []

    def __init__(self, model: Any, **options: Any) -> None:
        self.options = options["options"]
        self.prompts: list[tuple[int, int, dict[str, Any]]] = []
        self.frame = -1
        Session.made.append(self)

    def step(self, image: np.ndarray) -> SimpleNamespace:
        self.frame += 1
        return self._masks()

    def prompt(self, number: int, **prompt: Any) -> SimpleNamespace:
        self.prompts.append((self.frame, number, copy.deepcopy(prompt)))
        return self._masks()

    def _masks(self) -> SimpleNamespace:
        ids = tuple(dict.fromkeys(number for _, number, _ in self.prompts))
        return SimpleNamespace(object_ids=ids, logits=mx.ones((len(ids), 1, 9, 12)))


@pytest.fixture
def follow(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sam2_mlx.evaluation.runs.TrackingSession", Session)

    def run(prompt: str, overlap: bool = False) -> tuple[Session, list]:
        masks = ModelMasks(None, GivenPrompt.parse(prompt))  # type: ignore[arg-type]
        results = list(masks.follow(Sequence(overlap)))
        return Session.made[-1], results

    return run


def test_a_box_ends_on_the_outermost_pixels(follow) -> None:
    session, _ = follow("box")
    assert session.prompts == [(0, 2, {"box": (3, 2, 7, 6)}), (1, 1, {"box": (9, 4, 9, 4)})]


def test_each_object_is_prompted_where_it_first_appears(follow) -> None:
    session, results = follow("mask")
    assert [(frame, number) for frame, number, _ in session.prompts] == [(0, 2), (1, 1)]
    assert [sorted(result.prompted) for result in results] == [[2], [1]]
    # One that was not prompted yet has an empty mask.
    assert not results[0].masks[1].any() and results[0].masks[2].all()


def test_further_clicks_correct_what_is_wrong(follow) -> None:
    session, _ = follow("clicks=3")
    first, second, third = (prompt for frame, _, prompt in session.prompts if frame == 0)
    assert first["points"] == [(5, 4)] and first["labels"] == [1]
    # The stand-in covers everything, so all that is around the object is too much.
    assert second["labels"] == [1, 0] and third["labels"] == [1, 0, 0]


def test_objects_overlap_where_the_layout_lets_them(follow) -> None:
    assert follow("mask")[0].options.non_overlap_masks
    assert not follow("mask", overlap=True)[0].options.non_overlap_masks
