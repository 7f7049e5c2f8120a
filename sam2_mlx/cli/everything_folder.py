"""Everything in each picture of a folder; what is done already is left as it is."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sam2_mlx.cli.batch.engines import open_engine
from sam2_mlx.cli.batch.pool import Outcome, Task, TaskQueue
from sam2_mlx.cli.errors import INVALID, UsageError, report, say, tell
from sam2_mlx.cli.everything_options import EverythingOptions, read_everything_options
from sam2_mlx.cli.everything_results import DESCRIPTION
from sam2_mlx.cli.outputs import make_folder, plural
from sam2_mlx.cli.progress import progress_bar
from sam2_mlx.cli.stop import StopSignals
from sam2_mlx.files import FileError, check_regular, real_path, sha256
from sam2_mlx.media.pictures import list_pictures


def run(args: argparse.Namespace) -> int:
    """Do what the everything command was asked for; returns the exit code.

    Raises:
        ValueError, OSError: for arguments or input that cannot be carried out.
    """
    options = read_everything_options(args)
    source = args.folder
    if not source.exists():
        raise FileNotFoundError(f"no file or folder {source}; check the path")
    pictures = list_pictures(source) if source.is_dir() else [source]
    name = real_path(source).name if source.is_dir() else source.stem
    output = args.output or Path(f"{name}_everything")
    _make_folder(output, pictures)
    with open_engine(args, output, follow=False, alone=True) as engine, StopSignals() as stop:
        begin = time.perf_counter()
        with progress_bar("pictures", len(pictures)) as bar:
            facts = {name: engine.facts[name] for name in ("model", "dtype", "image_size")}
            # The name alone does not say it: `auto` can mean another model the next time.
            settings = facts | {"model": [args.model, facts["model"]], **asdict(options)}
            work = _Work(pictures, output, options, settings, bar, stop)
            for outcome in engine.run(work.queue.next_task, lambda name, done, total: None):
                work.take(outcome)
        _say(work.tally, output, time.perf_counter() - begin)
    if stop.received:
        tell("interrupted; run it again to go on")
        return 128 + stop.received
    return INVALID if work.tally["failed"] else 0


def _make_folder(output: Path, pictures: Sequence[Path]) -> None:
    if real_path(output) == real_path(pictures[0]).parent:
        # Drawings among the pictures would be taken for pictures the next time.
        raise UsageError(f"{output} holds the pictures; give --output another folder")
    make_folder("--output", output)


def _names(pictures: Sequence[Path]) -> list[str]:
    """What the results are called: two pictures that differ in their extension alone keep it."""
    stems = Counter(picture.stem.lower() for picture in pictures)
    return [one.stem if stems[one.stem.lower()] == 1 else one.name for one in pictures]


@dataclass
class _Work:
    """What is to be done, and what became of it."""

    pictures: Sequence[Path]
    output: Path
    options: EverythingOptions
    settings: dict[str, Any]
    bar: Any
    stop: StopSignals

    def __post_init__(self) -> None:
        self.tally: Counter[str] = Counter()
        self.queue = TaskQueue(self._all_tasks(), self.stop)

    def take(self, outcome: Outcome) -> None:
        """Note how a picture ended."""
        task, answer = outcome.task, outcome.answer
        if answer is None:
            if not self.queue.try_again(task):
                self._fail(f"{task.clip}: {outcome.reason}, {task.deaths + 1} times")
        elif answer["code"]:
            self._fail(answer["error"])
        else:
            self.tally.update(written=1, masks=answer["masks"])
            self.bar.update()

    def _all_tasks(self) -> Iterator[Task]:
        for picture, name in zip(self.pictures, _names(self.pictures), strict=True):
            info: dict[str, Any] = {"description": DESCRIPTION, "settings": self.settings}
            outputs = {"drawing": f"{name}_masked.png", "document": f"{name}.json"}
            try:
                if not picture.is_file():
                    raise FileError(f"no file {picture}; it is a broken link, or gone by now")
                info["sha256"] = digest = sha256(picture)
                done = _is_done(self.output / outputs["document"], info)
            # One bad picture does not stop the others.
            except (FileError, OSError) as problem:
                self._fail(problem)
                continue
            if done:
                self.tally["skipped"] += 1
                self.bar.update()
                continue
            options = {"search": asdict(self.options), "info": info}
            place, folder = (Path(os.path.abspath(path)) for path in (picture, self.output))
            yield Task(name, "everything", place, digest, options, outputs, folder)

    def _fail(self, problem: object) -> None:
        self.tally["failed"] += 1
        self.bar.clear()
        report(problem)
        self.bar.update()


def _is_done(document: Path, info: dict[str, Any]) -> bool:
    """Whether a document of an earlier run holds what would be written again."""
    if not document.exists():
        return False
    check_regular(document)
    try:
        earlier = json.loads(document.read_text(encoding="utf-8"))["info"]
        ours = earlier["description"] == DESCRIPTION
    except (ValueError, KeyError, TypeError, RecursionError):
        ours = False
    if not ours:
        raise FileError(
            f"{document} was not written by an earlier run and would be lost; "
            "give --output another folder"
        )
    # The document is written last, so where it is whole the drawing is there too.
    return bool(earlier == info)


def _say(tally: Counter[str], output: Path, seconds: float) -> None:
    parts = [f"{plural(tally['masks'], 'mask')} in {seconds:.1f} s"]
    if tally["skipped"]:
        parts.append(f"{plural(tally['skipped'], 'picture')} done before")
    if tally["failed"]:
        parts.append(f"{plural(tally['failed'], 'picture')} could not be used")
    say(f"wrote {plural(tally['written'], 'picture')} to {output} ({'; '.join(parts)})")
