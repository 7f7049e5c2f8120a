"""Scores as a table for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from sam2_mlx.evaluation.measures import Statistics
from sam2_mlx.evaluation.scores import ObjectScore, SequenceScore, Summary, summarise

FORMAT_VERSION = 1
_COLUMNS = ("sequence", "objects", "frames", "J&F", "J", "F", "first J")


def table(scores: Sequence[SequenceScore], layout: str, failed: Iterable[str] = ()) -> str:
    """A line for each sequence, then the means over all objects; in percent.

    Args:
        scores: of the sequences, in order.
        layout: "davis" or "sav"; recall and decay are defined for DAVIS only.
        failed: names of sequences that could not be scored, which the means leave out.
    """
    rows = [_COLUMNS, *(_row(score) for score in scores)]
    overall = summarise(every_object(scores))
    left_out = [f"left out, as it could not be scored: {name}" for name in failed]
    if overall is None:
        return "\n".join(["nothing was scored", *left_out])
    frames = sum(score.frames for score in scores)
    rows.append(("all objects", str(overall.objects), str(frames), *_percent(overall)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
        for row in rows
    ]
    lines.insert(-1, "-" * len(lines[0]))
    if layout == "davis":
        lines.append("")
        lines.append(f"J recall {_spread(overall.region)}   F recall {_spread(overall.boundary)}")
    for score in scores:
        if score.left_out:
            lines.append(f"not scored in {score.name}: object {', '.join(score.left_out)}")
    return "\n".join(lines + left_out)


def as_json(
    scores: Sequence[SequenceScore],
    failed: dict[str, str],
    settings: dict[str, Any],
) -> dict[str, Any]:
    """Everything that was measured; numbers in [0, 1].

    Args:
        scores: of the sequences.
        failed: why a sequence could not be scored, by name.
        settings: how the masks were made.
    """
    return {
        "format_version": FORMAT_VERSION,
        "settings": settings,
        "summary": _summary(summarise(every_object(scores))),
        "sequences": {
            score.name: {
                "frames": score.frames,
                **_summary(summarise(score.objects)),
                "per_object": {each.name: _object(each) for each in score.objects},
                "not_scored": score.left_out,
            }
            for score in scores
        },
        "failed": failed,
    }


def every_object(scores: Sequence[SequenceScore]) -> list[ObjectScore]:
    """The objects of all sequences."""
    return [each for score in scores for each in score.objects]


def _summary(summary: Summary | None) -> dict[str, Any]:
    if summary is None:
        return {"objects": 0}
    return {
        "objects": summary.objects,
        "J&F": _rounded(summary.both),
        "J": _statistics(summary.region),
        "F": _statistics(summary.boundary),
        "first_frame_J": _rounded(summary.first),
    }


def _object(score: ObjectScore) -> dict[str, Any]:
    return {
        "J&F": _rounded((score.region.mean + score.boundary.mean) / 2),
        "J": _statistics(score.region),
        "F": _statistics(score.boundary),
        "first_frame_J": _rounded(score.first),
        "scored_frames": len(score.regions),
    }


def _statistics(value: Statistics) -> dict[str, float | None]:
    return {name: _rounded(number) for name, number in asdict(value).items()}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _row(score: SequenceScore) -> tuple[str, ...]:
    summary = summarise(score.objects)
    numbers = ("-",) * 4 if summary is None else _percent(summary)
    return (score.name, str(len(score.objects)), str(score.frames), *numbers)


def _percent(summary: Summary) -> tuple[str, str, str, str]:
    first = "-" if summary.first is None else f"{100 * summary.first:.1f}"
    means = (summary.both, summary.region.mean, summary.boundary.mean)
    both, region, edge = (f"{100 * value:.1f}" for value in means)
    return both, region, edge, first


def _spread(value: Statistics) -> str:
    return f"{100 * value.recall:.1f}, decay {100 * value.decay:.1f}"
