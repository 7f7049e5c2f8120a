"""Where masks to be scored come from: a model that follows objects, or a folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from sam2_mlx.evaluation.annotations import AnnotatedSequence
from sam2_mlx.evaluation.clicks import correction_click
from sam2_mlx.model.sam import Sam
from sam2_mlx.ops.masks import mask_box
from sam2_mlx.tracking.options import TrackingOptions
from sam2_mlx.tracking.policies import MemoryKind
from sam2_mlx.tracking.results import FrameMasks
from sam2_mlx.tracking.session import TrackingSession


@dataclass(frozen=True)
class GivenPrompt:
    """What each object is prompted with, once, on the first frame that shows it.

    Attributes:
        kind: its true mask, its box, or clicks.
        clicks: how many; each after the first corrects what is wrong then.
    """

    kind: Literal["mask", "box", "click"] = "mask"
    clicks: int = 1

    @classmethod
    def parse(cls, text: str) -> GivenPrompt:
        """Read `mask`, `box`, `click` or `clicks=3`.

        Raises:
            ValueError: if it is none of them.
        """
        if text in ("mask", "box", "click"):
            return cls(text)  # type: ignore[arg-type]
        name, _, number = text.partition("=")
        if name == "clicks" and number.isascii() and number.isdigit() and int(number) > 0:
            return cls("click", int(number))
        raise ValueError(
            f"a prompt is mask, box, click or clicks=N with N of 1 or more; got {text}"
        )

    def __str__(self) -> str:
        return self.kind if self.clicks == 1 else f"clicks={self.clicks}"


@dataclass(frozen=True)
class FrameResult:
    """The masks to be scored on a frame, and the true ones.

    Attributes:
        frame: its index.
        masks: bool (H, W) of each object.
        prompted: the objects that were prompted on this frame.
        truth: bool (H, W) of each object that is annotated there.
    """

    frame: int
    masks: dict[int, np.ndarray]
    truth: dict[int, np.ndarray]
    prompted: frozenset[int] = field(default_factory=frozenset)


class MaskSource(Protocol):
    """Gives the masks of a sequence."""

    def follow(self, sequence: AnnotatedSequence) -> Iterator[FrameResult]:
        """The masks frame by frame, in order."""


class ModelMasks:
    """Follows all objects of a sequence together, each prompted once.

    Args:
        model: a model with a memory.
        prompt: what is shown of each object.
        memory: which frames are remembered.
        fill_holes: holes of at most this many low-resolution pixels are filled.
    """

    def __init__(
        self,
        model: Sam,
        prompt: GivenPrompt | None = None,
        memory: MemoryKind = "rolling",
        fill_holes: float = 8,
    ) -> None:
        self._model = model
        self._prompt = prompt or GivenPrompt()
        self._memory: MemoryKind = memory
        self._fill_holes = fill_holes

    def follow(self, sequence: AnnotatedSequence) -> Iterator[FrameResult]:
        """The masks of every frame; see `MaskSource`.

        Source: tools/vos_inference.py of sam2: objects share a pixel only where each has a mask
        file of its own.
        """
        options = TrackingOptions(
            fill_hole_area=self._fill_holes, non_overlap_masks=not sequence.overlap
        )
        length = sequence.frames.num_frames
        session = TrackingSession(
            self._model, memory=self._memory, num_frames=length, options=options
        )
        waiting = set(sequence.objects)
        for frame in range(length):
            masks = session.step(sequence.frames.read(frame))
            truth = sequence.truth(frame)
            new = sorted(number for number in waiting if number in truth and truth[number].any())
            for number in new:
                masks = self._ask(session, number, truth[number])
            waiting -= set(new)
            yield FrameResult(frame, _as_masks(masks, sequence), truth, frozenset(new))

    def _ask(self, session: TrackingSession, number: int, truth: np.ndarray) -> FrameMasks:
        """Prompt one object on the current frame."""
        if self._prompt.kind == "mask":
            return session.prompt(number, mask=truth)
        if self._prompt.kind == "box":
            x0, y0, x1, y1 = mask_box(truth) or (0, 0, 0, 0)
            return session.prompt(number, box=(x0, y0, x1 - 1, y1 - 1))
        points: list[tuple[int, int]] = []
        labels: list[int] = []
        mask = np.zeros_like(truth)
        for _ in range(self._prompt.clicks):
            click = correction_click(truth, mask)
            if click is None:
                break
            points.append(click[0])
            labels.append(click[1])
            masks = session.prompt(number, points=points, labels=labels)
            mask = np.array(masks.logits[masks.object_ids.index(number), 0] > 0)
        return masks


class SavedMasks:
    """Reads masks from a folder of sequences, in the dataset's layout.

    Raises:
        FileNotFoundError: if there is no such folder.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise FileNotFoundError(f"no folder {folder} with masks; check the path")
        self._folder = folder

    def follow(self, sequence: AnnotatedSequence) -> Iterator[FrameResult]:
        """The masks of the annotated frames; see `MaskSource`.

        Raises:
            DatasetError, MediaError, FileNotFoundError: as of `AnnotatedSequence.load`.
        """
        waiting = set(sequence.objects)
        for frame in sequence.annotated:
            truth = sequence.truth(frame)
            new = {number for number in waiting if number in truth and truth[number].any()}
            waiting -= new
            scored = {number for number in truth if frame in sequence.scored(number)}
            masks = sequence.load(self._folder, frame, scored)
            yield FrameResult(frame, masks, truth, frozenset(new))


def _as_masks(masks: FrameMasks, sequence: AnnotatedSequence) -> dict[int, np.ndarray]:
    """Masks of all objects; one that was not prompted yet has an empty one."""
    height, width = sequence.frames.height, sequence.frames.width
    by_object = {number: np.zeros((height, width), bool) for number in sequence.objects}
    if masks.object_ids:
        by_object.update(zip(masks.object_ids, np.array(masks.logits[:, 0] > 0), strict=True))
    return by_object
