"""What works through a folder: this process, several on this machine, or a Dask cluster."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from sam2_mlx.cli.batch.cluster import LOCAL, Cluster
from sam2_mlx.cli.batch.pool import Outcome, Pool, Task, default_workers
from sam2_mlx.cli.batch.worker import do_task, model_facts
from sam2_mlx.cli.model import ModelChoice, load_model
from sam2_mlx.ops.device import on_gpu


class Here:
    """This process, with the interface of `Pool`.

    Args:
        choice: the model, or None where tasks need none.

    Attributes:
        facts: what the model is.
    """

    def __init__(self, choice: ModelChoice | None) -> None:
        self._model = None if choice is None else load_model(choice)
        self.facts = {} if self._model is None else model_facts(self._model)

    def run(
        self, next_task: Callable[[], Task | None], progress: Callable[[str, int, int], None]
    ) -> Iterator[Outcome]:
        """Do tasks, one after the other; see `Pool.run`."""
        while (task := next_task()) is not None:
            begin = time.monotonic()
            answer = do_task(task.message, self._model, partial(progress, task.name))
            yield Outcome(task, answer, time.monotonic() - begin)

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *exc: object) -> None: ...


def open_engine(
    args: argparse.Namespace, folder: Path, *, follow: bool, alone: bool
) -> Here | Pool | Cluster:
    """What a command asks for.

    Args:
        args: of the command, with those of the model and of `add_engine_arguments`.
        folder: where results go.
        follow: whether the model is for clips.
        alone: whether this process does the work where no other is asked for; what can end a
            process, as a clip that a decoder crashes over can, is left to others.

    Raises:
        UsageError: if there is no such model or cluster.
    """
    model = {name: getattr(args, name) for name in ("model", "dtype", "image_size", "device")}
    model["follow"] = follow
    if alone and not (args.workers or args.dask):
        return Here(ModelChoice(args.model, args.dtype, args.image_size, follow))
    if os.path.exists(args.model):
        model["model"] = os.path.abspath(args.model)
    if args.dask not in (None, LOCAL):
        return Cluster(args.dask, model, 0, folder)
    count = args.workers or default_workers(on_gpu())
    return Pool(model, count) if args.dask is None else Cluster(LOCAL, model, count, folder)
