"""Without a screen the window says so instead of ending the process."""

from __future__ import annotations

import os
import subprocess
import sys

import cv2
import pytest

from sam2_mlx.live.window import Preview

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only there a screen can lack")


@pytest.mark.parametrize("display", [None, ":987"])
@pytest.mark.parametrize("name", ["Preview", "HighguiWindow"])
def test_no_screen_is_one_clear_line(repository, name: str, display: str | None) -> None:
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    if display:
        environment["DISPLAY"] = display
    environment["PYTHONPATH"] = str(repository)
    program = (
        f"from sam2_mlx.live.window import {name}\n"
        "try:\n"
        f"    {name}('x')\n"
        "except ValueError as problem:\n"
        "    print(problem)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    headless = display and not cv2.currentUIFramework()
    expected = "`pip install opencv-python`" if headless else "no screen to open a window on"
    assert expected in done.stdout and done.stdout.count("\n") == 1


def test_an_opencv_without_windows_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":987")
    monkeypatch.setattr("sam2_mlx.live.window.cv2.currentUIFramework", lambda: "")
    with pytest.raises(ValueError, match="has no windows; `pip install opencv-python`"):
        Preview("x")


def test_the_commands_pass_it_on(repository, tmp_path) -> None:
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    environment["PYTHONPATH"] = str(repository)
    for command in (
        ["-m", "sam2_mlx.video", "demo", "--model", "nano", "--point", "105,118", "--preview"],
        [str(repository / "demos" / "webcam.py"), "--source", "none.mp4", "--model", "nano"],
    ):
        done = subprocess.run(
            [sys.executable, *command],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
        )
        assert done.returncode == 2, done.stderr
        assert "Traceback" not in done.stderr and "error:" in done.stderr
    assert list(tmp_path.iterdir()) == []
