"""The file that says how a model is trained."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from sam2_mlx.config import MODELS


@dataclass(frozen=True)
class Mix:
    """One kind of batch.

    Attributes:
        share: how often it is drawn, relative to the others.
        clips: in a batch.
        objects: asked for in each clip.
        frames: length of the clips; 1 is images.
    """

    share: float
    clips: int
    objects: int
    frames: int


@dataclass(frozen=True)
class Stage:
    """A part of the training with settings of its own.

    Attributes:
        name: for messages and files.
        size: side of the input in pixels.
        steps: how many.
        rate: largest learning rate.
        mixes: kinds of batches.
        rate_end: learning rate at the end.
        warm: share of the steps in which the rate rises.
        focal: weight of the focal loss.
        dense: weight of the dense head's loss at the start; a quarter of it at the end.
        balanced: weight of the balanced term at the start; it ends at zero after three quarters.
        true_memory: probability of memory from true masks at the start; it ends the same way.
        start_memory: begin the memory path at the statistics of plain features.
        scratch: only for a run from random weights.
    """

    name: str
    size: int
    steps: int
    rate: float
    mixes: tuple[Mix, ...]
    rate_end: float = 0.0
    warm: float = 0.05
    focal: float = 20.0
    dense: float = 0.0
    balanced: float = 0.0
    true_memory: float = 0.0
    start_memory: bool = False
    scratch: bool = False


@dataclass(frozen=True)
class TrainingPlan:
    """A whole training.

    Attributes:
        model: name of a configuration.
        seed: of weights, clips and prompts.
        average: share of the averaged weights that a step keeps.
        stages: in order.
        muon: move matrices by Muon instead of AdamW.
    """

    model: str
    seed: int
    average: float
    stages: tuple[Stage, ...]
    muon: bool = False

    def stages_of(self, scratch: bool) -> tuple[Stage, ...]:
        """The stages of a run from random weights, or of one from a checkpoint."""
        return tuple(stage for stage in self.stages if scratch or not stage.scratch)


def read_plan(path: Path) -> TrainingPlan:
    """Read a plan.

    Args:
        path: YAML, as `training/nano.yaml`.

    Raises:
        ValueError: for keys that are not known or are missing, and for values that cannot be.
    """
    import yaml

    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(values, dict) or not isinstance(values.get("stages"), list):
        raise ValueError(f"{path}: expected model, seed, average and a list of stages")
    stages = []
    for entry in values["stages"]:
        mixes = tuple(_record(Mix, mix, path) for mix in entry.get("mixes", ()))
        stages.append(_record(Stage, {**entry, "mixes": mixes}, path))
    plan = _record(TrainingPlan, {**values, "stages": tuple(stages)}, path)
    _check(plan, path)
    return plan


def _check(plan: TrainingPlan, path: Path) -> None:
    if plan.model not in MODELS:
        raise ValueError(f"{path}: model {plan.model!r} is not one of {', '.join(MODELS)}")
    for stage in plan.stages:
        if not stage.mixes or stage.steps < 1 or stage.size % 32:
            raise ValueError(
                f"{path}: stage {stage.name!r} needs mixes, steps from 1 on and a size that is a "
                f"multiple of 32; got {len(stage.mixes)}, {stage.steps} and {stage.size}"
            )


def _record(kind: Any, values: Any, path: Path) -> Any:
    settings = {entry.name for entry in fields(kind)}
    if not isinstance(values, dict):
        raise ValueError(f"{path}: expected a table for {kind.__name__}; got {values!r}")
    unknown = sorted(set(values) - settings)
    if unknown:
        names = ", ".join(sorted(settings))
        raise ValueError(f"{path}: {kind.__name__} has no {', '.join(unknown)}; it has {names}")
    try:
        return kind(**values)
    except TypeError as error:
        raise ValueError(f"{path}: {kind.__name__}: {error}") from error
