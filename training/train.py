"""Trains a small SAM 2.1 on made clips.

    python -m training.train --config training/nano.yaml --bank BANK.npz --out RUN [--from nano.pt]

RUN gets `log.jsonl`, the newest `state.pt` (for `--resume`) and after each stage `STAGE.pt` in the
official format, which `convert.py` reads. `--from` starts from such a file and leaves out the
stages that are for random weights. `--minutes` ends each stage after that time at the latest, with
the learning rate brought down as if it had run to its end.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sam2_mlx.config import MODELS
from training.batches import Batches, batches
from training.dense import DenseHead
from training.losses import LossWeights, Meter
from training.network import build_network, load_weights, start_from_nothing, start_memory
from training.optimizer import Optimizer
from training.recipe import Stage, TrainingPlan, read_plan
from training.steps import Batch, Teacher, pixels_of

_REPORT_SECONDS = 30
_SAVE_SECONDS = 180
_CLIP = 1.0


class Run:
    """The state of a training: weights, their average, the optimiser, and where it stands.

    Args:
        plan: what to do.
        folder: gets the files.
        bank: file of `training.sprites`.
        start: weights to start from; None starts from random ones.
        minutes: limit of each stage; None has none.
    """

    def __init__(
        self,
        plan: TrainingPlan,
        folder: Path,
        bank: Path,
        start: Path | None,
        minutes: float | None,
    ) -> None:
        self._plan, self._folder, self._bank, self._minutes = plan, folder, bank, minutes
        self._stages = plan.stages_of(scratch=start is None)
        self._config = MODELS[plan.model]
        torch.manual_seed(plan.seed)
        first = self._network(self._stages[0].size)
        if start is None:
            start_from_nothing(first)
        else:
            load_weights(first, start)
        self._weights = first.state_dict()
        widths = self._config.hidden_dim // 8, self._config.hidden_dim // 4, self._config.hidden_dim
        self._dense = DenseHead(widths)
        self._random = np.random.default_rng(plan.seed)
        self._done_stages = 0
        self._resume: dict[str, Any] = {}

    def resume(self, path: Path) -> None:
        """Go on where a run stopped.

        Args:
            path: its `state.pt`.
        """
        stored = torch.load(path, map_location="cpu", weights_only=True)
        self._weights = stored["model"]
        self._dense.load_state_dict(stored["dense"])
        self._done_stages = int(stored["stage"])
        self._resume = stored

    def go(self) -> None:
        """Train to the end of the plan."""
        for number in range(self._done_stages, len(self._stages)):
            self._train(number, self._stages[number])
            self._resume = {}

    def _network(self, size: int) -> Any:
        return build_network(replace(self._config, image_size=size))

    def _train(self, number: int, stage: Stage) -> None:
        network = self._network(stage.size)
        network.load_state_dict(self._weights)
        optimizer = Optimizer([network, self._dense], stage.rate, self._plan.muon)
        average = {name: value.detach().clone() for name, value in network.state_dict().items()}
        step, before = 0, 0.0
        if self._resume:
            optimizer.load_state_dict(self._resume["optimizer"])
            average, step = self._resume["average"], int(self._resume["step"])
            before = float(self._resume["seconds"])
        meter = Meter()
        teacher = Teacher(network, self._dense, LossWeights(), meter, self._random)
        source = Batches(self._bank, stage.size, stage.mixes, self._plan.seed + 100 * number + step)
        begin = reported = saved = time.monotonic()
        for batch in batches(source):
            seconds = before + time.monotonic() - begin
            progress = self._progress(stage, step, seconds)
            if progress >= 1:
                break
            if stage.start_memory and step == 0:
                start_memory(network, pixels_of(batch.frames[:, 0]))
            self._step(stage, teacher, optimizer, batch, progress)
            step += 1
            _follow(average, network, min(self._plan.average, step / (step + 10)))
            now = time.monotonic()
            if now - reported > _REPORT_SECONDS:
                self._report(stage, step, seconds, progress, meter)
                reported = now
            if now - saved > _SAVE_SECONDS:
                self._save_state(number, step, seconds, network, optimizer, average)
                saved = now
        self._report(stage, step, before + time.monotonic() - begin, 1.0, meter)
        self._weights = average
        _write(self._folder / f"{stage.name}.pt", {"model": average})

    def _progress(self, stage: Stage, step: int, seconds: float) -> float:
        done = step / stage.steps
        return done if self._minutes is None else max(done, seconds / (60 * self._minutes))

    def _step(
        self, stage: Stage, teacher: Teacher, optimizer: Optimizer, batch: Batch, progress: float
    ) -> None:
        fading = max(0.0, 1 - progress / 0.75)
        teacher.weights = LossWeights(
            focal=stage.focal, balanced=stage.balanced * fading, side=max(64, stage.size // 4)
        )
        teacher.dense_weight = stage.dense * (1 - 0.75 * progress)
        teacher.true_memory = stage.true_memory * fading
        loss = teacher.loss(batch)
        optimizer.clear()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(teacher.network.parameters(), _CLIP)
        teacher.meter.add("loss", float(loss.detach()))
        if torch.isfinite(norm):
            optimizer.step(_rate(stage, progress))
            teacher.meter.add("gradient", float(norm))
        else:
            teacher.meter.add("skipped", 1.0)

    def _report(
        self, stage: Stage, step: int, seconds: float, progress: float, meter: Meter
    ) -> None:
        line: dict[str, Any] = {"stage": stage.name, "step": step, "seconds": round(seconds)}
        line["rate"] = round(_rate(stage, progress), 7)
        line.update({name: round(value, 4) for name, value in sorted(meter.means().items())})
        text = json.dumps(line)
        print(text, flush=True)
        with (self._folder / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(text + "\n")

    def _save_state(
        self,
        stage: int,
        step: int,
        seconds: float,
        network: Any,
        optimizer: Optimizer,
        average: Any,
    ) -> None:
        state = {
            "stage": stage,
            "step": step,
            "seconds": seconds,
            "model": network.state_dict(),
            "average": average,
            "dense": self._dense.state_dict(),
            "optimizer": optimizer.state_dict(),
        }
        _write(self._folder / "state.pt", state)


def main(argv: Sequence[str] | None = None) -> int:
    """Train.

    Args:
        argv: the arguments; None takes those of the process.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(
        prog="python -m training.train", description="Train a small SAM 2.1 on made clips."
    )
    parser.add_argument("--config", type=Path, required=True, help="such as training/nano.yaml")
    parser.add_argument("--bank", type=Path, required=True, help="made by training.sprites")
    parser.add_argument("--out", type=Path, required=True, help="folder for the run's files")
    parser.add_argument("--from", dest="start", type=Path, help="weights to start from (.pt)")
    parser.add_argument("--resume", action="store_true", help="go on from RUN/state.pt")
    parser.add_argument("--minutes", type=float, help="limit of each stage")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args(argv)
    try:
        plan = read_plan(args.config)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    for path in (args.bank, args.start, args.out / "state.pt" if args.resume else None):
        if path is not None and not path.is_file():
            parser.error(f"{path} is not a file")
    args.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    run = Run(plan, args.out, args.bank, args.start, args.minutes)
    if args.resume:
        run.resume(args.out / "state.pt")
    run.go()
    return 0


def _rate(stage: Stage, progress: float) -> float:
    if progress < stage.warm:
        return stage.rate * max(progress, 1e-3) / stage.warm
    wave = 0.5 * (1 + math.cos(math.pi * (progress - stage.warm) / (1 - stage.warm)))
    return stage.rate_end + (stage.rate - stage.rate_end) * wave


@torch.no_grad()
def _follow(average: dict[str, torch.Tensor], network: Any, keep: float) -> None:
    values = network.state_dict()
    names = [name for name in values if values[name].is_floating_point()]
    averages, new = [average[name] for name in names], [values[name] for name in names]
    torch._foreach_lerp_(averages, new, 1 - keep)


def _write(path: Path, state: dict[str, Any]) -> None:
    beside = path.with_suffix(".part")
    torch.save(state, beside)
    beside.replace(path)


if __name__ == "__main__":
    sys.exit(main())
