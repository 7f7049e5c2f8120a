"""How long people wait at the page: `python -m tests.workbench.measure`.

Makes a clip of 3840 x 2160 and one of 30 minutes out of the bundled clip, opens both in Chromium,
and prints medians and worst cases in milliseconds.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from sam2_mlx.media import demo_clip
from sam2_mlx.media.reader import open_frames
from tests.workbench.browser import Desk, Server, browser

FISH = [(105, 118), (520, 196), (250, 276), (320, 60), (70, 240), (560, 320), (400, 330), (460, 60)]
LONG_SECONDS, LONG_RATE = 1800, 25
STEPS = 20


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="leave out the clip of 30 minutes")
    quick = parser.parse_args().quick
    with tempfile.TemporaryDirectory() as name, browser() as chromium:
        folder = Path(name)
        write_clip(folder / "4k.mp4", (3840, 2160), frames(48), 24)
        measure(chromium, folder, "4k.mp4", four_k)
        if not quick:
            count = LONG_SECONDS * LONG_RATE
            write_clip(folder / "long.mp4", (320, 180), frames(count), LONG_RATE)
            measure(chromium, folder, "long.mp4", long)


def measure(chromium: Any, folder: Path, clip: str, what: Callable[[Desk], None]) -> None:
    """Open a clip in a page of its own, and measure."""
    with Server(folder / "projects", str(folder / clip), "--port", "0") as server:
        page = chromium.new_page(viewport={"width": 1280, "height": 800})
        start = time.perf_counter()
        desk = Desk(page, server.address)
        print(f"{clip}: opened and drawn after {1e3 * (time.perf_counter() - start):.0f} ms")
        what(desk)


def four_k(desk: Desk) -> None:
    """Steps and jumps, without and with eight objects; the hover's preview."""
    tell("a step", [shown(desk, frame) for frame in range(1, STEPS)])
    tell("a jump", [shown(desk, frame) for frame in np.random.default_rng(0).permutation(48)])
    desk.show(0)
    scale = 6
    for x, y in FISH:
        desk.press("n")
        desk.click(x * scale, y * scale)
    desk.show(STEPS)
    desk.press("o", "Home", "t")
    tell("a step with 8 objects", [shown(desk, frame) for frame in range(STEPS)])
    desk.press("n")
    tell("hover", [hovered(desk, scale * (200 + 5 * step), scale * 276) for step in range(STEPS)])


def long(desk: Desk) -> None:
    """Jumps across half an hour."""
    last = LONG_SECONDS * LONG_RATE - 1
    places = np.random.default_rng(0).integers(0, last, STEPS)
    tell("a jump", [shown(desk, frame) for frame in [last, *places]])


def shown(desk: Desk, frame: int) -> float:
    """Milliseconds from asking for a frame until it is drawn with its masks."""
    return float(
        desk.ask(
            f"""new Promise((done) => {{
              const start = performance.now();
              page.state.show({frame});
              const isDrawn = () => page.view.shown === {frame} && page.view.frames.isReady({frame})
                && (!page.masks.scores.isTracked({frame}) || page.masks.frames.has({frame}));
              const look = () => isDrawn() && !page.view.pending
                ? done(performance.now() - start) : requestAnimationFrame(look);
              look();
            }})"""
        )
    )


def hovered(desk: Desk, x: float, y: float) -> float:
    """Milliseconds from the pointer's rest until what a click would take is drawn."""
    return float(
        desk.ask(
            f"""new Promise((done) => {{
              const start = performance.now();
              const {{ tools: {{ hover }}, view }} = page;
              hover.stop();
              hover.rest(...view.viewport.toScreen({x}, {y}), false);
              const look = () => hover.mask && !view.pending
                ? done(performance.now() - start) : setTimeout(look, 1);
              look();
            }})"""
        )
    )


def tell(what: str, times: list[float]) -> None:
    """A line of the table."""
    print(f"  {what}: median {statistics.median(times):.0f}, worst {max(times):.0f} ms", flush=True)


def frames(count: int) -> Iterator[np.ndarray]:
    """Frames of the bundled clip, from its beginning again and again."""
    with open_frames(demo_clip()) as source:
        images = [source.read(index) for index in range(source.num_frames)]
    return (images[index % len(images)] for index in range(count))


def write_clip(path: Path, size: tuple[int, int], images: Iterator[np.ndarray], rate: int) -> None:
    """H.264 as cameras write it: a key frame a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(rate))
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.options = {"preset": "ultrafast", "g": str(rate)}
        for image in images:
            resized = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(resized, "rgb24")))
        container.mux(stream.encode())


if __name__ == "__main__":
    main()
