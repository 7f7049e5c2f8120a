"""Mouse and keys: what a click means, apart from any window."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING

from sam2_mlx.tracking.results import FrameMasks

if TYPE_CHECKING:
    from sam2_mlx.tracking.session import TrackingSession

# A mouse that moved less than this between press and release was clicked, not dragged.
_DRAG_PIXELS = 5

HELP = (
    ("click", "add an object; more of it, if one is chosen"),
    ("shift-click", "this does not belong to it; right click too"),
    ("drag", "a box around an object"),
    ("1 to 9", "choose an object; 0 chooses none"),
    ("x", "remove the object"),
    ("space", "freeze, and go on"),
    ("r", "record"),
    ("s", "save the masks of this frame"),
    ("h", "show or hide the keys"),
    ("q", "quit"),
)
"""Keys and what they do."""


class Button(Enum):
    """What happened to the mouse."""

    PRESS = auto()
    MOVE = auto()
    RELEASE = auto()
    RIGHT_PRESS = auto()


class Action(Enum):
    """What the window has to do after a key."""

    NOTHING = auto()
    QUIT = auto()
    RECORD = auto()
    SAVE = auto()
    FREEZE = auto()


_ACTIONS = {
    " ": Action.FREEZE,
    "r": Action.RECORD,
    "s": Action.SAVE,
    "q": Action.QUIT,
    "\x1b": Action.QUIT,
}


@dataclass
class _Pointing:
    """What was pointed at on the frame shown, for one object."""

    points: list[tuple[float, float]] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    box: tuple[float, float, float, float] | None = None


class Controls:
    """Turns mouse events and keys into prompts of a session.

    Attributes:
        chosen: object that clicks belong to, or None: a click adds an object.
        last: object touched last; negative points and `x` go to it where none is chosen.
        frozen: whether the picture stands still.
        help: whether the keys are shown.
        message: something the user should read, or "".
    """

    def __init__(self, session: TrackingSession) -> None:
        self._session = session
        self.chosen: int | None = None
        self.last: int | None = None
        self.frozen = False
        self.help = False
        self.message = ""
        self._answer: FrameMasks | None = None
        self._pointing: dict[int, _Pointing] = {}
        self._press: tuple[float, float] | None = None
        self._press_negative = False
        self._at: tuple[float, float] = (0.0, 0.0)

    @property
    def dragged(self) -> tuple[float, float, float, float] | None:
        """The box being drawn, (x0, y0, x1, y1) in pixels of the picture, or None."""
        if self._press is None or not self._is_drag():
            return None
        (x0, y0), (x1, y1) = self._press, self._at
        return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)

    @property
    def target(self) -> int | None:
        """Object that negative points and `x` go to, or None."""
        for object_id in (self.chosen, self.last):
            if object_id in self._session.object_ids:
                return object_id
        return None

    def new_frame(self) -> None:
        """Another frame is shown: what is pointed at from now on belongs to it."""
        self._pointing.clear()

    def take_answer(self) -> FrameMasks | None:
        """The masks after the last prompt, once."""
        answer, self._answer = self._answer, None
        return answer

    # Mouse

    def mouse(self, button: Button, x: float, y: float, shift: bool = False) -> None:
        """Handle the mouse at a pixel of the picture; `shift` is held."""
        self._at = (x, y)
        if button is Button.PRESS:
            self._press, self._press_negative = (x, y), shift
        elif button is Button.RIGHT_PRESS:
            self._point(x, y, 0)
        elif button is Button.RELEASE and self._press is not None:
            box, self._press = self.dragged, None
            if box is not None and not self._press_negative:
                self._box(box)
            else:
                self._point(x, y, 0 if self._press_negative else 1)

    def _is_drag(self) -> bool:
        assert self._press is not None
        return all(abs(a - b) >= _DRAG_PIXELS for a, b in zip(self._press, self._at, strict=True))

    def _point(self, x: float, y: float, label: int) -> None:
        object_id = self._object_for(label)
        if object_id is None:
            self.message = "this takes something away from an object: add or choose one first"
            return
        pointing = self._pointing.setdefault(object_id, _Pointing())
        pointing.points.append((x, y))
        pointing.labels.append(label)
        self._prompt(object_id, pointing)

    def _box(self, box: tuple[float, float, float, float]) -> None:
        object_id = self._object_for(1)
        assert object_id is not None
        pointing = _Pointing(box=box)
        self._pointing[object_id] = pointing
        self._prompt(object_id, pointing)

    def _object_for(self, label: int) -> int | None:
        if label == 0:
            return self.target
        if self.chosen is not None:
            return self.chosen
        used = self._session.object_ids
        return next(number for number in range(1, len(used) + 2) if number not in used)

    def _prompt(self, object_id: int, pointing: _Pointing) -> None:
        self._answer = self._session.prompt(
            object_id,
            points=pointing.points or None,
            labels=pointing.labels or None,
            box=pointing.box,
        )
        self.last = object_id
        self.message = ""

    # Keys

    def key(self, key: str) -> Action:
        """Handle a key, "" for one without a character; returns what is left to do."""
        if key.isdigit():
            self._choose(int(key))
        elif key == "x":
            self._remove()
        elif key == " ":
            self.frozen = not self.frozen
        elif key == "h":
            self.help = not self.help
        return _ACTIONS.get(key, Action.NOTHING)

    def _choose(self, number: int) -> None:
        self.chosen = number or None
        if number == 0:
            self.message = "no object chosen: a click adds one"
        elif number in self._session.object_ids:
            self.message = f"object {number} chosen: clicks belong to it"
        else:
            self.message = f"object {number} is new: click or draw a box"

    def _remove(self) -> None:
        target = self.target
        if target is None:
            self.message = "there is no object to remove"
            return
        self._session.remove(target)
        self._pointing.pop(target, None)
        self.message = f"object {target} removed"
        self.chosen = self.last = None
        left = self._session.object_ids
        if left:
            self.last = left[-1]
