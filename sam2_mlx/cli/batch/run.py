"""One run over many clips: what is to be done, doing it, and what became of it."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from sam2_mlx.cli.arguments import MASK_ENDINGS
from sam2_mlx.cli.batch.engines import open_engine
from sam2_mlx.cli.batch.jobs import OPTIONS, ClipJob, fingerprint, read_jobs
from sam2_mlx.cli.batch.manifest import Manifest
from sam2_mlx.cli.batch.pool import Task
from sam2_mlx.cli.batch.work import Work
from sam2_mlx.cli.errors import note, say, tell
from sam2_mlx.cli.outputs import check_outputs, make_folder, plural
from sam2_mlx.cli.process import Interrupted
from sam2_mlx.cli.progress import Bars
from sam2_mlx.cli.stop import StopSignals
from sam2_mlx.files import write_json
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
    make_folder("--out", args.out)
    begin = time.perf_counter()
    stop, ended = StopSignals(), 0
    with closing(Manifest(args.out)) as manifest:
        engine = open_engine(args, args.out, follow=True, alone=False)
        with engine, stop, Bars("clips", len(jobs)) as bars:
            settings = engine.facts | {"masks": args.save_masks, "scores": args.scores}
            tasks = _Tasks(args, manifest, settings)
            work = Work(
                {job.name: job for job in jobs},
                tasks.task_of,
                manifest,
                bars,
                stop,
                retry_failed=args.retry_failed,
            )
            try:
                for outcome in engine.run(work.queue.next_task, bars.show):
                    work.take(outcome)
            except Interrupted as problem:
                # The second signal: the clips at work are dropped.
                ended = problem.number
    _say(work, args.out, len(jobs), time.perf_counter() - begin, engine.facts)
    ended = ended or stop.received
    if ended:
        tell("interrupted; run it again to go on")
        return 128 + ended
    return SOME_FAILED if work.failed else 0


def _options(args: argparse.Namespace, default: Callable[[str], Any]) -> dict[str, Any]:
    """The options of the video command that are for all jobs, where they say something."""
    chosen = {}
    for name in sorted(OPTIONS):
        value = getattr(args, name.replace("-", "_"))
        if value != default(name.replace("-", "_")):
            chosen[name] = str(value) if isinstance(value, Fraction) else value
    return chosen


@dataclass(frozen=True)
class _Tasks:
    """Makes the tasks of jobs.

    Attributes:
        settings: of all jobs, on which results depend.
    """

    args: argparse.Namespace
    manifest: Manifest
    settings: dict[str, Any]

    def task_of(self, job: ClipJob) -> Task:
        """The task of a job; raises if there is no such clip."""
        digest = self.manifest.digest(job.clip)
        return Task(
            job.name,
            "video",
            Path(os.path.abspath(job.clip)),
            digest,
            {"arguments": job.arguments, "prompts": job.prompts},
            self._outputs(job),
            Path(os.path.abspath(self.args.out)),
            fingerprint(digest, job.prompts, job.options, self.settings),
        )

    def _outputs(self, job: ClipJob) -> dict[str, str]:
        """The options that name a job's results, each with its file."""
        # A format that there is not is refused where the video command's options are read.
        format_ = str(job.options.get("format"))
        endings = {"--output": CLIP_ENDINGS.get(format_, CLIP_ENDINGS["video"])}
        if self.args.save_masks:
            endings["--save-masks"] = MASK_ENDINGS[self.args.save_masks]
        if self.args.scores:
            endings["--scores"] = "_scores.jsonl"
        return {option: f"{job.name}{ending}" for option, ending in endings.items()}


def _say(work: Work[ClipJob], folder: Path, count: int, seconds: float, facts: Any) -> None:
    """Print a table, and write it as JSON."""
    content = {
        "done": {name: {"files": entry.files, "notes": entry.notes, "seconds": entry.seconds}
                 for name, entry in work.done.items()},
        "skipped": list(work.skipped),
        "failed": work.failed,
        "seconds": round(seconds, 1),
        "model": facts,
    }  # fmt: skip
    for name, entry in work.done.items():
        for text in entry.notes:
            note(f"{name}: {text}")
    counts = {"done": len(work.done), "skipped": len(work.skipped), "failed": len(work.failed)}
    counts["left"] = count - sum(counts.values())
    rows = [f"{what:8} {number}" for what, number in counts.items() if number]
    say("\n".join([*rows, *(f"  {name}: {why}" for name, why in work.failed.items())]))
    write_json(folder / REPORT, content, indent=1)
    say(f"{plural(count, 'clip')} in {seconds:.1f} s; {folder / REPORT}")
