"""A Hugging Face hub on this machine: what its download client asks for, and nothing else."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_COMMIT = "0" * 39 + "1"


class Hub(ThreadingHTTPServer):
    """Serves files by the path of their address.

    Attributes:
        files: `owner/name/resolve/main/file`, or `datasets/...`, -> the file.
        asked: how often content was asked for.
        cut_at: bytes after which a connection is cut, or None.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, Path] = {}
        self.asked = 0
        self.cut_at: int | None = None

    @property
    def address(self) -> str:
        """For HF_ENDPOINT."""
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, *_: Any) -> None:
        """Nothing."""

    def do_HEAD(self) -> None:
        """Size and hash of a file."""
        self._answer(body=False)

    def do_GET(self) -> None:
        """A file, or the rest of it."""
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        name = self.path.partition("?")[0].lstrip("/")
        file = self.server.files.get(name.replace(_COMMIT, "main"))
        if file is None:
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        data = file.read_bytes()
        start = 0
        if (wanted := self.headers.get("Range")) is not None:
            start = int(wanted.removeprefix("bytes=").split("-")[0])
        self.send_response(206 if start else 200)
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.send_header("X-Repo-Commit", _COMMIT)
        self.send_header("Content-Length", str(len(data) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        if body:
            self.server.asked += 1
            end = len(data) if self.server.cut_at is None else start + self.server.cut_at
            self.wfile.write(data[start:end])
            self.close_connection = end < len(data)


@contextmanager
def local_hub() -> Iterator[Hub]:
    """A hub that answers while the block runs."""
    hub = Hub()
    threading.Thread(target=hub.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
