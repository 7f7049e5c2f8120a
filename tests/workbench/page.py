"""A page as the server sees it: the worker's messages over a WebSocket."""

from __future__ import annotations

import json
import struct
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.serving.app import App


class Page(App):
    """Speaks over a WebSocket; written from docs/app.md, not from the server's code."""

    def __init__(self, address: str, **options: Any) -> None:
        self._connecting = connect(
            address.replace("http:", "ws:").replace("/?", "/socket?"),
            max_size=2**30,
            compression=None,
            proxy=None,
            close_timeout=0.2,
            **options,
        )
        self.socket: ClientConnection = self._connecting.__enter__()
        self._count = 0

    def write(self, text: bytes, blob: bytes = b"") -> None:
        head = struct.pack("<II", len(text), len(blob))
        self.socket.send(head + text + blob if blob else text.decode())

    def read(self) -> tuple[dict[str, Any], bytes]:
        data = self.socket.recv(60)
        if isinstance(data, str):
            return json.loads(data), b""
        length, blob_length = struct.unpack("<II", data[:8])
        assert len(data) == 8 + length + blob_length
        return json.loads(data[8 : 8 + length]), data[8 + length :]

    def __enter__(self) -> Page:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._connecting.__exit__(None, None, None)
