"""Workers on other machines, through Dask: its scheduler balances, and retries what is lost."""

from __future__ import annotations

import itertools
import logging
import os
import queue
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import sam2_mlx
from sam2_mlx.cli.batch import remote
from sam2_mlx.cli.batch.jobs import clip_files
from sam2_mlx.cli.batch.pieces import fetch_result, pieces
from sam2_mlx.cli.batch.pool import Outcome, Task
from sam2_mlx.cli.errors import INVALID, UsageError, note
from sam2_mlx.files import FileError, StagedFile
from sam2_mlx.ops.cpu.blas import usable_cores

LOCAL = "local"
_PATIENCE = 30.0  # seconds to wait for a scheduler to answer, or for a worker to come
_PACE = 2.0  # seconds between two looks at the workers
_GONE = "the Dask scheduler is gone; run it again to go on"


_TIMES = 3  # that a clip is sent to workers, of whom none gets it whole


class WorkerLost(Exception):
    """A worker that is gone, or cannot do what it is asked for."""


@dataclass(frozen=True)
class _Submitted:
    """A task that Dask has; only some workers may do it, or any where none are named."""

    task: Task
    future: Any
    only: tuple[str, ...]


class Cluster:
    """Workers of a Dask cluster; it has the interface of `Pool`.

    Args:
        address: of the scheduler, or "local" for a cluster on this machine.
        model: as for `Pool`.
        count: how many workers a local cluster has.
        folder: where results go.

    Attributes:
        facts: what the first worker says of its model; the others must have the same.

    Raises:
        UsageError: if there is no such cluster, or none of its workers will do.
    """

    def __init__(self, address: str, model: dict[str, Any], count: int, folder: Path) -> None:
        self._client, self._cluster = _connect(address, count)
        self._mark = StagedFile(Path(os.path.abspath(folder), "cluster"))
        name = f"sam2-mlx-{time.time_ns()}-{os.getpid()}"
        self._run = remote.Run(name, model, self._mark.path)
        # Futures that have ended, and words on how far a task is.
        self._events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._numbers = itertools.count()
        self._tasks: dict[str, _Submitted] = {}
        # By name: how often a clip was sent, and on which worker a task failed and why.
        self._sent: Counter[str] = Counter()
        self._failures: dict[str, tuple[str, str]] = {}
        self._fit: list[str] = []
        self._refused: set[str] = set()
        try:
            self._mark.path.touch()
            self._client.subscribe_topic(name, lambda event: self._events.put(event[1]))
            self._run = replace(self._run, facts=self._first_facts())
        except BaseException:
            self.close()
            raise
        self.facts = self._run.facts

    def run(
        self, next_task: Callable[[], Task | None], progress: Callable[[str, int, int], None]
    ) -> Iterator[Outcome]:
        """Do tasks, as many at a time as there are workers; see `Pool.run`."""
        while True:
            self._look_at_workers()
            while len(self._tasks) < len(self._fit) and (task := next_task()) is not None:
                self._submit(task)
            if not self._tasks:
                return
            if (outcome := self._wait(progress)) is not None:
                yield outcome

    def close(self) -> None:
        """Let go of the cluster; tasks that no worker has begun are dropped."""
        with suppress(UsageError), _asking():
            self._client.run(remote.forget, [self._run.name], on_error="ignore")
        self._mark.discard()
        self._client.close(timeout=5)
        if self._cluster is not None:
            self._cluster.close(timeout=5)

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _workers(self) -> dict[str, dict[str, Any]]:
        with _asking():
            return dict(self._client.scheduler_info(n_workers=-1)["workers"])

    def _look_at_workers(self) -> None:
        """Note who is there; waits for the first one.

        Raises:
            UsageError: if nobody who will do is there.
        """
        end = time.monotonic() + _PATIENCE
        while True:
            workers = self._workers().keys()
            for worker in sorted(workers - self._refused - set(self._fit)):
                with suppress(WorkerLost):
                    theirs, ours = self._ask(worker, remote.version), sam2_mlx.__version__
                    if theirs != ours:
                        self._refuse(worker, f"it has version {theirs}, this machine {ours}")
            self._fit = sorted(workers - self._refused)
            if self._fit:
                self._move_from_lost(workers)
                return
            if workers or time.monotonic() > end:
                raise UsageError("the cluster has no worker that will do; start one and run again")
            time.sleep(_PACE / 10)

    def _move_from_lost(self, workers: Set[str]) -> None:
        """Give to any worker what only workers may do that are gone: Dask waits for these."""
        for key, submitted in list(self._tasks.items()):
            if submitted.only and not workers & set(submitted.only):
                del self._tasks[key]
                submitted.future.cancel()
                self._submit(submitted.task)

    def _wait(self, progress: Callable[[str, int, int], None]) -> Outcome | None:
        """The next outcome, if it comes before the workers are to be looked at again."""
        end = time.monotonic() + _PACE
        with suppress(queue.Empty):
            while True:
                event = self._events.get(timeout=max(0.0, end - time.monotonic()))
                if not isinstance(event, tuple):
                    return self._outcome(event)
                progress(*event)
        return None

    def _refuse(self, worker: str, reason: str) -> None:
        if worker not in self._refused:
            note(f"worker {worker} is left out: {reason}")
        self._refused.add(worker)
        self._fit = self._others(worker)

    def _first_facts(self) -> dict[str, Any]:
        while True:
            self._look_at_workers()
            answer = _answer(self._start(remote.describe, self._run))
            if "facts" in answer:
                return dict(answer["facts"])
            if "unfit" not in answer:
                raise UsageError(answer["error"])
            self._refuse(answer["worker"], answer["unfit"])

    def _start(self, function: Callable[..., Any], *args: Any, only: Sequence[str] = ()) -> Any:
        """Have something done on one of some workers; without them on one that will do."""
        return self._client.submit(
            function,
            *args,
            key=f"{self._run.name}-{next(self._numbers)}",
            workers=only or self._fit,
            # Where those that will do are gone; and an idle one takes what waits for a busy one.
            allow_other_workers=not only,
            pure=False,
        )

    def _submit(self, task: Task, only: Sequence[str] = ()) -> None:
        future = self._start(remote.do_task, self._run, task, only=only)
        self._tasks[future.key] = _Submitted(task, future, tuple(only))
        future.add_done_callback(self._events.put)

    def _ask(self, worker: str, function: Callable[..., Any], *args: Any) -> Any:
        """Have something done on a worker at once, beside its task."""
        with _asking():
            answers = self._client.run(function, *args, workers=[worker], on_error="return")
        answer = answers[worker]
        if isinstance(answer, OSError):
            raise WorkerLost(f"{worker} does not answer") from answer
        if isinstance(answer, BaseException):
            self._refuse(worker, str(answer))
            raise WorkerLost(str(answer)) from answer
        return answer

    def _outcome(self, future: Any) -> Outcome | None:
        """What came of a task; None where it is not at an end."""
        submitted = self._tasks.pop(future.key, None)
        if submitted is None:
            return None  # it was given to another worker meanwhile
        task, answer = submitted.task, _answer(future)
        if "unfit" in answer:
            self._refuse(answer["worker"], answer["unfit"])
            self._submit(task)
            return None
        try:
            if "needs" in answer:
                self._send(task, answer["worker"])
                return None
            if "files" in answer:
                self._fetch(task, answer)
        except WorkerLost:
            self._submit(task)
            return None
        except (FileError, OSError) as problem:
            answer |= _failure(str(problem))
        if "code" in answer and "worker" in answer and self._goes_on_elsewhere(task, answer):
            return None
        self._sent.pop(task.name, None)
        if "died" in answer:
            return Outcome(task, None, answer["seconds"], answer["died"])
        return Outcome(task, answer, answer.get("seconds", 0.0))

    def _goes_on_elsewhere(self, task: Task, answer: dict[str, Any]) -> bool:
        """Give what failed to another worker, once: this one may lack a codec, or disk."""
        worker = answer["worker"]
        before, reason = self._failures.pop(task.name, ("", ""))
        if not answer["code"]:
            if before and before != worker:
                self._refuse(before, f"{task.name} failed there and not elsewhere: {reason}")
            return False
        others = self._others(worker)
        if before or not others:
            return False
        self._failures[task.name] = worker, answer["error"]
        self._submit(task, others)
        return True

    def _others(self, worker: str) -> list[str]:
        return [name for name in self._fit if name != worker]

    def _send(self, task: Task, worker: str) -> None:
        """Give a worker the clip of a task, and the task again."""
        if self._sent[task.name] == _TIMES:
            raise FileError(f"{task.clip} did not arrive whole on {worker}; does it change?")
        place = [self._run.name, task.digest, *([task.clip.name] if task.clip.is_dir() else [])]
        for part in task.parts or ("",):
            for piece in pieces(clip_files(task.clip / part)):
                self._ask(worker, remote.receive, [*place, *Path(part).parts], piece)
        self._sent[task.name] += 1
        self._submit(task, [worker])

    def _fetch(self, task: Task, answer: dict[str, Any]) -> None:
        """Get the results of a task; each appears whole or not at all."""
        worker, place = answer["worker"], [self._run.name, answer["place"]]
        for result in task.outputs.values():

            def read(name: str, offset: int, result: str = result) -> bytes:
                there = [*place, result, *(name.split("/") if name else [])]
                return bytes(self._ask(worker, remote.hand_over, there, offset))

            if answer["files"][result]:
                fetch_result(task.folder / result, answer["files"][result], read)
        with suppress(WorkerLost):
            self._ask(worker, remote.forget, place)


def _connect(address: str, count: int) -> tuple[Any, Any]:
    """A client, and the local cluster that it has, if it has one."""
    # It would tell of every connection.
    os.environ.setdefault("DASK_LOGGING__DISTRIBUTED", "critical")
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise UsageError(
            '--dask needs the package distributed: pip install "sam2_mlx[cluster]"'
        ) from None
    for name in ["distributed", *logging.root.manager.loggerDict]:
        if name.startswith("distributed"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
    cluster = None
    if address == LOCAL:
        lanes = os.environ.get("SAM2_MLX_LANES", str(max(1, usable_cores() // count)))
        cluster = LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            # Looking a hundred times a second at a thread that waits takes 2 % of a core.
            env={"SAM2_MLX_LANES": lanes, "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False"},
            dashboard_address=":0",
            silence_logs=logging.CRITICAL,
        )
    try:
        return Client(cluster or address, timeout=_PATIENCE), cluster
    # Dask has a TypeError for an address with TLS and no certificates.
    except (OSError, ValueError, TypeError) as problem:
        raise UsageError(
            f"no Dask scheduler at {address} ({problem}); check address and TLS, or start one "
            "(docs/scaling.md)"
        ) from problem


@contextmanager
def _asking() -> Iterator[None]:
    """Say in one line that the scheduler is gone."""
    try:
        yield
    # A client that has lost it knows no workers, and has no connection.
    except (OSError, TimeoutError, KeyError, AttributeError) as problem:
        raise UsageError(_GONE) from problem


def _answer(future: Any) -> dict[str, Any]:
    """What a worker answered, or what Dask has to say."""
    from distributed import CancelledError, KilledWorker

    try:
        return dict(future.result())
    except CancelledError:
        raise UsageError(_GONE) from None
    except KilledWorker:
        return _failure("it ended one Dask worker after the other")
    except Exception as problem:  # anything that a worker can raise
        return _failure(f"{type(problem).__name__}: {problem}")


def _failure(reason: str) -> dict[str, Any]:
    return {"code": INVALID, "error": reason, "notes": []}
