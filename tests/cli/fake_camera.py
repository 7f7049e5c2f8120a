"""The webcam demo and the preview with a camera and a window that are not there.

    python -m tests.cli.fake_camera gone FRAMES KEYS ARGUMENTS   no camera FRAMES after the first r
    python -m tests.cli.fake_camera preview FRAMES ARGUMENTS     no window after FRAMES

In place of `gone`: `stuck` (no answer any more), `empty`, `grey` or `larger` pictures, `ever`.
KEYS are pressed one after the other, one a look at the window once it shows the camera's picture,
`.` for none; then it is closed.
"""

from __future__ import annotations

import runpy
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# As in the demo.
signal.signal(signal.SIGINT, signal.SIG_DFL)

ROOT = Path(__file__).resolve().parents[2]
SIZE = (64, 96)


AFTER: dict[str, Callable[[Any], tuple[bool, Any]]] = {
    "gone": lambda frame: (False, None),
    "stuck": lambda frame: (False, time.sleep(3600)),
    "empty": lambda frame: (True, frame[:0]),
    "grey": lambda frame: (True, frame[..., 0]),
    "larger": lambda frame: (True, frame.repeat(2, 0)),
    "ever": lambda frame: (True, frame),
}
"""What the camera gives after its frames."""


def main() -> None:
    import cv2
    import numpy as np

    kind, frames, *rest = sys.argv[1:]
    limit = int(frames)

    class Camera:
        """200 noisy frames a second, `limit` of them recorded, and then what `kind` says."""

        left = limit
        noise = np.random.default_rng(1)

        def __init__(self, device: Any) -> None: ...

        def isOpened(self) -> bool:
            return kind != "gone" or Camera.left > 0

        def read(self) -> tuple[bool, Any]:
            time.sleep(0.005)
            Camera.left -= Window.recording
            frame = Camera.noise.integers(0, 120, (*SIZE, 3), np.uint8)
            frame[20:40, 30:50] = 220
            return (True, frame) if Camera.left >= 0 else AFTER[kind](frame)

        def set(self, name: int, value: int) -> None: ...

        def release(self) -> None: ...

    import sam2_mlx.live.window as window

    keys = iter("" if kind == "preview" else rest.pop(0))

    class Window:
        live = recording = False

        def __init__(self, title: str) -> None: ...

        def show(self, canvas: Any) -> bool:
            nonlocal limit
            self.live |= canvas.shape[:2] == SIZE
            limit -= 1
            return limit > 0

        def poll(self, controls: Any, scale: float) -> str | None:
            key = next(keys, None) if self.live else "."
            Window.recording |= key == "r"
            return "" if key == "." else key

        def close(self) -> None: ...

    if kind != "preview":
        cv2.VideoCapture = Camera  # type: ignore[misc,assignment]
        window.HighguiWindow = Window  # type: ignore[misc,assignment]
        sys.argv = ["webcam.py", *rest]
        runpy.run_path(str(ROOT / "demos" / "webcam.py"), run_name="__main__")
    else:
        window.Preview = Window  # type: ignore[misc,assignment]
        from sam2_mlx.__main__ import run

        sys.argv = ["sam2-mlx", *rest]
        run("video")


if __name__ == "__main__":
    main()
