"""What the worker costs beside the model: start, round trips, frames in and masks out.

    python benchmarks/serving.py

Prints processor time of the worker for one 1080p frame in each of the ways in and out, the time of
an empty round trip, and how long after its start the worker greets. The model is left out: the
worker of this script answers with a disc.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np

WIDTH, HEIGHT = 1920, 1080
FRAMES, ROUND_TRIPS, STARTS = 100, 500, 5


class Client:
    """One worker process and the messages to it.

    Args:
        command: what starts it, after the interpreter.
    """

    def __init__(self, *command: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        assert self.process.stdout is not None and self.process.stdin is not None
        self._out = os.fdopen(os.dup(self.process.stdout.fileno()), "rb")

    def call(self, method: str, blob: bytes = b"", **fields: Any) -> tuple[Any, bytes]:
        """The result and the blob of a request."""
        text = json.dumps({"id": 1, "method": method, **fields}).encode()
        for part in (struct.pack("<II", len(text), len(blob)) + text, blob):
            view = memoryview(part)
            while len(view):
                view = view[self.process.stdin.write(view) :]  # type: ignore[union-attr]
        length, blob_length = struct.unpack("<II", self._out.read(8))
        answer, data = json.loads(self._out.read(length)), self._out.read(blob_length)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["result"], data

    def processor_ms(self) -> float:
        """Processor time that the worker has used."""
        return 1e3 * float(self.call("stats")[0]["processor_seconds"])

    def close(self) -> None:
        """End the worker."""
        self.call("shutdown")
        self.process.wait()


def main() -> None:
    """Print the table."""
    starts = []
    for _ in range(STARTS):
        begin = time.perf_counter()
        client = Client("-m", "sam2_mlx", "serve", "--stdio")
        client.call("hello", protocol=1)
        starts.append(time.perf_counter() - begin)
        client.close()
    print(f"start to hello: {np.median(starts):.2f} s (least {min(starts):.2f})")

    client = Client(__file__, "--worker")
    times = []
    for _ in range(ROUND_TRIPS):
        begin = time.perf_counter()
        client.call("ping")
        times.append(1e3 * (time.perf_counter() - begin))
    print(f"empty round trip: {np.median(times):.2f} ms (least {min(times):.2f})")
    _frames(client)
    client.close()


def _frames(client: Client) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 4), np.uint8)
    layouts = {
        "BGRA": {"format": "BGRA", "stride": WIDTH * 4},
        "RGB": {"format": "RGB", "stride": WIDTH * 3},
        "NV12": {"format": "NV12", "stride": WIDTH},
    }
    with tempfile.NamedTemporaryFile(dir=_shared_folder()) as file:
        file.write(picture.tobytes())
        file.flush()
        client.call("map", map=1, path=file.name)
    print(f"\n{WIDTH}x{HEIGHT}, without the model   worker ms   both ms (wall)")
    ways = [("BGRA", "map", one) for one in ("bits", "gray8", "rle", "polygons")]
    ways += [("RGB", "map", "bits"), ("NV12", "map", "bits"), ("BGRA", "pipe", "bits")]
    for form, way, encoding in ways:
        layout = {**layouts[form], "width": WIDTH, "height": HEIGHT}
        blob = picture.tobytes() if way == "pipe" else b""
        if way == "map":
            layout["map"] = 1

        def once(layout: Any = layout, blob: bytes = blob, encoding: str = encoding) -> None:
            client.call("echo", blob, pixels=layout, masks={"encoding": encoding})

        cost, wall = _measure(client, once)
        print(f"{form:4} by {way:4}, {encoding:8} out     {cost:9.2f}   {wall:9.2f}")


def _measure(client: Client, once: Callable[[], None]) -> tuple[float, float]:
    once()
    before, begin = client.processor_ms(), time.perf_counter()
    for _ in range(FRAMES):
        once()
    wall = 1e3 * (time.perf_counter() - begin) / FRAMES
    return (client.processor_ms() - before) / FRAMES, wall


def _shared_folder() -> str | None:
    return "/dev/shm" if os.path.isdir("/dev/shm") else None


def worker() -> None:
    """Serve as `sam2-mlx serve --stdio` does, with a method that does everything but the model."""
    from sam2_mlx.apps.serving.conversation import Answer, Conversation
    from sam2_mlx.apps.serving.doors import serve_standard_streams
    from sam2_mlx.apps.serving.masks import MASKS, MaskForm, encode_planes
    from sam2_mlx.apps.serving.messages import Blob
    from sam2_mlx.apps.serving.method import Engine, method
    from sam2_mlx.apps.serving.methods import METHODS
    from sam2_mlx.apps.serving.pixels import PIXELS, PixelLayout
    from sam2_mlx.apps.serving.worker import Worker

    y, x = np.ogrid[:HEIGHT, :WIDTH]
    disc = (x - WIDTH / 2) ** 2 + (y - HEIGHT / 2) ** 2 < (HEIGHT / 3) ** 2

    @method(pixels=PIXELS, masks=MASKS)
    def echo(
        engine: Engine, app: Conversation, blob: Blob, pixels: PixelLayout, masks: MaskForm
    ) -> Answer:
        image = app.image(pixels, blob)
        assert image.shape == (*disc.shape, 3)
        extents, data = encode_planes([disc], masks.encoding)
        return app.deliver({"objects": extents}, data, masks)

    serve_standard_streams(Worker(methods={**METHODS, "echo": echo}))


if __name__ == "__main__":
    worker() if "--worker" in sys.argv else main()
