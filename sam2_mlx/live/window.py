"""A window of OpenCV, and its mouse and keys.

Import this module, or cv2 itself, before anything that reads videos: on Linux both OpenCV and PyAV
bring a libxcb of their own, and where PyAV's is loaded first opening a window never returns.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

from sam2_mlx.live.controls import Button, Controls

_FONTS = Path("/usr/share/fonts")


def _open(title: str) -> None:
    no_screen = "there is no screen to open a window on; log in to a desktop, or set DISPLAY"
    linux = sys.platform == "linux"
    if linux and _FONTS.is_dir():
        # OpenCV's Qt looks for fonts in a folder that its wheel lacks, and complains every time.
        os.environ["QT_QPA_FONTDIR"] = str(_FONTS)
    if linux and not any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")):
        raise ValueError(no_screen)
    if not cv2.currentUIFramework():
        raise ValueError(
            "this OpenCV has no windows; `pip install opencv-python` puts one that has over it"
        )
    if linux and not _can_open():
        raise ValueError(no_screen)
    # Without this flag the right button opens a menu.
    cv2.namedWindow(title, cv2.WINDOW_AUTOSIZE | cv2.WINDOW_GUI_NORMAL)


def _can_open() -> bool:
    """Whether a window can be opened: Qt ends the whole process where it cannot."""
    trial = [sys.executable, "-c", "import cv2; cv2.namedWindow('sam2_mlx')"]
    try:
        return subprocess.run(trial, capture_output=True, timeout=20, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


class HighguiWindow:
    """A window of OpenCV.

    Raises:
        ValueError: if there is no screen.
    """

    _BUTTONS = {
        cv2.EVENT_LBUTTONDOWN: Button.PRESS,
        cv2.EVENT_MOUSEMOVE: Button.MOVE,
        cv2.EVENT_LBUTTONUP: Button.RELEASE,
        cv2.EVENT_RBUTTONDOWN: Button.RIGHT_PRESS,
    }

    def __init__(self, title: str) -> None:
        self._title = title
        self._events: list[tuple[Button, int, int, bool]] = []
        self._shown = False
        _open(title)
        cv2.setMouseCallback(title, self._note)

    def _note(self, event: int, x: int, y: int, flags: int, _: object) -> None:
        button = self._BUTTONS.get(event)
        if button is not None:
            self._events.append((button, x, y, bool(flags & cv2.EVENT_FLAG_SHIFTKEY)))

    def show(self, canvas: np.ndarray) -> None:
        """Show uint8 (H, W, 3) RGB."""
        cv2.imshow(self._title, cv2.cvtColor(canvas, cv2.COLOR_RGB2BGR))
        self._shown = True

    def poll(self, controls: Controls, scale: float) -> str | None:
        """Pass mouse events on, and return the key that was pressed, "" or None when closed."""
        code = cv2.waitKey(1)
        if self._shown and cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) < 1:
            return None
        events, self._events = self._events, []
        for button, x, y, shift in events:
            controls.mouse(button, x / scale, y / scale, shift)
        return chr(code & 0xFF).lower() if code >= 0 and code & 0xFF < 128 else ""

    def close(self) -> None:
        """Close it."""
        cv2.destroyWindow(self._title) if self._shown else None
        cv2.waitKey(1)


class Preview:
    """A window that only shows; q, Escape or closing it ends.

    Raises:
        ValueError: if there is no screen.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        _open(title)

    def show(self, image: np.ndarray) -> bool:
        """Show uint8 (H, W, 3) RGB; returns whether to go on."""
        cv2.imshow(self._title, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        code = cv2.waitKey(1)
        closed = cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) < 1
        return not closed and code not in (ord("q"), 27)

    def close(self) -> None:
        """Close it."""
        cv2.destroyAllWindows()
        cv2.waitKey(1)
