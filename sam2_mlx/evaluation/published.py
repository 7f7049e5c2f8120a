"""What others published for official weights, held against what this package gives.

A table (`assets/official.json`) names a Hugging Face repository for each model, pictures, a clip,
prompts, and what came out elsewhere: predicted IoU, and logits of the masks near their corner.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sam2_mlx.checkpoints.hub import download_file
from sam2_mlx.files import FileError, read_json
from sam2_mlx.media import load_picture, open_frames
from sam2_mlx.model.sam import Sam
from sam2_mlx.predictors.look import Look, encode_pictures
from sam2_mlx.prompts import Prompt
from sam2_mlx.tracking.options import TrackingOptions
from sam2_mlx.tracking.session import TrackingSession
from sam2_mlx.transforms import resize_frame, resize_image

OFFICIAL = Path(__file__).parent.parent / "assets" / "official.json"
"""The table of the official weights."""

# IoU is published with four digits; a clip's pixels come through another decoder than there.
_LIMITS = {"iou": 1e-3, "logits": 0.02, "clip": 0.5}
_RESIZED_AS = {"picture": resize_image, "frame": resize_frame}


@dataclass(frozen=True)
class Comparison:
    """One prompt and one kind of numbers.

    Attributes:
        what: the picture or frame, the prompt and the numbers.
        expected: the published values.
        got: the same values here.
        limit: how far apart they may be.
    """

    what: str
    expected: np.ndarray
    got: np.ndarray
    limit: float

    @property
    def error(self) -> float:
        """The largest difference."""
        return float(np.abs(self.expected - self.got).max())

    @property
    def agrees(self) -> bool:
        """Whether it is within the limit; what is not a number is not."""
        return self.error <= self.limit


@dataclass(frozen=True)
class PublishedNumbers:
    """The numbers of one model.

    Attributes:
        repository: Hugging Face id of the weights.
        source: who published the numbers.
        image_size: input size they were made at, or None for the model's own.
        pictures: prompts on pictures, and what came out.
        clip: prompts on the first frame of a clip, and what came out on the next ones; or None.
        files: name -> repository, its kind, and the file in it.
        limits: how far apart values may be.
    """

    repository: str
    source: str
    image_size: int | None
    pictures: list[dict[str, Any]]
    clip: dict[str, Any] | None
    files: Mapping[str, Mapping[str, str]]
    limits: Mapping[str, float]

    def compare(self, model: Sam) -> Iterator[Comparison]:
        """Answer every prompt, with weights in float32, and compare with the published answers.

        Raises:
            OSError, ValueError: if a picture or the clip cannot be fetched or read.
        """
        yield from self._compare_pictures(model)
        if self.clip is not None and model.memory is not None:
            yield from self._compare_clip(model, self.clip)

    def _compare_pictures(self, model: Sam) -> Iterator[Comparison]:
        looks: dict[str, Look] = {}
        best: list[np.ndarray] = []
        for row in self.pictures:
            name = row["on"]
            if name not in looks:
                picture = load_picture(self._fetch(name))
                features = encode_pictures(model, [picture])
                looks[name] = Look(model, picture.shape[:2], features)
            look = looks[name]
            prompt = _prompt(row, look.size)
            if "after" in row:
                prompt = prompt.improving(best[row["after"]][None], model.config.mask_size)
            answer = look.answer(prompt, multimask=row["multimask"])
            logits, iou = np.array(answer.logits)[0], np.array(answer.iou)[0]
            best.append(logits[iou.argmax()])
            what = f"{name}, {_told(row)}"
            yield Comparison(
                f"{what}: predicted IoU",
                np.sort(np.array(row["iou"])),
                np.sort(iou),
                self.limits["iou"],
            )
            if "logits" in row:
                yield self._logits(f"{what}: logits", row, best[-1], self.limits["logits"])

    def _compare_clip(self, model: Sam, clip: Mapping[str, Any]) -> Iterator[Comparison]:
        frames = open_frames(self._fetch(clip["on"]))
        first: list[np.ndarray] = []
        for row in clip["rows"]:
            session = TrackingSession(
                model,
                frames,
                options=TrackingOptions(fill_hole_area=0),
                resize=_RESIZED_AS[clip["resized_as"]],
            )
            for number, each in enumerate(row, 1):
                if "mask_of" in each:
                    session.prompt(number, frame=0, mask=first[each["mask_of"]] > 0)
                else:
                    prompt = _prompt(each, (frames.height, frames.width))
                    session.add(number, 0, prompt)
            length = max(len(each.get("frames", ())) for each in row) - 1
            for masks in session.propagate(start=0, length=length):
                logits = np.array(masks.logits)[:, 0]
                if masks.frame == 0:
                    first.append(logits[-1])
                for number, each in enumerate(row):
                    if "frames" in each:
                        what = f"{clip['on']}, frame {masks.frame}, {_told(each)}: logits"
                        values = {**each, "logits": each["frames"][masks.frame]}
                        yield self._logits(what, values, logits[number], self.limits["clip"])

    def _logits(
        self, what: str, row: Mapping[str, Any], logits: np.ndarray, limit: float
    ) -> Comparison:
        """Values of a mask at some places; without places, those in its corner."""
        expected = np.array(row["logits"])
        if "at" in row:
            rows, columns = np.array(row["at"]).T
            got = logits[rows, columns]
        else:
            got = logits[tuple(slice(length) for length in expected.shape)]
        return Comparison(what, expected, got, limit)

    def _fetch(self, name: str) -> Path:
        place = self.files[name]
        return download_file(place["repository"], place["file"], place["kind"])


def published_numbers(name: str, table: Path = OFFICIAL) -> PublishedNumbers:
    """The numbers of one of a table's models.

    Raises:
        ValueError: if the file is no such table, or has no such model.
    """
    try:
        values = read_json(table)
    except FileError as problem:
        raise ValueError(f"{table}: {problem}") from problem
    if not isinstance(values, dict) or not {"models", "files", "source"} <= values.keys():
        raise ValueError(f"{table} is no table of published numbers; {OFFICIAL} is one")
    if name not in values["models"]:
        raise ValueError(f"there are numbers for {', '.join(values['models'])}; got {name!r}")
    entry = values["models"][name]
    return PublishedNumbers(
        entry["repository"],
        values["source"],
        entry.get("image_size"),
        entry["pictures"],
        entry.get("clip"),
        values["files"],
        {**_LIMITS, **values.get("limits", {})},
    )


def _prompt(row: Mapping[str, Any], size: tuple[int, int]) -> Prompt:
    """The prompt of a row; a point is x, y and its label."""
    points = np.array(row["points"], np.float64) if "points" in row else None
    return Prompt.from_points(
        None if points is None else points[:, :2],
        None if points is None else points[:, 2].astype(np.int32),
        row.get("box"),
        size,
    )


def _told(row: Mapping[str, Any]) -> str:
    """A row's prompt in words."""
    parts = [f"({x:g},{y:g}){'+' if label else '-'}" for x, y, label in row.get("points", ())]
    if "box" in row:
        parts.append(f"box {','.join(map(str, row['box']))}")
    if "after" in row:
        parts.append(f"the answer to row {row['after'] + 1}")
    if "mask_of" in row:
        parts.append(f"the mask of row {row['mask_of'] + 1}")
    if row.get("multimask"):
        parts.append("three masks")
    return " and ".join(parts)
