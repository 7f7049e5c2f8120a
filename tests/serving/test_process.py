"""The worker as a process: its start, its doors, and every way that it or its app can end."""

from __future__ import annotations

import os
import random
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from sam2_mlx.media.reader import open_frames
from tests.serving.app import DEMO, Buffered, Process, Refused, connect, rgb

FISH = {"points": [[105, 118]]}
CHATTY = """
import os, sys, warnings
from sam2_mlx.apps.serving.doors import serve_standard_streams
from sam2_mlx.apps.serving.method import method
from sam2_mlx.apps.serving.methods import METHODS
from sam2_mlx.apps.serving.worker import Worker

@method()
def chat(engine, app):
    print("hello from a library")
    os.system("echo hello from a child")
    os.write(1, b"hello from C")
    assert sys.stdin.read() == ""
    return {}, b""

@method()
def fall(engine, app):
    raise AttributeError("a mistake of ours")

serve_standard_streams(Worker(methods={**METHODS, "chat": chat, "fall": fall}))
"""


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    with open_frames(DEMO) as source:
        return [np.array(source.read(index)) for index in range(6)]


def start() -> Process:
    app = Process()
    app.call("hello", protocol=1)
    app.call("load_model", model="nano")
    return app


def test_it_goes_on_after_kill_9(tmp_path: Path, frames: list[np.ndarray]) -> None:
    saved = str(tmp_path / "session.safetensors")
    with start() as app:
        session = app.call("open")[0]["session"]
        app.step(session, frames[0])
        app.call("prompt", session=session, object=1, prompt=FISH)
        app.step(session, frames[1])
        app.call("save", session=session, path=saved)
        wanted = [app.step(session, frame) for frame in frames[2:]]
        os.kill(app.process.pid, signal.SIGKILL)
        with pytest.raises((EOFError, BrokenPipeError)):
            app.step(session, frames[0])
        assert app.process.wait() == -signal.SIGKILL
    with start() as app:
        session = app.call("restore", path=saved)[0]["session"]
        for frame, (facts, blob) in zip(frames[2:], wanted, strict=True):
            again, masks = app.step(session, frame)
            assert masks == blob and again["objects"] == facts["objects"]
            assert sum(entry["area"] for entry in facts["objects"]) > 1000


@pytest.mark.slow
def test_a_worker_killed_at_any_moment_leaves_a_session_that_is_whole(
    tmp_path: Path, frames: list[np.ndarray]
) -> None:
    dice, saved, wanted = random.Random(8), str(tmp_path / "s.safetensors"), None
    for _ in range(3):
        with start() as app:
            session = app.call("open")[0]["session"]
            app.step(session, frames[0])
            app.call("prompt", session=session, object=1, prompt=FISH)
            app.call("save", session=session, path=saved)
            threading.Timer(dice.random() / 5, app.process.kill).start()
            with pytest.raises((EOFError, BrokenPipeError)):
                while True:
                    app.call("save", session=session, path=saved)
            app.process.wait()
        with start() as app:
            session = app.call("restore", path=saved)[0]["session"]
            _, masks = app.step(session, frames[1])
            wanted = wanted or masks
            assert masks == wanted


def test_it_ends_when_its_input_ends(frames: list[np.ndarray]) -> None:
    with start() as app:
        session = app.call("open", path=DEMO)[0]["session"]
        app.call("prompt", session=session, object=1, frame=0, prompt=FISH)
        app.post("propagate", session=session, job=1, credit=10**6)
        app.read()
        app.process.stdin.close()  # type: ignore[union-attr]
        begin = time.monotonic()
        assert app.process.wait(10) == 0
        assert time.monotonic() - begin < 5
        assert app.process.stderr is not None and app.process.stderr.read() == b""


def test_a_reader_that_never_reads_does_not_block_what_comes_in() -> None:
    with start() as app:
        session = app.call("open", path=DEMO)[0]["session"]
        app.call("prompt", session=session, object=1, frame=0, prompt=FISH)
        # Each frame is a megabyte of grey or more: the pipe is full after the first.
        form = {"encoding": "gray8"}
        app.post("propagate", session=session, job=1, credit=100, length=20, masks=form)
        time.sleep(1)
        app.tell("cancel", job=1)
        events = 0
        while "event" in app.read()[0]:
            events += 1
        assert events <= 8


def test_what_prints_does_not_meet_the_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    with Process("-c", CHATTY) as app:
        app.call("hello", protocol=1)
        assert app.call("chat") == ({}, b"")
        with pytest.raises(Refused, match="failed: AttributeError: a mistake of ours"):
            app.call("fall")
        assert app.call("ping")[0] == {"waiting": 0, "jobs": 0}
        app.call("shutdown")
        assert app.process.wait() == 0
        assert app.process.stderr is not None
        said = app.process.stderr.read().decode()
    for text in ("a library", "a child", "from C", "Traceback", "a mistake of ours"):
        assert text in said


class TestSocket:
    """Over a Unix socket."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        tmp_path.chmod(0o700)
        return tmp_path / "worker"

    def serve(self, path: Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "sam2_mlx", "serve", "--socket", str(path)]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        until = time.monotonic() + 20
        while process.poll() is None and time.monotonic() < until:
            try:
                connect(str(path)).close()
            except OSError:
                time.sleep(0.02)
            else:
                break
        return process

    def test_apps_come_one_after_the_other(self, path: Path, frames: list[np.ndarray]) -> None:
        process = self.serve(path)
        try:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            first = self.connected(path)
            first.call("load_model", model="nano")
            session = first.call("open")[0]["session"]
            second = connect(str(path))
            assert second.read()[0]["error"]["code"] == "busy"
            with pytest.raises(EOFError):
                second.read()
            second.close()
            first.step(session, frames[0])
            first.close()
            third = self.connected(path)
            # The model is still there, the session is not.
            with pytest.raises(Refused, match="no_session"):
                third.call("step", session=session, pixels=rgb(frames[0]))
            assert third.call("open")[0]["session"] == 1
            third.call("shutdown")
            assert process.wait(10) == 0
            third.close()
            assert not path.exists()
        finally:
            process.kill()
            process.communicate()

    def connected(self, path: Path) -> Buffered:
        """An app that waits until the one before it is gone."""
        until = time.monotonic() + 20
        while True:
            app = connect(str(path))
            try:
                app.call("hello", protocol=1)
                return app
            except (Refused, EOFError, OSError):
                # What could not be sent cannot be sent while it is closed either.
                with suppress(OSError):
                    app.close()
                assert time.monotonic() < until
                time.sleep(0.05)

    def test_a_socket_that_was_left_behind_is_replaced(self, path: Path) -> None:
        for _ in range(2):
            process = self.serve(path)
            process.kill()
            process.communicate()
            assert path.is_socket()

    def refusal(self, path: Path) -> str:
        command = [sys.executable, "-m", "sam2_mlx", "serve", "--socket", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
        return done.stderr

    def test_what_is_no_place_for_a_socket(self, path: Path) -> None:
        path.write_text("precious")
        assert "is there and no socket" in self.refusal(path)
        assert path.read_text() == "precious"
        path.unlink()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(path))
            other.listen()
            assert "another worker listens" in self.refusal(path)
        path.parent.chmod(0o755)
        assert "must be its owner's alone" in self.refusal(path)


@pytest.mark.parametrize("arguments", [[], ["--stdio", "--socket", "x"], ["--tcp"]])
def test_mistakes_on_the_command_line(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "sam2_mlx", "serve", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("sam2-mlx: error:")
    assert len(done.stderr.splitlines()) == 1


def test_a_greeting_waits_for_no_downloader() -> None:
    script = (
        "import sys, sam2_mlx.apps.serving.doors; print({'ssl', 'http.client'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout == "set()\n", done.stderr
