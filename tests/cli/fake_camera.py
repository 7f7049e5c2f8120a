"""The webcam demo and the preview with a camera and a window that are not there.

    python -m tests.cli.fake_camera webcam FRAMES KEYS ARGUMENTS   the camera ends after FRAMES
    python -m tests.cli.fake_camera preview FRAMES ARGUMENTS       the window closes after FRAMES

KEYS are pressed one after the other, one a look at the window, `.` for none; then it is closed.
"""

from __future__ import annotations

import runpy
import signal
import sys
from pathlib import Path
from typing import Any

# As in the demo.
signal.signal(signal.SIGINT, signal.SIG_DFL)

ROOT = Path(__file__).resolve().parents[2]
SIZE = (64, 96)


def main() -> None:
    import cv2
    import numpy as np

    kind, frames, *rest = sys.argv[1:]
    limit = int(frames)

    class Camera:
        """Gives `limit` frames, then nothing, and cannot be opened again."""

        left = limit

        def __init__(self, device: Any) -> None: ...

        def isOpened(self) -> bool:
            return Camera.left > 0

        def read(self) -> tuple[bool, Any]:
            Camera.left -= 1
            frame = np.full((*SIZE, 3), 90, np.uint8)
            frame[20:40, 30:50] = 220
            return (True, frame) if Camera.left >= 0 else (False, None)

        def set(self, name: int, value: int) -> None: ...

        def release(self) -> None: ...

    import sam2_mlx.live.window as window

    keys = iter("" if kind == "preview" else rest.pop(0))

    class Window:
        def __init__(self, title: str) -> None: ...

        def show(self, canvas: Any) -> bool:
            nonlocal limit
            limit -= 1
            return limit > 0

        def poll(self, controls: Any, scale: float) -> str | None:
            key = next(keys, None)
            return "" if key == "." else key

        def close(self) -> None: ...

    if kind == "webcam":
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
