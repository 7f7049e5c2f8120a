"""Workers on this machine: processes that are given tasks, and replaced when they die."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sam2_mlx.cli.errors import UsageError
from sam2_mlx.cli.stop import StopSignals
from sam2_mlx.ops.cpu.blas import usable_cores

WORKER = "sam2_mlx.cli.batch.worker"
_SIGNALLED = 128
DEADLY = 3
"""What has killed so many workers is not tried again."""
# What a worker with a small model and a full-HD clip takes, by docs/scaling.md.
_WORKER_BYTES = 2 * 2**30
_GRACE = 5.0  # seconds to put away what was written


@dataclass(frozen=True)
class Task:
    """A job as a worker gets it.

    Attributes:
        name: of the job.
        command: video, everything, or eval.
        clip: the input, with its whole path.
        digest: of its content.
        options: for the command; see `worker.do_task`.
        outputs: the options that name outputs, each with its file.
        folder: where these go.
        fingerprint: what the result depends on.
        parts: folders in the input that the task is about; none for the whole.
        deaths: workers that it ended before.
    """

    name: str
    command: str
    clip: Path
    digest: str
    options: dict[str, Any]
    outputs: dict[str, str]
    folder: Path
    fingerprint: str = ""
    parts: tuple[str, ...] = ()
    deaths: int = 0

    @property
    def message(self) -> dict[str, Any]:
        """What a worker is told."""
        outputs = {option: str(self.folder / file) for option, file in self.outputs.items()}
        facts = {"command": self.command, "input": str(self.clip), "outputs": outputs}
        return facts | self.options


@dataclass(frozen=True)
class Outcome:
    """What became of a task: an answer, or the death of its worker.

    Attributes:
        task: the task.
        answer: of the worker, or None where it died.
        seconds: from the beginning.
        reason: of the death.
    """

    task: Task
    answer: dict[str, Any] | None
    seconds: float
    reason: str = ""


class TaskQueue:
    """Tasks in their order; those whose worker died come again, until they are `DEADLY`.

    Args:
        tasks: all there are, each made when it is its turn.
        stop: after a signal no more are handed out.
    """

    def __init__(self, tasks: Iterator[Task], stop: StopSignals) -> None:
        self._tasks = tasks
        self._stop = stop
        self._again: list[Task] = []

    def next_task(self) -> Task | None:
        """The next task that is to be done, or None."""
        if self._stop.received:
            return None
        return self._again.pop() if self._again else next(self._tasks, None)

    def try_again(self, task: Task) -> bool:
        """Take back a task whose worker died; False where it has killed too many."""
        deaths = task.deaths + 1
        if deaths >= DEADLY:
            return False
        self._again.append(replace(task, deaths=deaths))
        return True


@dataclass
class _Worker:
    process: subprocess.Popen[bytes]
    log: Any
    task: Task | None = None
    begin: float = 0.0
    buffer: bytes = b""
    messages: deque[dict[str, Any]] = field(default_factory=deque)


class Pool:
    """Workers that have one model loaded each.

    Args:
        model: `model`, `dtype`, `image_size` and `device` as they are typed, and `follow`: whether
            it is for clips.
        count: how many workers.

    Attributes:
        facts: what the workers say of their model.

    Raises:
        UsageError: if the model cannot be loaded.
    """

    def __init__(self, model: dict[str, Any], count: int) -> None:
        self._model = model
        self._count = count
        self._workers: list[_Worker] = []
        self._selector = selectors.DefaultSelector()
        self._dropped: Task | None = None
        self.facts: dict[str, Any] = {}
        # The first one says what the model is; the others are started when there is work.
        first = self._start()
        alive = True
        while alive and not first.messages:
            alive = not self._ready() or self._read(first)
        self.facts = first.messages.popleft() if first.messages else {"error": _last_line(first)}
        if "error" in self.facts:
            self.close()
            raise UsageError(self.facts["error"] or "a worker ended while it loaded the model")

    def run(
        self,
        next_task: Callable[[], Task | None],
        progress: Callable[[str, int, int], None],
    ) -> Iterator[Outcome]:
        """Do tasks, as many at a time as there are workers.

        Args:
            next_task: gives the next one, or None where there is none for now; a task whose
                worker died may be given again.
            progress: called with a task's name, frames done and frames in all.

        Yields:
            Outcomes, in the order in which they come.
        """
        while True:
            for place in range(self._count):
                worker = self._free(place)
                task = None if worker is None else self._dropped or next_task()
                if worker is not None and task is not None:
                    self._dropped = None
                    self._give(worker, task)
            if not any(worker.task is not None for worker in self._workers):
                return
            for worker in self._ready():
                outcome = self._listen(worker, progress)
                if outcome is not None:
                    yield outcome

    def close(self) -> None:
        """End all workers; what they have not finished is dropped."""
        for worker in self._workers:
            assert worker.process.stdin is not None
            with suppress(BrokenPipeError):
                worker.process.stdin.close()
            if worker.task is not None:
                worker.process.send_signal(signal.SIGTERM)
        end = time.monotonic() + _GRACE
        for worker in self._workers:
            try:
                worker.process.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
            self._forget(worker)
        self._workers.clear()
        self._selector.close()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _start(self) -> _Worker:
        lanes = str(max(1, usable_cores() // self._count))
        log = tempfile.TemporaryFile()
        process = subprocess.Popen(
            [sys.executable, "-m", WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env={"SAM2_MLX_LANES": lanes, **os.environ},
            # Ctrl-C is this process's matter; it tells the workers.
            start_new_session=True,
        )
        worker = _Worker(process, log)
        assert process.stdout is not None
        self._selector.register(process.stdout, selectors.EVENT_READ, worker)
        self._workers.append(worker)
        self._send(worker, self._model)
        return worker

    def _free(self, place: int) -> _Worker | None:
        """A worker without a task, if the place has one or is empty."""
        if place >= len(self._workers):
            return self._start()
        worker = self._workers[place]
        return worker if worker.task is None else None

    def _give(self, worker: _Worker, task: Task) -> None:
        worker.task, worker.begin = task, time.monotonic()
        self._send(worker, task.message)

    def _send(self, worker: _Worker, message: dict[str, Any]) -> None:
        assert worker.process.stdin is not None
        try:
            worker.process.stdin.write(json.dumps(message).encode() + b"\n")
            worker.process.stdin.flush()
        except BrokenPipeError:
            pass  # it died; that is noticed where it is listened to

    def _ready(self) -> list[_Worker]:
        return [key.data for key, _ in self._selector.select(timeout=0.5)]

    def _read(self, worker: _Worker) -> bool:
        """Take in what a worker says; False when it has ended."""
        stdout = worker.process.stdout
        assert stdout is not None
        data = os.read(stdout.fileno(), 2**16)
        *lines, worker.buffer = (worker.buffer + data).split(b"\n")
        worker.messages += [json.loads(line) for line in lines]
        return bool(data)

    def _listen(self, worker: _Worker, progress: Callable[[str, int, int], None]) -> Outcome | None:
        """What a worker's words mean for its task."""
        alive = self._read(worker)
        task, seconds = worker.task, time.monotonic() - worker.begin
        while worker.messages:
            message = worker.messages.popleft()
            # Above 128 it was a signal, and its process is about to end.
            if message.get("code", _SIGNALLED) < _SIGNALLED and task is not None:
                worker.task = None
                return Outcome(task, message, seconds)
            if "frames" in message and task is not None:
                progress(task.name, message["frames"], message["of"])
            if "error" in message and "code" not in message:
                self._give_up(worker, message["error"])
                return None
        if alive:
            return None
        code = worker.process.wait()
        reason = f"its worker ended with code {code} ({_last_line(worker)})"
        if code < 0:
            reason = f"its worker was ended by {signal.Signals(-code).name}"
        self._workers.remove(worker)
        self._forget(worker)
        return None if task is None else Outcome(task, None, seconds, reason)

    def _give_up(self, worker: _Worker, problem: str) -> None:
        """Go on without a worker that could not load the model, where the first one could."""
        self._count -= 1
        self._dropped = worker.task or self._dropped
        self._workers.remove(worker)
        worker.process.wait()
        self._forget(worker)
        if not self._count:
            raise UsageError(problem)

    def _forget(self, worker: _Worker) -> None:
        assert worker.process.stdin is not None and worker.process.stdout is not None
        self._selector.unregister(worker.process.stdout)
        with suppress(BrokenPipeError):
            worker.process.stdin.close()
        worker.process.stdout.close()
        worker.log.close()


def default_workers(on_gpu: bool) -> int:
    """How many workers suit this machine: one for a GPU; on a CPU by cores and memory."""
    if on_gpu:
        return 1
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return 1
    return max(1, min(usable_cores(), free // _WORKER_BYTES))


def _last_line(worker: _Worker) -> str:
    worker.log.seek(0)
    lines = worker.log.read()[-4000:].decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else ""
