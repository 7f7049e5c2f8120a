"""A browser and a server for tests of the page; skipped with a line where there is none."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sam2_mlx.ops import rle

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SECONDS = 60


@contextmanager
def browser() -> Iterator[Any]:
    """Chromium, driven by Playwright."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="there is no playwright")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip("there is no Chromium; Debian's package is called chromium")
    # Root has no sandbox to start Chromium in.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_api.sync_playwright() as playwright:
        try:
            chromium = playwright.chromium.launch(executable_path=path, args=arguments)
        except sync_api.Error as problem:
            pytest.skip(f"{path} does not start here: {str(problem).splitlines()[0]}")
        yield chromium
        chromium.close()


_MASK = """(async () => {
  const { clip, frame } = page.state;
  const request = { session: clip.session, frame, masks: { encoding: "rle" } };
  const { fields, blob } = await page.socket.request("masks", request);
  const { offset, bytes } = fields.objects.find((one) => one.object === NUMBER);
  const runs = new Uint32Array(blob.slice(offset, offset + bytes).buffer);
  const [{ sampleLogits }, { sampleRuns }] = await Promise.all([
    import("/logits.js"), import("/runs.js"),
  ]);
  const { logits, box } = page.masks.at(frame).find((one) => one.object === NUMBER);
  const drawn = sampleLogits(logits, clip, 1, box);
  const exact = sampleRuns(runs, clip.width, clip.height);
  return [fields, [...runs], drawn.filter((one, place) => one !== exact[place]).length];
})()"""
"""An object's mask as run lengths of the worker, and in how many pixels the page draws another."""


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Server:
    """`sam2-mlx app` in a process of its own.

    Args:
        projects: the folder of projects.
        arguments: more of the command's.

    Attributes:
        address: of the page.
        projects: the folder of projects.
    """

    def __init__(self, projects: Path, *arguments: str) -> None:
        self.projects = projects
        command = [sys.executable, "-m", "sam2_mlx", "app", "--no-open", "--model", "nano"]
        self.process = subprocess.Popen(
            [*command, "--projects", str(projects), *arguments], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        lines = iter(self.process.stdout.readline, "")
        self.address = next((line for line in lines if line.startswith("http")), "").strip()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()

    def kill(self) -> None:
        """End it as a crash does."""
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


class Desk:
    """The page, as a person uses it.

    Args:
        page: Playwright's.
        address: where it is.
    """

    def __init__(self, page: Any, address: str) -> None:
        self.page = page
        self.problems: list[str] = []
        page.set_default_timeout(SECONDS * 1000)
        page.on("pageerror", lambda problem: self.problems.append(str(problem)))
        page.goto(address)
        self.begin()

    def begin(self) -> None:
        """Wait for the page and its clip."""
        self.page.evaluate("import('/main.js').then((main) => { window.page = main.page })")
        self.wait("!!page.state.clip && page.view.frames.isReady(page.state.frame)")
        self.rest()

    def ask(self, expression: str) -> Any:
        """The value of an expression in which `page` is what main.js exports."""
        return self.page.evaluate(expression)

    def wait(self, condition: str) -> None:
        """Wait until an expression is true."""
        # The page's policy forbids the evaluation that Playwright's own waiting needs.
        end = time.monotonic() + SECONDS
        while not self.ask(condition):
            assert time.monotonic() < end, condition
            self.page.wait_for_timeout(10)

    def rest(self) -> None:
        """Wait until all that was asked for is done and drawn."""
        self.ask("page.history.last")
        self.wait("!page.state.job && page.view.shown === page.state.frame")

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where a pixel of the picture is on the screen."""
        box = self.page.locator("#stage").bounding_box()
        left, top = self.ask(f"page.view.viewport.toScreen({x}, {y})")
        return box["x"] + left, box["y"] + top

    def click(self, x: float, y: float, *, subtract: bool = False) -> None:
        """Click on a pixel of the picture."""
        self.page.mouse.move(*self.place(x, y))
        self.page.mouse.click(*self.place(x, y), button="right" if subtract else "left")
        self.rest()

    def drag(self, *places: tuple[float, float]) -> None:
        """Press on a pixel, move over others, and let go."""
        self.page.mouse.move(*self.place(*places[0]))
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*self.place(*place), steps=4)
        self.page.mouse.up()
        self.rest()

    def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            self.page.keyboard.press(key)
            self.rest()

    def show(self, frame: int) -> None:
        """Go to a frame by its number."""
        self.page.fill("#frame-number", str(frame))
        self.page.press("#frame-number", "Enter")
        self.page.locator("#stage").focus()
        self.rest()

    def mask(self, number: int, frame: int | None = None) -> np.ndarray:
        """The mask of an object on a frame, as the worker has it; the page draws the same."""
        if frame is not None:
            self.show(frame)
        self.wait("page.masks.isReady(page.state.frame)")
        fields, counts, different = self.ask(_MASK.replace("NUMBER", str(number)))
        mask = rle.decode({"size": [fields["height"], fields["width"]], "counts": counts})
        # It has logits that were rounded to bytes.
        assert different <= 1e-3 * mask.size
        return mask

    def notice(self) -> str:
        """What people are told."""
        return str(self.page.locator(".notice").last.inner_text())
