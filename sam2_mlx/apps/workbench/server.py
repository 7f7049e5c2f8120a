"""The server of the workbench: the page's files, and a WebSocket to the worker."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import stat
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from sam2_mlx.apps.fields import Refusal
from sam2_mlx.apps.serving.access import Access
from sam2_mlx.apps.serving.messages import Message, frame
from sam2_mlx.apps.serving.worker import Worker
from sam2_mlx.apps.workbench.channel import MAX_FRAME, SocketChannel
from sam2_mlx.apps.workbench.guard import Guard
from sam2_mlx.apps.workbench.tools import tool_routes
from sam2_mlx.files import check_regular

PAGE = Path(__file__).parent / "page"
PORT = 7725
"""Where the server listens if that is free and nothing else is said."""

MAX_APPS = 8
"""Pages that are served side by side."""

_START_SECONDS = 10.0
_TOKEN_LENGTH = 43  # 32 bytes, as token_urlsafe writes them


class Apps:
    """The WebSockets that are open, each with a thread that listens to it.

    Args:
        worker: runs their requests.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._count = 0
        self._threads = ThreadPoolExecutor(MAX_APPS, "app")

    async def serve(self, websocket: WebSocket) -> None:
        """Serve an app until it is gone."""
        await websocket.accept()
        if self._count >= MAX_APPS:
            error = {"code": "busy", "message": f"{MAX_APPS} pages are open; close one"}
            await websocket.send_text(str(frame(Message({"id": None, "error": error}))))
            return await websocket.close(1013)
        self._count += 1
        channel = SocketChannel(websocket)
        delivery = asyncio.create_task(channel.deliver())
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._threads, self._worker.listen, channel)
        finally:
            self._count -= 1
            delivery.cancel()
            await asyncio.gather(delivery, return_exceptions=True)


def make_app(worker: Worker, port: int, token: str, page: Path = PAGE) -> ASGIApp:
    """What answers requests: the page, its WebSocket, and what was exported.

    Args:
        worker: runs the requests of pages.
        port: where it listens.
        token: what the address of the page holds.
        page: the folder with the page's files.
    """
    files = {"/" + file.relative_to(page).as_posix() for file in page.rglob("*") if file.is_file()}
    routes: list[BaseRoute] = [
        Route("/", lambda request: FileResponse(page / "index.html")),
        Route("/download", lambda request: _download(worker.access, request)),
        WebSocketRoute("/socket", Apps(worker).serve),
        *tool_routes(worker),
        Mount("/", StaticFiles(directory=page, check_dir=False)),
    ]
    return Guard(Starlette(routes=routes), port, token, frozenset(files - {"/index.html"}))


def _download(access: Access, request: Request) -> Response:
    """A file in the folder of projects, to be saved elsewhere."""
    try:
        file = Path(access.write(request.query_params.get("path", "")))
        check_regular(file)
    except (Refusal, OSError, ValueError):
        return PlainTextResponse("there is no such file\n", 404)
    return FileResponse(file, filename=file.name, media_type="application/octet-stream")


@contextmanager
def serving(worker: Worker, listener: socket.socket, token: str) -> Iterator[str]:
    """Serve pages on a thread of its own.

    Args:
        worker: runs their requests, on another thread.
        listener: a socket that is bound.
        token: what the address holds.

    Yields:
        The address of the page.
    """
    port = listener.getsockname()[1]
    config = uvicorn.Config(
        make_app(worker, port, token),
        log_level="error",
        access_log=False,
        lifespan="off",
        server_header=False,
        proxy_headers=False,
        ws="websockets-sansio",
        ws_max_size=MAX_FRAME,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True, name="server")
    thread.start()
    try:
        _wait_for(server, thread)
        yield f"http://127.0.0.1:{port}/?token={token}"
    finally:
        server.should_exit = True
        thread.join()


def _wait_for(server: uvicorn.Server, thread: threading.Thread) -> None:
    end = time.monotonic() + _START_SECONDS
    while not server.started:
        if not thread.is_alive() or time.monotonic() > end:
            raise OSError("the server did not start")
        time.sleep(0.01)


def kept_token(folder: Path) -> str:
    """A token that nobody guesses; the same at each start, so that an open page finds its server.

    Args:
        folder: of projects; the token's file in it is for its owner alone.

    Raises:
        OSError: if the file cannot be written.
    """
    file = folder / ".token"
    with suppress(OSError, UnicodeDecodeError):
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(handle, encoding="ascii") as stream:
            facts = os.fstat(handle)
            private = stat.S_ISREG(facts.st_mode) and not stat.S_IMODE(facts.st_mode) & 0o077
            token = stream.read(_TOKEN_LENGTH + 1) if private else ""
        if facts.st_uid == os.getuid() and len(token) == _TOKEN_LENGTH:
            return token
    token = secrets.token_urlsafe(32)
    file.unlink(missing_ok=True)
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(handle, "w", encoding="ascii") as stream:
        stream.write(token)
    return token


def bind(port: int | None) -> socket.socket:
    """A socket that only this machine can reach.

    Args:
        port: None takes `PORT`, or any that is free.

    Raises:
        OSError: if the port is taken.
    """
    for number in (PORT, 0) if port is None else (port,):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", number))
            return listener
        except OSError as problem:
            listener.close()
            reason = problem
    raise OSError(f"port {port} cannot be used ({reason.strerror}); give --port another number")
