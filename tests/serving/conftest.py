"""Tests that have an app run beside a worker, which keeps the main thread: MLX belongs to it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sam2_mlx import TrackingSession
from sam2_mlx.apps.fields import integer
from sam2_mlx.apps.serving.conversation import Conversation, Job, Work
from sam2_mlx.apps.serving.messages import MessageStream
from sam2_mlx.apps.serving.method import NUMBER, Engine, method
from sam2_mlx.apps.serving.methods import METHODS
from sam2_mlx.apps.serving.worker import Worker
from sam2_mlx.media.reader import open_frames
from tests.serving.app import Buffered
from tests.tiny import ToyClip, tiny_model

_SECONDS = 60
FRAMES = 8


@method(job=NUMBER, credit=integer(0, 100))
def count(engine: Engine, app: Conversation, job: Job, credit: int) -> Work:
    """A job that takes no time."""
    job.credit += credit
    return (({"frame": number}, b"") for number in range(10**6))


class Served(Buffered):
    """An app that is connected to a worker of this process, with a tiny model loaded."""

    def __init__(self) -> None:
        methods = {**METHODS, count.name: count}
        self.worker = Worker(Engine(tuple(methods), tiny_model()), methods)
        self._ours, self._theirs = socket.socketpair()
        self._ours.settimeout(_SECONDS)
        super().__init__(self._ours.makefile("rwb"))
        raw = self._theirs.makefile("rwb", buffering=0)

        def listen() -> None:
            with raw:
                self.worker.listen(MessageStream(raw, raw))
            self.worker.stop()

        self.listener = threading.Thread(target=listen, daemon=True)
        self.listener.start()

    def end(self) -> None:
        """As a process ends whose worker has."""
        with suppress(OSError):
            self._theirs.shutdown(socket.SHUT_RDWR)

    def leave(self) -> None:
        """As an app does that has ended."""
        with suppress(OSError):
            self._target.close()
        self._ours.close()


@pytest.fixture
def app() -> Iterator[Served]:
    served = Served()
    yield served
    served.leave()
    served.end()
    served.listener.join(_SECONDS)
    served._theirs.close()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> object | None:
    """Run a test with an app in a thread of its own, and the worker in this one."""
    names = pyfuncitem._fixtureinfo.argnames
    if "app" not in names:
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    app = arguments["app"]
    problems: list[BaseException] = []

    def run() -> None:
        try:
            pyfuncitem.obj(**arguments)
        except BaseException as problem:
            problems.append(problem)
        app.leave()

    thread = threading.Thread(target=run)
    thread.start()
    app.worker.run()
    app.end()
    thread.join()
    if problems:
        raise problems[0]
    return True


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures."""
    folder = tmp_path_factory.mktemp("clip")
    toy = ToyClip(FRAMES)
    for index in range(FRAMES):
        Image.fromarray(toy.read(index)).save(folder / f"{index:03}.png")
    return folder


@pytest.fixture(scope="session")
def followed(clip: Path) -> list[np.ndarray]:
    """What the session says of the clip."""
    with open_frames(clip) as source:
        session = TrackingSession(tiny_model(), source)
        session.prompt(1, points=[[20, 30]], labels=[1], frame=0)
        return [shown.masks for shown in session.propagate()]


def click(app: Served, session: int, **fields: Any) -> tuple[dict[str, Any], bytes]:
    prompt = {"points": [[20, 30]], "labels": [1]}
    return app.call("prompt", session=session, object=1, prompt=prompt, **fields)


def opened(app: Served, **fields: Any) -> int:
    return int(app.call("open", **fields)[0]["session"])
