"""The scores of objects, sequences and datasets, averaged as the public evaluators do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass, field
from typing import Any

import numpy as np

from sam2_mlx.evaluation.annotations import AnnotatedSequence
from sam2_mlx.evaluation.measures import (
    Statistics,
    boundary_similarity,
    region_similarity,
    statistics,
)
from sam2_mlx.evaluation.runs import FrameResult, MaskSource


@dataclass
class ObjectScore:
    """What was measured of one object.

    Attributes:
        name: of the object in its sequence.
        regions: J of each scored frame.
        boundaries: F of each scored frame.
        first: J of the frame it was prompted on, which does not count into the others.
    """

    name: str
    regions: list[float] = field(default_factory=list)
    boundaries: list[float] = field(default_factory=list)
    first: float | None = None

    @property
    def region(self) -> Statistics:
        """J over the scored frames, of which there must be one."""
        return statistics(self.regions)

    @property
    def boundary(self) -> Statistics:
        """F over the scored frames, of which there must be one."""
        return statistics(self.boundaries)


@dataclass
class SequenceScore:
    """What was measured of one sequence.

    Attributes:
        name: of the sequence.
        frames: number of its frames that were looked at.
        objects: the objects that are scored.
        left_out: objects that the public evaluator does not score, by name.
    """

    name: str
    frames: int
    objects: list[ObjectScore]
    left_out: list[str]

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> SequenceScore:
        """What `dataclasses.asdict` made a dictionary of, perhaps written as JSON since.

        Raises:
            KeyError, TypeError, ValueError: if it is something else.
        """
        objects = [
            ObjectScore(
                str(one["name"]),
                [float(value) for value in one["regions"]],
                [float(value) for value in one["boundaries"]],
                None if one["first"] is None else float(one["first"]),
            )
            for one in fields["objects"]
        ]
        names = [str(name) for name in fields["left_out"]]
        return cls(str(fields["name"]), int(fields["frames"]), objects, names)


@dataclass(frozen=True)
class Summary:
    """Scores averaged over objects, each counting once, whatever its sequence.

    Attributes:
        objects: how many.
        region: means of the objects' J statistics.
        boundary: means of the objects' F statistics.
        first: mean J of the prompted frames, or None where they were not looked at.
    """

    objects: int
    region: Statistics
    boundary: Statistics
    first: float | None

    @property
    def both(self) -> float:
        """J&F: the mean of mean J and mean F."""
        return (self.region.mean + self.boundary.mean) / 2


def score_sequence(
    sequence: AnnotatedSequence,
    source: MaskSource,
    on_frame: Callable[[FrameResult], None] | None = None,
) -> SequenceScore:
    """Score the masks of a source frame by frame; `on_frame` is called with each frame's.

    Raises:
        DatasetError: if a mask is missing or does not fit.

    Source: objects that count from the start: davis2017-evaluation, davis2017/evaluation.py.
    Others: sam2, sav_dataset/utils/sav_benchmark.py, where one that is annotated on no scored
    frame does not count.
    """
    scores = {number: ObjectScore(name) for number, name in sequence.objects.items()}
    scored = {number: sequence.scored(number) for number in scores}
    begun = set(sequence.counted_from_start)
    present = set(begun)
    for result in source.follow(sequence):
        for number, truth in result.truth.items():
            mask = result.masks.get(number)
            if mask is None:
                continue
            score = scores[number]
            if number in result.prompted:
                score.first = region_similarity(truth, mask)
            if result.frame not in scored[number]:
                continue
            if truth.any():
                present.add(number)
            if truth.any() or mask.any():
                begun.add(number)
            if number in begun:
                score.regions.append(region_similarity(truth, mask))
                score.boundaries.append(boundary_similarity(truth, mask))
        if on_frame is not None:
            on_frame(result)
    counted = [score for number, score in scores.items() if number in present and score.regions]
    left_out = [score.name for score in scores.values() if score not in counted]
    return SequenceScore(sequence.name, sequence.frames.num_frames, counted, left_out)


def summarise(objects: Iterable[ObjectScore]) -> Summary | None:
    """The average of the objects of one sequence, or of all; None if there is no object."""
    scores = list(objects)
    if not scores:
        return None
    first = [score.first for score in scores if score.first is not None]
    return Summary(
        objects=len(scores),
        region=_mean([score.region for score in scores]),
        boundary=_mean([score.boundary for score in scores]),
        first=float(np.mean(first)) if first else None,
    )


def _mean(values: list[Statistics]) -> Statistics:
    return Statistics(*np.mean([astuple(value) for value in values], axis=0).tolist())
