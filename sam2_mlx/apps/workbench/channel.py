"""Messages over a WebSocket, between the thread of an app and the event loop of the server."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Any

from starlette.websockets import WebSocket

from sam2_mlx.apps.serving.messages import Message, frame, parse, unframe

MAX_FRAME = 2**26
"""Bytes of a frame that an app sends."""

PAUSE, HANG_UP = 2**26, 2**28
"""Bytes that wait for an app: before its next request is read, and before it is given up."""


class SocketChannel:
    """What `Worker.listen` reads from and sends to; `send` never waits for the app.

    Args:
        socket: has been accepted; belongs to the running event loop.
    """

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[str | bytes] = deque()
        self._num_bytes = 0
        self._filled = asyncio.Event()
        self._changed = threading.Condition()
        self._reading: Future[Any] | None = None
        self._over = False

    def receive(self, room: Callable[[], int]) -> Message | None:
        """The next message; see `MessageStream.receive`."""
        with self._changed:
            self._changed.wait_for(lambda: self._over or self._num_bytes < PAUSE)
            if self._over:
                return None
            reading = asyncio.run_coroutine_threadsafe(self._socket.receive(), self._loop)
            self._reading = reading
        try:
            event = reading.result()
        except CancelledError:
            return None
        if event["type"] != "websocket.receive":
            return None
        data = event.get("bytes")
        return Message(parse(event["text"].encode())) if data is None else unframe(data, room)

    def send(self, message: Message) -> None:
        """Let a message be sent; may be called from any thread.

        Raises:
            ValueError: if it is longer than a message may be.
            OSError: if the app is gone, or takes nothing.
        """
        data = frame(message)
        with self._changed:
            if self._over:
                raise OSError("the app is gone")
            if self._num_bytes + len(data) > HANG_UP:
                self._end()
                raise OSError("the app does not take what it is sent")
            self._waiting.append(data)
            self._num_bytes += len(data)
        self._loop.call_soon_threadsafe(self._filled.set)

    async def deliver(self) -> None:
        """Send what waits, until the task is cancelled or the app is gone."""
        try:
            while True:
                while self._waiting:
                    data = self._waiting.popleft()
                    if isinstance(data, str):
                        await self._socket.send_text(data)
                    else:
                        await self._socket.send_bytes(data)
                    with self._changed:
                        self._num_bytes -= len(data)
                        self._changed.notify_all()
                self._filled.clear()
                if not self._waiting:
                    await self._filled.wait()
        finally:
            with self._changed:
                self._end()

    def _end(self) -> None:
        self._over = True
        self._changed.notify_all()
        if self._reading is not None:
            self._reading.cancel()
