"""The webcam demo for real: a window on a virtual screen, a mouse, a look at the screen."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sam2_mlx.media.overlay import object_color

TOOLS = ("Xvfb", "xdotool", "import")
SIZE = (240, 320)
CENTRE = (200, 120)  # (x, y) of the disc in the still clip

pytestmark = [
    pytest.mark.slow,
    # It waits for a real window to be drawn, which a busy machine may take too long to do.
    pytest.mark.skipif(
        os.environ.get("SAM2_MLX_TEST_WINDOW") != "1",
        reason="drives a real window; set SAM2_MLX_TEST_WINDOW=1",
    ),
    pytest.mark.skipif(
        sys.platform != "linux" or any(shutil.which(tool) is None for tool in TOOLS),
        reason=f"needs {', '.join(TOOLS)}",
    ),
]


@pytest.fixture
def screen() -> Iterator[dict[str, str]]:
    """A virtual screen; gives the environment of programs on it."""
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "800x600x24", "-nolisten", "tcp"],
        pass_fds=[write],
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    with os.fdopen(read) as numbers:
        display = numbers.readline().strip()
    try:
        yield {**os.environ, "DISPLAY": f":{display}", "OPENBLAS_NUM_THREADS": "1"}
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Pictures of an orange disc that drifts over dark water."""
    folder = tmp_path / "clip"
    folder.mkdir()
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    for number in range(240):
        x, y = CENTRE[0] + 20 * np.sin(number / 12), CENTRE[1]
        image = np.stack([columns // 8, rows // 5, 60 + rows // 4], axis=-1).astype(np.uint8)
        image[(columns - x) ** 2 + (rows - y) ** 2 < 45**2] = (250, 130, 30)
        Image.fromarray(image).save(folder / f"{number:03d}.png", compress_level=1)
    return folder


def tool(screen: dict[str, str], *words: object) -> str:
    done = subprocess.run(
        ["xdotool", *map(str, words)], env=screen, capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def wait_for(found, seconds: float = 90, what: str = "it"):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = found()
        if value:
            return value
        time.sleep(0.3)
    raise AssertionError(f"{what} did not happen")


def look(screen: dict[str, str], target: Path) -> np.ndarray:
    subprocess.run(["import", "-window", "root", str(target)], env=screen, check=True)
    return np.array(Image.open(target).convert("RGB"))[: SIZE[0], : SIZE[1]]


def disc_of(shown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the disc is and where its fill is drawn, of the picture as seen on the screen."""
    plain = np.array((250, 130, 30))
    tinted = plain * 0.5 + np.array(object_color(0)) * 0.5
    near = [np.abs(shown.astype(int) - color).sum(axis=-1) < 40 for color in (plain, tinted)]
    return near[0] | near[1], near[1]


def test_a_click_masks_the_object_on_the_screen(
    screen: dict[str, str], clip: Path, tmp_path: Path, repository: Path
) -> None:
    command = [sys.executable, str(repository / "demos" / "webcam.py"), "--source", str(clip)]
    options = ["--model", "nano", "--image-size", "128", "--folder", str(tmp_path)]
    environment = {**screen, "PYTHONPATH": str(repository)}
    with (tmp_path / "log.txt").open("w") as log:
        demo = subprocess.Popen([*command, *options], env=environment, stdout=log, stderr=log)
    try:
        wait_for(
            lambda: disc_of(look(screen, tmp_path / "a.png"))[0].sum() > 4000, what="a picture"
        )
        (window, *_) = tool(screen, "search", "--name", "^sam2_mlx$").split()
        tool(screen, "mousemove", "--window", window, *CENTRE)
        # Edges of the writing have the colour too.
        assert disc_of(look(screen, tmp_path / "a.png"))[1].sum() < 600
        tool(screen, "click", 1)

        def masked() -> bool:
            disc, fill = disc_of(look(screen, tmp_path / "b.png"))
            return bool(disc.sum() > 3000 and fill.sum() > 0.6 * disc.sum())

        wait_for(masked, what="a mask on the disc")
        # It is followed, not painted once: the disc has moved in the next look or the one after.
        wait_for(masked, what="a mask on the disc")
        tool(screen, "key", "--window", window, "s")
        wait_for(lambda: list(tmp_path.glob("masks_*.png")), what="a saved mask")
        tool(screen, "key", "--window", window, "x")
        wait_for(
            lambda: disc_of(look(screen, tmp_path / "c.png"))[1].sum() < 600, what="its removal"
        )
        tool(screen, "key", "--window", window, "q")
        assert demo.wait(30) == 0, (tmp_path / "log.txt").read_text()
    finally:
        demo.kill()
        demo.wait()
