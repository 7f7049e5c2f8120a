"""An app as the worker sees it: a few lines that speak the protocol."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
DEMO = str(ROOT / "sam2_mlx" / "assets" / "demo.mp4")


class Refused(Exception):
    """An error that the worker answered with."""

    def __init__(self, error: dict[str, str]) -> None:
        super().__init__(f"{error['code']}: {error['message']}")
        self.code = error["code"]


class App:
    """Speaks over a pair of files; written from docs/app.md, not from the worker's code."""

    def __init__(self, source: IO[bytes], target: Any) -> None:
        self._source, self._target = source, target
        self._count = 0

    def post(self, method: str, blob: bytes = b"", **fields: Any) -> int:
        self._count += 1
        self.write(json.dumps({"id": self._count, "method": method, **fields}).encode(), blob)
        return self._count

    def tell(self, method: str, **fields: Any) -> None:
        """Without an id: nothing is answered."""
        self.write(json.dumps({"method": method, **fields}).encode())

    def write(self, text: bytes, blob: bytes = b"") -> None:
        self.write_raw(struct.pack("<II", len(text), len(blob)) + text + blob)

    def write_raw(self, data: bytes) -> None:
        view = memoryview(data)
        while len(view):
            view = view[self._target.write(view) :]

    def read(self) -> tuple[dict[str, Any], bytes]:
        head = self._source.read(8)
        if len(head) < 8:
            raise EOFError
        length, blob_length = struct.unpack("<II", head)
        return json.loads(self._source.read(length)), self._source.read(blob_length)

    def call(self, method: str, blob: bytes = b"", **fields: Any) -> tuple[dict[str, Any], bytes]:
        number = self.post(method, blob, **fields)
        answer, data = self.read()
        if "error" in answer:
            raise Refused(answer["error"])
        assert answer["id"] == number, answer
        return answer["result"], data

    def step(self, session: int, image: np.ndarray, **fields: Any) -> tuple[dict[str, Any], bytes]:
        """Show an RGB frame."""
        return self.call("step", image.tobytes(), session=session, pixels=rgb(image), **fields)

    def masks(self, facts: dict[str, Any], blob: bytes) -> np.ndarray:
        """Bool (O, H, W) of an answer in bits."""
        shape = (len(facts["objects"]), facts["height"], (facts["width"] + 7) // 8)
        packed = np.frombuffer(blob, np.uint8).reshape(shape)
        return np.unpackbits(packed, axis=2, count=facts["width"]).astype(bool)

    def job(self, method: str, **fields: Any) -> tuple[list[tuple[dict[str, Any], bytes]], Any]:
        """The events of a job and its result; every frame is paid for when it comes."""
        number = self.post(method, **fields)
        events = []
        while True:
            answer, blob = self.read()
            if "event" in answer:
                events.append((answer, blob))
                self.tell("credit", job=fields["job"], frames=1)
            elif "error" in answer:
                raise Refused(answer["error"])
            else:
                assert answer["id"] == number
                return events, answer["result"]


def rgb(image: np.ndarray) -> dict[str, Any]:
    height, width = image.shape[:2]
    return {"format": "RGB", "width": width, "height": height, "stride": width * 3}


class Process(App):
    """A worker process of its own."""

    def __init__(self, *command: str) -> None:
        command = command or ("-m", "sam2_mlx", "serve", "--stdio")
        self.process = subprocess.Popen(
            [sys.executable, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd=ROOT,
        )
        assert self.process.stdout is not None
        super().__init__(os.fdopen(os.dup(self.process.stdout.fileno()), "rb"), self.process.stdin)

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.kill()
        self.process.wait()
        self._source.close()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()


def connect(path: str) -> Buffered:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(path)
        return Buffered(connection.makefile("rwb"))


class Buffered(App):
    """Over one buffered file."""

    def __init__(self, stream: Any) -> None:
        super().__init__(stream, stream)

    def write_raw(self, data: bytes) -> None:
        self._target.write(data)
        self._target.flush()

    def close(self) -> None:
        self._target.close()
