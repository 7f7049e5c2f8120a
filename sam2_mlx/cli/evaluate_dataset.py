"""Annotated videos through an engine: each scored once, then a table and JSON."""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from sam2_mlx.cli.arguments import refuse
from sam2_mlx.cli.batch.engines import Here, open_engine
from sam2_mlx.cli.batch.jobs import fingerprint
from sam2_mlx.cli.batch.manifest import NAME as MANIFEST
from sam2_mlx.cli.batch.manifest import Manifest
from sam2_mlx.cli.batch.pool import Task
from sam2_mlx.cli.batch.work import Work
from sam2_mlx.cli.errors import INVALID, UsageError, say, tell
from sam2_mlx.cli.outputs import check_outputs, make_folder, plural
from sam2_mlx.cli.process import Interrupted
from sam2_mlx.cli.progress import Bars
from sam2_mlx.cli.stop import StopSignals
from sam2_mlx.evaluation.datasets import Dataset, open_dataset
from sam2_mlx.evaluation.report import as_json, table
from sam2_mlx.evaluation.runs import GivenPrompt, SavedMasks
from sam2_mlx.evaluation.scores import SequenceScore
from sam2_mlx.files import real_path, write_json


def run(args: argparse.Namespace) -> int:
    """Do what the eval command was asked for; returns the exit code.

    Raises:
        ValueError, OSError: for arguments or a dataset that cannot be carried out.
    """
    prompt = str(GivenPrompt.parse(args.prompt))
    dataset = open_dataset(args.dataset, args.set)
    _check(args, dataset)
    if args.sequences:
        dataset = dataset.chosen([name for name in args.sequences.split(",") if name])
    if args.masks:
        SavedMasks(args.masks)
        options: dict[str, Any] = {"masks": os.path.abspath(args.masks)}
        settings: dict[str, Any] = {"masks": args.masks.name}
    else:
        options = {"prompt": prompt, "memory": args.memory, "fill_holes": args.fill_holes}
        settings = options | {"max_frames": args.max_frames}
    stop = StopSignals()
    work, facts, seconds = _work(dataset, args, options | {"max_frames": args.max_frames}, stop)
    settings = {name: facts[name] for name in ("model", "dtype", "image_size") if facts} | settings
    settings["seconds"] = round(seconds, 1)
    settings |= {"dataset": real_path(dataset.root).name, "layout": dataset.layout, "set": args.set}
    entries = work.skipped | work.done
    fields = [entries[name].score for name in dataset.names if name in entries]
    try:
        scores = [SequenceScore.from_fields(one) for one in fields]
    except (KeyError, TypeError, ValueError) as problem:
        raise UsageError(f"{args.out / MANIFEST} is damaged; remove it") from problem
    if args.json:
        write_json(args.json, as_json(scores, work.failed, settings), indent=1)
    say(table(scores, dataset.layout, work.failed))
    if stop.received:
        scored = f"{len(scores)} of {plural(len(dataset.names), 'sequence')}"
        tell(f"interrupted; {scored} were scored")
        return 128 + stop.received
    return INVALID if work.failed else 0


def _check(args: argparse.Namespace, dataset: Dataset) -> None:
    if args.masks:
        needless = ("save_masks", "workers", "dask", "out")
        refuse(args, needless, "--masks scores masks that are saved already; leave out {}")
    if args.json and not real_path(args.json).parent.is_dir():
        raise UsageError(f"--json {args.json}: there is no such folder; make it first")
    if args.json and args.json.is_dir():
        raise UsageError(f"--json {args.json} is a folder; name a file")
    if args.fill_holes < 0:
        raise UsageError(f"--fill-holes is an area of 0 or more; got {args.fill_holes:g}")
    manifest = args.out and args.out / MANIFEST
    outputs = [("--json", args.json), ("--save-masks", args.save_masks), ("--out", manifest)]
    check_outputs(outputs, [dataset.root, *dataset.root.iterdir()])
    for option, target in outputs:
        # The next run would take it for frames or true masks.
        if target is not None and real_path(dataset.root) in real_path(target).parents:
            raise UsageError(f"{target} is in the dataset; give {option} another name")


def _work(
    dataset: Dataset, args: argparse.Namespace, options: dict[str, Any], stop: StopSignals
) -> tuple[Work[str], dict[str, Any], float]:
    """Score the sequences that are not scored yet; also what is said of the model, and seconds.

    Args:
        dataset: with the sequences.
        args: of the command.
        options: how masks are made.
        stop: ends it after the frame at hand; sequences at work are dropped then.
    """
    for option, folder in (("--out", args.out), ("--save-masks", args.save_masks)):
        if folder is not None:
            make_folder(option, folder)
    with tempfile.TemporaryDirectory() as spare, closing(Manifest(args.out)) as manifest:
        folder = Path(os.path.abspath(args.save_masks or args.out or spare))
        alone = args.out is None
        engine = Here(None) if args.masks else open_engine(args, folder, follow=True, alone=alone)

        def make_task(name: str) -> Task:
            parts = dataset.parts(name)
            root = Path(os.path.abspath(dataset.root))
            digest = manifest.digest(root, parts) if args.out or args.dask else ""
            outputs = {"masks": name} if args.save_masks else {}
            print_ = fingerprint(digest, options, engine.facts, [*outputs])
            task = {"sequence": name, **options}
            return Task(name, "eval", root, digest, task, outputs, folder, print_, parts)

        def on_frame(name: str, done: int, total: int) -> None:
            if stop.received:
                raise Interrupted(stop.received)
            bars.show(name, done, total)

        begin = time.perf_counter()
        with engine, stop, Bars("sequences", len(dataset.names)) as bars:
            jobs = {name: name for name in dataset.names}
            retry = args.retry_failed
            work = Work(jobs, make_task, manifest, bars, stop, retry_failed=retry)
            with suppress(Interrupted):
                for outcome in engine.run(work.queue.next_task, on_frame):
                    work.take(outcome)
            seconds = time.perf_counter() - begin
        return work, engine.facts, seconds
