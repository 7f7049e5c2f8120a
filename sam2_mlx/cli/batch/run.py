"""One run over many clips: what is to be done, doing it, and what became of it."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from sam2_mlx.cli.arguments import MASK_ENDINGS
from sam2_mlx.cli.batch.engines import open_engine
from sam2_mlx.cli.batch.jobs import OPTIONS, ClipJob, fingerprint, read_jobs
from sam2_mlx.cli.batch.manifest import DIED, DONE, FAILED, Entry, Manifest, sizes
from sam2_mlx.cli.batch.pool import Outcome, Task, TaskQueue
from sam2_mlx.cli.errors import note, report, say
from sam2_mlx.cli.outputs import check_outputs, plural
from sam2_mlx.cli.process import Interrupted
from sam2_mlx.cli.progress import Bars
from sam2_mlx.cli.stop import StopSignals
from sam2_mlx.files import FileError, write_json
from sam2_mlx.media.encodings import CLIP_ENDINGS

SOME_FAILED = 3
REPORT = "report.json"


def run(args: argparse.Namespace, default: Callable[[str], Any]) -> int:
    """Do what the batch command was asked for; returns the exit code.

    Args:
        args: of the command.
        default: of an argument.

    Raises:
        ValueError, OSError: for arguments or jobs that cannot be carried out.
    """
    jobs = read_jobs(args.jobs, _options(args, default))
    check_outputs([("--out", args.out)], [args.jobs, *(job.clip for job in jobs)])
    args.out.mkdir(parents=True, exist_ok=True)
    begin = time.perf_counter()
    stop, ended = StopSignals(), 0
    with closing(Manifest(args.out)) as manifest:
        engine = open_engine(args, args.out, follow=True)
        with engine, stop, Bars("clips", len(jobs)) as bars:
            batch = _Batch(args, jobs, manifest, engine.facts, bars, stop)
            try:
                for outcome in engine.run(batch.queue.next_task, bars.show):
                    batch.take(outcome)
            except Interrupted as problem:
                # The second signal: the clips at work are dropped.
                ended = problem.number
    batch.say(time.perf_counter() - begin)
    ended = ended or stop.received
    if ended:
        print("sam2-mlx: interrupted; run it again to go on", file=sys.stderr)
        return 128 + ended
    return SOME_FAILED if batch.failed else 0


def _options(args: argparse.Namespace, default: Callable[[str], Any]) -> dict[str, Any]:
    """The options of the video command that are for all jobs, where they say something."""
    chosen = {}
    for name in sorted(OPTIONS):
        value = getattr(args, name.replace("-", "_"))
        if value != default(name.replace("-", "_")):
            chosen[name] = str(value) if isinstance(value, Fraction) else value
    return chosen


@dataclass
class _Batch:
    """What became of the jobs so far.

    Attributes:
        done: names of jobs, with how each ended.
        skipped: names of jobs that were done before.
        failed: why jobs failed, by name.
    """

    args: argparse.Namespace
    jobs: list[ClipJob]
    manifest: Manifest
    facts: dict[str, Any]
    bars: Bars
    stop: StopSignals
    done: dict[str, Entry] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._prints: dict[str, str] = {}
        self.queue = TaskQueue(self._all_tasks(), self.stop)

    def _all_tasks(self) -> Iterator[Task]:
        settings = self.facts | {"masks": self.args.save_masks, "scores": self.args.scores}
        for job in self.jobs:
            try:
                digest = self.manifest.digest(job.clip)
            except (FileError, OSError) as problem:
                self._fail(job.name, "", str(problem))
                continue
            print_ = self._prints[job.name] = fingerprint(job, digest, settings)
            earlier = self.manifest.failure(job.name, print_)
            if self.manifest.is_done(job.name, print_):
                self.skipped.append(job.name)
                self.bars.count()
            elif earlier is not None and not self.args.retry_failed:
                self.failed[job.name] = f"{earlier.reason} (before; --retry-failed tries again)"
                self.bars.count()
            else:
                deaths = 0 if self.args.retry_failed else self.manifest.deaths(job.name, print_)
                clip = Path(os.path.abspath(job.clip))
                outputs = self._outputs(job.name)
                folder = Path(os.path.abspath(self.args.out))
                options = {"arguments": job.arguments, "prompts": job.prompts}
                yield Task(job.name, "video", clip, digest, options, outputs, folder, deaths)

    def take(self, outcome: Outcome) -> None:
        """Note how a task ended."""
        name, answer = outcome.task.name, outcome.answer
        print_ = self._prints[name]
        if answer is None:
            reason = outcome.reason
            self.manifest.add(Entry(name, DIED, print_, reason, seconds=outcome.seconds))
            if not self.queue.try_again(outcome.task):
                self._fail(name, print_, f"{reason}, {outcome.task.deaths + 1} times")
            return
        if answer["code"]:
            self._fail(name, print_, answer["error"] or f"code {answer['code']}")
            return
        outputs = outcome.task.outputs.values()
        files = sizes(self.args.out, outputs)
        if len(files) < len(outputs):
            self._fail(name, print_, f"{min(outputs - files.keys())} is not in {self.args.out}")
            return
        entry = Entry(name, DONE, print_, "", files, answer["notes"], round(outcome.seconds, 2))
        self.manifest.add(entry)
        self.done[name] = entry
        self.bars.count(name)

    def say(self, seconds: float) -> None:
        """Print a table, and write it as JSON."""
        content = {
            "done": {name: {"files": entry.files, "notes": entry.notes, "seconds": entry.seconds}
                     for name, entry in self.done.items()},
            "skipped": self.skipped,
            "failed": self.failed,
            "seconds": round(seconds, 1),
            "model": self.facts,
        }  # fmt: skip
        write_json(self.args.out / REPORT, content, indent=1)
        for name, entry in self.done.items():
            for text in entry.notes:
                note(f"{name}: {text}")
        left = len(self.jobs) - len(self.done) - len(self.skipped) - len(self.failed)
        counts = Counter(done=len(self.done), skipped=len(self.skipped), failed=len(self.failed))
        rows = [f"{what:8} {count}" for what, count in (*counts.items(), ("left", left)) if count]
        say("\n".join([*rows, *(f"  {name}: {why}" for name, why in self.failed.items())]))
        say(f"{plural(len(self.jobs), 'clip')} in {seconds:.1f} s; {self.args.out / REPORT}")

    def _fail(self, name: str, print_: str, reason: str) -> None:
        self.failed[name] = reason
        self.manifest.add(Entry(name, FAILED, print_, reason))
        self.bars.count(name)
        self.bars.clear()
        report(f"{name}: {reason}")

    def _outputs(self, name: str) -> dict[str, str]:
        """The options that name a job's results, each with its file."""
        endings = {"--output": CLIP_ENDINGS[self.args.format]}
        if self.args.save_masks:
            endings["--save-masks"] = MASK_ENDINGS[self.args.save_masks]
        if self.args.scores:
            endings["--scores"] = "_scores.jsonl"
        return {option: f"{name}{ending}" for option, ending in endings.items()}
