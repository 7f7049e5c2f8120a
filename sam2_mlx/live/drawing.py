"""What is drawn over a live picture: masks and names on it, state and keys beside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from sam2_mlx.live.controls import HELP
from sam2_mlx.live.objects import ObjectView
from sam2_mlx.media.overlay import draw_masks, object_color

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_LINE = 22  # pixels from line to line
_WHITE, _BLACK, _GREY, _RED = (255, 255, 255), (0, 0, 0), (190, 190, 190), (235, 40, 40)


@dataclass(frozen=True)
class Status:
    """What stands beside the picture.

    Attributes:
        fps: frames shown a second.
        latency: seconds from a frame's arrival to its display.
        dropped: frames that were too old to be shown.
        frozen: whether the picture stands still.
        recording: whether what is seen is recorded.
        help: whether the keys are shown.
        chosen: object that clicks belong to, or None.
        message: something the user should read, or "".
        box: box being drawn, (x0, y0, x1, y1) in pixels of the canvas, or None.
    """

    fps: float = 0.0
    latency: float = 0.0
    dropped: int = 0
    frozen: bool = False
    recording: bool = False
    help: bool = False
    chosen: int | None = None
    message: str = ""
    box: tuple[float, float, float, float] | None = None


def draw_scene(image: np.ndarray, views: Sequence[ObjectView]) -> np.ndarray:
    """A picture, uint8 (H, W, 3) RGB, with masks and names; the picture is not changed."""
    ranks = [view.object_id - 1 for view in views]
    scene = draw_masks(image, [view.mask for view in views], ranks=ranks)
    for view in views:
        if not view.lost:
            _name(scene, view)
    return scene


def draw_status(canvas: np.ndarray, views: Sequence[ObjectView], status: Status) -> None:
    """Speed, the list of objects, a message, the keys: on uint8 (H, W, 3) RGB, in place."""
    speed = f"{status.fps:.1f} frames/s  {1000 * status.latency:.0f} ms"
    if status.dropped:
        speed += f"  {status.dropped} skipped"
    lines = [(speed, _WHITE)]
    for view in views:
        mark = "> " if view.object_id == status.chosen else ""
        color = _GREY if view.lost else object_color(view.object_id - 1)
        lines.append((mark + view.caption, color))
    if not views and not status.message:
        lines.append(("click on something, or h for the keys", _WHITE))
    _block(canvas, lines, 8, 8)
    flags = [("FROZEN", _WHITE)] * status.frozen + [("REC", _RED)] * status.recording
    if flags:
        width = max(_text_size(text)[0] for text, _ in flags) + 12
        _block(canvas, flags, canvas.shape[1] - width - 8, 8)
    if status.help:
        _keys(canvas, 8, 8 + _LINE * (len(lines) + 1))
    if status.message:
        _block(canvas, [(status.message, _WHITE)], 8, canvas.shape[0] - 34)
    if status.box is not None:
        x0, y0, x1, y1 = (round(value) for value in status.box)
        cv2.rectangle(canvas, (x0, y0), (x1, y1), _BLACK, 3)
        cv2.rectangle(canvas, (x0, y0), (x1, y1), _WHITE, 1)


def _name(scene: np.ndarray, view: ObjectView) -> None:
    """Number and score at the top of an object."""
    x, y, width, _ = cv2.boundingRect(view.mask.astype(np.uint8))
    text = f"{view.object_id}  {view.score:.2f}"
    wide, high = _text_size(text)
    left = min(max(0, x + (width - wide) // 2), max(0, scene.shape[1] - wide - 8))
    _block(scene, [(text, object_color(view.object_id - 1))], left, max(0, y - high - 12))


def _keys(canvas: np.ndarray, x: int, y: int) -> None:
    """The keys, in two columns of one block."""
    column = max(_text_size(key)[0] for key, _ in HELP) + 14
    widest = max(_text_size(text)[0] for _, text in HELP)
    _darken(canvas, x, y, column + widest + 12, len(HELP))
    for place, lines in ((x, [k for k, _ in HELP]), (x + column, [t for _, t in HELP])):
        _write(canvas, [(line, _WHITE) for line in lines], place, y)


def _block(
    canvas: np.ndarray, lines: Sequence[tuple[str, tuple[int, int, int]]], x: int, y: int
) -> None:
    """Lines of text on a darkened ground."""
    width = max(_text_size(text)[0] for text, _ in lines) + 12
    _darken(canvas, x, y, width, len(lines))
    _write(canvas, lines, x, y)


def _darken(canvas: np.ndarray, x: int, y: int, width: int, lines: int) -> None:
    window = canvas[max(y, 0) : y + _LINE * lines + 4, max(x, 0) : x + width]
    window[:] = window // 3


def _write(
    canvas: np.ndarray, lines: Sequence[tuple[str, tuple[int, int, int]]], x: int, y: int
) -> None:
    for row, (text, color) in enumerate(lines):
        place = (x + 6, y + 18 + _LINE * row)
        cv2.putText(canvas, text, place, _FONT, 0.5, color, 1, cv2.LINE_AA)


def _text_size(text: str) -> tuple[int, int]:
    (width, height), _ = cv2.getTextSize(text, _FONT, 0.5, 1)
    return width, height
