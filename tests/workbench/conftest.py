"""Tests that have pages run beside the worker, which keeps the main thread: MLX belongs to it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from sam2_mlx.apps.serving.access import ListedAccess
from sam2_mlx.apps.serving.method import Engine
from sam2_mlx.apps.serving.methods import METHODS
from sam2_mlx.apps.serving.worker import Worker
from sam2_mlx.apps.workbench.server import bind, serving
from tests.tiny import ToyClip, tiny_model

FRAMES = 8
TOKEN = "a-token-of-the-tests"


class Workbench:
    """A server with a tiny model, in this process.

    Attributes:
        address: of the page.
        port: where it listens.
        allowed: a folder that may be read.
        home: the folder of projects.
    """

    def __init__(self, folder: Path) -> None:
        self.allowed, self.home = folder / "allowed", folder / "projects"
        for one in (self.allowed, self.home):
            one.mkdir()
        self.access = ListedAccess([self.allowed], self.home)
        self.worker = Worker(Engine(tuple(METHODS), tiny_model(), self.access))
        self.listener = bind(0)
        self.port = self.listener.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}/?token={TOKEN}"

    @property
    def clip(self) -> Path:
        """A folder of pictures that may be read."""
        folder = self.allowed / "clip"
        if not folder.exists():
            folder.mkdir()
            toy = ToyClip(FRAMES)
            for index in range(FRAMES):
                Image.fromarray(toy.read(index)).save(folder / f"{index:03}.png")
        return folder


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    bench = Workbench(tmp_path)
    yield bench
    bench.listener.close()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> object | None:
    """Run a test with a workbench in a thread of its own, and the worker in this one."""
    bench = pyfuncitem.funcargs.get("bench")
    if not isinstance(bench, Workbench):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    with serving(bench.worker, bench.listener, TOKEN):
        run_beside(bench.worker, lambda: pyfuncitem.obj(**arguments))
    return True


def run_beside(worker: Worker, test: Callable[[], object]) -> None:
    problems: list[BaseException] = []

    def run() -> None:
        try:
            test()
        except BaseException as problem:
            problems.append(problem)
        worker.stop()

    thread = threading.Thread(target=run)
    thread.start()
    worker.run()
    thread.join()
    if problems:
        raise problems[0]
