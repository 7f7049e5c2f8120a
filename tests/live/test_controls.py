"""What clicks and keys mean."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
import pytest

from sam2_mlx.live.controls import HELP, Action, Button, Controls
from sam2_mlx.tracking.results import FrameMasks


class FakeSession:
    """Notes prompts."""

    def __init__(self) -> None:
        self.objects: list[int] = []
        self.prompts: list[tuple[int, Any, Any, Any]] = []

    @property
    def object_ids(self) -> tuple[int, ...]:
        return tuple(self.objects)

    def prompt(self, object_id: int, *, points: Any, labels: Any, box: Any) -> FrameMasks:
        if object_id not in self.objects:
            self.objects.append(object_id)
        self.prompts.append((object_id, points and list(points), labels and list(labels), box))
        empty = mx.zeros((0,))
        return FrameMasks(0, (), mx.zeros((0, 1, 4, 4)), empty, empty, (4, 4))

    def remove(self, object_id: int) -> bool:
        self.objects.remove(object_id)
        return True


@pytest.fixture
def session() -> FakeSession:
    return FakeSession()


@pytest.fixture
def controls(session: FakeSession) -> Controls:
    return Controls(session)


def click(controls: Controls, x: float, y: float, shift: bool = False) -> None:
    controls.mouse(Button.PRESS, x, y, shift)
    controls.mouse(Button.RELEASE, x, y, shift)


def test_each_click_adds_an_object(controls: Controls, session: FakeSession) -> None:
    click(controls, 10, 20)
    click(controls, 50, 60)
    assert session.prompts == [(1, [(10, 20)], [1], None), (2, [(50, 60)], [1], None)]
    assert controls.take_answer() is not None
    assert controls.take_answer() is None


def test_negative_points_go_to_the_object_touched_last(
    controls: Controls, session: FakeSession
) -> None:
    click(controls, 10, 20)
    click(controls, 12, 22, shift=True)
    controls.mouse(Button.RIGHT_PRESS, 14, 24)
    # Points on one frame add up.
    assert session.prompts[-1] == (1, [(10, 20), (12, 22), (14, 24)], [1, 0, 0], None)
    assert session.objects == [1]


def test_points_of_an_earlier_frame_are_not_repeated(
    controls: Controls, session: FakeSession
) -> None:
    click(controls, 10, 20)
    controls.new_frame()
    click(controls, 30, 20, shift=True)
    assert session.prompts[-1] == (1, [(30, 20)], [0], None)


def test_a_negative_point_without_an_object_is_refused(
    controls: Controls, session: FakeSession
) -> None:
    controls.mouse(Button.RIGHT_PRESS, 10, 10)
    assert session.prompts == []
    assert "add or choose" in controls.message


def test_a_drag_is_a_box_in_any_direction(controls: Controls, session: FakeSession) -> None:
    controls.mouse(Button.PRESS, 80, 70)
    controls.mouse(Button.MOVE, 40, 30)
    assert controls.dragged == (40, 30, 80, 70)
    controls.mouse(Button.RELEASE, 20, 10)
    assert session.prompts == [(1, None, None, (20, 10, 80, 70))]
    assert controls.dragged is None
    # A point after the box refines it.
    controls.mouse(Button.RIGHT_PRESS, 30, 30)
    assert session.prompts[-1] == (1, [(30, 30)], [0], (20, 10, 80, 70))


def test_a_drag_with_shift_takes_away_where_it_ends(
    controls: Controls, session: FakeSession
) -> None:
    click(controls, 10, 20)
    controls.mouse(Button.PRESS, 80, 70, shift=True)
    controls.mouse(Button.RELEASE, 20, 10, shift=True)
    assert session.prompts[-1] == (1, [(10, 20), (20, 10)], [1, 0], None)


def test_an_object_that_is_gone_takes_no_negative_points(
    controls: Controls, session: FakeSession
) -> None:
    click(controls, 10, 20)
    click(controls, 50, 60)
    session.remove(2)
    controls.mouse(Button.RIGHT_PRESS, 12, 22)
    assert session.prompts[2:] == [] and "add or choose" in controls.message
    controls.key("1")
    controls.mouse(Button.RIGHT_PRESS, 12, 22)
    assert session.prompts[-1][0] == 1


def test_a_shaky_click_is_a_click(controls: Controls, session: FakeSession) -> None:
    controls.mouse(Button.PRESS, 40, 40)
    controls.mouse(Button.MOVE, 43, 42)
    controls.mouse(Button.RELEASE, 43, 42)
    assert session.prompts == [(1, [(43, 42)], [1], None)]


def test_a_release_from_elsewhere_is_nothing(controls: Controls, session: FakeSession) -> None:
    controls.mouse(Button.RELEASE, 40, 40)
    assert session.prompts == []


def test_numbers_choose_objects(controls: Controls, session: FakeSession) -> None:
    controls.key("3")
    assert "new" in controls.message
    click(controls, 1, 1)
    click(controls, 2, 2)
    assert session.objects == [3]
    controls.key("0")
    click(controls, 5, 5)
    # The lowest free number.
    assert session.objects == [3, 1]
    controls.key("3")
    controls.mouse(Button.RIGHT_PRESS, 9, 9)
    assert session.prompts[-1][0] == 3


def test_x_removes_the_chosen_or_the_last_object(controls: Controls, session: FakeSession) -> None:
    for place in (10, 20, 30):
        click(controls, place, place)
    controls.key("1")
    controls.key("x")
    assert session.objects == [2, 3]
    controls.key("x")
    assert session.objects == [2]
    controls.key("x")
    controls.key("x")
    assert session.objects == []
    assert "no object" in controls.message
    # Numbers are given anew, and nothing of the old object is left.
    click(controls, 7, 7)
    assert session.prompts[-1] == (1, [(7, 7)], [1], None)


def test_other_keys(controls: Controls) -> None:
    assert controls.key(" ") is Action.FREEZE and controls.frozen
    assert controls.key(" ") is Action.FREEZE and not controls.frozen
    controls.key("h")
    assert controls.help
    assert controls.key("r") is Action.RECORD
    assert controls.key("s") is Action.SAVE
    assert controls.key("q") is controls.key("\x1b") is Action.QUIT
    assert controls.key("z") is controls.key("") is Action.NOTHING


def test_every_key_is_explained() -> None:
    assert {key for key, _ in HELP} >= {"x", "space", "r", "s", "h", "q"}
