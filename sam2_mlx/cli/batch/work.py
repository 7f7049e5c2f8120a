"""Jobs through an engine: which are still to be done, and what became of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Generic, TypeVar

from sam2_mlx.cli.batch.manifest import DIED, DONE, FAILED, Entry, Manifest, sizes
from sam2_mlx.cli.batch.pool import Outcome, Task, TaskQueue
from sam2_mlx.cli.errors import report
from sam2_mlx.cli.progress import Bars
from sam2_mlx.cli.stop import StopSignals

Job = TypeVar("Job")


class Work(Generic[Job]):
    """The jobs of a run; what the manifest says to be done is not done again.

    Args:
        jobs: by name.
        make_task: called when it is a job's turn; raises where there is nothing to work on.
        manifest: what was done before; gets a line for each job that ends.
        bars: counts the jobs.
        stop: after a signal no more are begun.
        retry_failed: also do those that failed before.

    Attributes:
        queue: the tasks, for an engine.
        done: how each job of this run ended well, by name.
        skipped: how those ended that were done before.
        failed: why the others did not, by name.
    """

    def __init__(  # noqa: PLR0913 - what a run over many jobs consists of
        self,
        jobs: Mapping[str, Job],
        make_task: Callable[[Job], Task],
        manifest: Manifest,
        bars: Bars,
        stop: StopSignals,
        *,
        retry_failed: bool,
    ) -> None:
        self._jobs = jobs
        self._make_task = make_task
        self._manifest = manifest
        self._bars = bars
        self._retry_failed = retry_failed
        self.queue = TaskQueue(self._tasks(), stop)
        self.done: dict[str, Entry] = {}
        self.skipped: dict[str, Entry] = {}
        self.failed: dict[str, str] = {}

    def take(self, outcome: Outcome) -> None:
        """Note how a task ended."""
        task, answer = outcome.task, outcome.answer
        if answer is None:
            reason = outcome.reason
            entry = Entry(task.name, DIED, task.fingerprint, reason, seconds=outcome.seconds)
            self._manifest.add(entry)
            if not self.queue.try_again(task):
                self._fail(task.name, f"{reason}, {task.deaths + 1} times", task.fingerprint)
            return
        if answer["code"]:
            reason = answer["error"] or f"code {answer['code']}"
            self._fail(task.name, reason, task.fingerprint)
            return
        outputs = task.outputs.values()
        files = sizes(task.folder, outputs)
        if len(files) < len(outputs):
            reason = f"{min(outputs - files.keys())} is not in {task.folder}"
            self._fail(task.name, reason, task.fingerprint)
            return
        entry = Entry(
            task.name,
            DONE,
            task.fingerprint,
            files=files,
            notes=answer["notes"],
            seconds=round(outcome.seconds, 2),
            score=answer.get("score", {}),
        )
        self._manifest.add(entry)
        self.done[task.name] = entry
        self._bars.count(task.name)

    def _tasks(self) -> Iterator[Task]:
        for name, job in self._jobs.items():
            try:
                task = self._make_task(job)
            except (ValueError, OSError) as problem:
                self._fail(name, str(problem))
                continue
            earlier = self._manifest.earlier(name, task.fingerprint, task.folder)
            if earlier is not None and earlier.state == DONE:
                self.skipped[name] = earlier
                self._bars.count()
            elif self._retry_failed:
                yield task
            elif earlier is not None:
                self.failed[name] = f"{earlier.reason} (before; --retry-failed tries again)"
                self._bars.count()
            else:
                yield replace(task, deaths=self._manifest.deaths(name, task.fingerprint))

    def _fail(self, name: str, reason: str, fingerprint: str = "") -> None:
        reason = " ".join(reason.split())
        self.failed[name] = reason
        self._manifest.add(Entry(name, FAILED, fingerprint, reason))
        self._bars.count(name)
        self._bars.clear()
        report(f"{name}: {reason}")
