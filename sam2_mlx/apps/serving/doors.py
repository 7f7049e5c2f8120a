"""Ways in: the standard streams of the process, or a socket in the file system."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sam2_mlx.apps.serving.messages import Message, MessageStream
from sam2_mlx.apps.serving.worker import Worker


def serve_standard_streams(worker: Worker) -> None:
    """Serve one app over stdin and stdout, until it closes stdin; on the thread MLX belongs to."""
    with _own_streams() as stream:

        def listen() -> None:
            worker.listen(stream)
            worker.stop()

        threading.Thread(target=listen, daemon=True, name="app").start()
        worker.run()


@contextmanager
def _own_streams() -> Iterator[MessageStream]:
    """Messages over stdin and stdout, which nobody else meets: whatever prints goes to stderr."""
    source, target = os.dup(0), os.dup(1)
    _widen(source)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    raw = open(source, "rb", buffering=0, closefd=False)
    try:
        yield MessageStream(raw, open(target, "wb", buffering=0, closefd=False))
    finally:
        # What was printed and is still held must not follow the messages.
        with suppress(OSError):
            sys.stdout.flush()
        os.dup2(source, 0)
        os.dup2(target, 1)
        os.close(target)
        # The source stays open: a thread may be reading it.


def _widen(pipe: int) -> None:
    """Let a pipe hold a megabyte, where that can be had: a frame then takes fewer turns."""
    if sys.platform == "linux":
        with suppress(OSError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 2**20)


def serve_socket(worker: Worker, path: Path) -> None:
    """Serve one app after the other over a Unix socket; on the thread MLX belongs to.

    Args:
        worker: runs the requests.
        path: where the socket is made, in a folder that only its owner may enter.

    Raises:
        ValueError: if the folder is open to others, or the path is taken.
        OSError: if the socket cannot be made.
    """
    listener = _bind(path)
    turn = threading.Lock()
    thread = threading.Thread(target=_accept_all, args=(worker, listener, turn), daemon=True)
    try:
        thread.start()
        worker.run()
    finally:
        listener.close()
        with suppress(OSError):
            path.unlink()


def _accept_all(worker: Worker, listener: socket.socket, turn: threading.Lock) -> None:
    with suppress(OSError):  # the listener was closed: the worker has ended
        while True:
            one = (worker, listener.accept()[0], turn)
            threading.Thread(target=_serve_one, args=one, daemon=True).start()


def _serve_one(worker: Worker, connection: socket.socket, turn: threading.Lock) -> None:
    with connection, connection.makefile("rwb", buffering=0) as raw:
        stream = MessageStream(raw, raw)
        if not turn.acquire(blocking=False):
            error = {"code": "busy", "message": "another app is served; try again when it is gone"}
            with suppress(OSError):
                stream.send(Message({"id": None, "error": error}))
            return
        try:
            worker.listen(stream)
        finally:
            turn.release()


def _bind(path: Path) -> socket.socket:
    facts = path.parent.stat()
    if facts.st_uid != os.getuid() or facts.st_mode & 0o077:
        raise ValueError(
            f"the folder of a socket must be its owner's alone; chmod 700 {path.parent}, "
            "or name another one"
        )
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.exists() or path.is_symlink():
            _remove_stale(path)
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(4)
    except OSError as problem:
        listener.close()
        raise OSError(f"the socket {path} cannot be made: {problem}") from problem
    except ValueError:
        listener.close()
        raise
    return listener


def _remove_stale(path: Path) -> None:
    """Remove the socket that a killed worker left; anything else stays."""
    if not stat.S_ISSOCK(path.lstat().st_mode):
        raise ValueError(f"{path} is there and no socket; name another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise ValueError(f"another worker listens at {path}; stop it or name another path")
