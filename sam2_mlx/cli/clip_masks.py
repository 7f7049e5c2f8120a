"""The masks of a stretch of a clip, in the order the frames are shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sam2_mlx.cli.arguments import ObjectPrompt
from sam2_mlx.cli.everything_options import ClipSearch
from sam2_mlx.cli.stop import StopSignals
from sam2_mlx.media.errors import MediaError
from sam2_mlx.media.frame_source import FrameSource
from sam2_mlx.media.mask_writer import MaskRecord
from sam2_mlx.media.read_ahead import ReadAhead
from sam2_mlx.ops import rle

if TYPE_CHECKING:
    from sam2_mlx.model.sam import Sam
    from sam2_mlx.results import FrameMasks
    from sam2_mlx.tracking.policies import MemoryKind

# Frames that are decoded and resized while the model works on those before.
_READ_AHEAD = 3


@dataclass(frozen=True)
class Stretch:
    """Which frames are followed.

    Attributes:
        first: first frame of the result.
        prompted: frame of the prompts; first <= prompted <= last.
        last: last frame of the result, included.
    """

    first: int
    prompted: int
    last: int

    @property
    def num_frames(self) -> int:
        """Number of frames of the result."""
        return self.last - self.first + 1

    @property
    def num_tracked(self) -> int:
        """Frames that the model works on; the prompted one twice if there are two passes."""
        two = self.first < self.prompted < self.last
        return self.num_frames + (1 if two else 0)


@dataclass(frozen=True)
class Following:
    """How objects are followed.

    Attributes:
        memory: name of the memory policy; see `TrackingSession`.
        resume: a saved session to go on with, or None.
        save: where the session is saved after the last frame, or None.
        search: how objects are found where nobody points at them, or None.
    """

    memory: MemoryKind = "rolling"
    resume: Path | None = None
    save: Path | None = None
    search: ClipSearch | None = None


@dataclass(frozen=True)
class ShownFrame:
    """A frame with its masks.

    Attributes:
        image: uint8 (H, W, 3) RGB.
        record: masks and scores.
    """

    image: np.ndarray
    record: MaskRecord


class ClipMasks:
    """Follows the prompted objects through a stretch of a clip.

    Frames before the prompted one are followed backward first; of those only run lengths are
    kept, and their pictures are read again for the result. Memory therefore does not depend on
    the length of the clip, but for some kilobytes for each frame before the prompt.

    Args:
        model: a model with a memory.
        source: the clip.
        prompts: what to follow.
        stretch: which frames.
        stop: asks to end after the frame at hand.
        following: which memory, and from and to which saved session.

    Attributes:
        problem: why the clip could not be read to its end, or None.
        progress: called after each frame that the model has worked on.
        object_ids: ids of the objects, in the order of the masks.
        num_objects: how many there are.
    """

    def __init__(
        self,
        model: Sam,
        source: FrameSource,
        prompts: Sequence[ObjectPrompt],
        stretch: Stretch,
        stop: StopSignals,
        following: Following,
    ) -> None:
        self._following = following
        self._model = model
        self._source = source
        self._prompts = prompts
        self._stretch = stretch
        self._stop = stop
        self.problem: MediaError | None = None
        self.progress: Any = lambda: None
        self.object_ids = _all_ids(prompts, following)
        self.num_objects = len(self.object_ids)

    def __iter__(self) -> Iterator[ShownFrame]:
        """Frames with masks in the order they are shown; fewer if asked to stop, or on damage."""
        stretch = self._stretch
        if stretch.first < stretch.prompted:
            kept = {
                shown.record.frame: _pack(shown.record)
                for shown in self._follow(stretch.prompted, stretch.first)
            }
            ended = self._stop.received or self.problem
            if not ended and stretch.prompted < stretch.last:
                # The pass forward gives the prompted frame again.
                kept.pop(stretch.prompted)
            yield from self._replay(kept)
            if ended:
                return
        if stretch.prompted < stretch.last or stretch.first == stretch.prompted:
            yield from self._follow(stretch.prompted, stretch.last)

    def _follow(self, start: int, end: int) -> Iterator[ShownFrame]:
        """One pass of the model from one frame to another, in either direction."""
        reverse = end < start
        session = open_session(self._model, self._source, self._following)
        try:
            for prompt in self._prompts:
                _give(session, prompt, start)
            for masks in session.propagate(start=start, length=abs(end - start), reverse=reverse):
                yield ShownFrame(session.image, to_record(masks, self._source))
                self.progress()
                if self._stop.received:
                    break
        except MediaError as problem:
            self.problem = problem
        if not reverse:
            keep_session(session, self._following)

    def _replay(self, kept: dict[int, _Packed]) -> Iterator[ShownFrame]:
        """Frames followed before, with their pictures."""
        frames = sorted(kept)
        with closing(ReadAhead(self._source.read, frames)) as ahead:
            for frame in frames:
                packed = kept.pop(frame)
                masks = np.stack([rle.decode(mask) for mask in packed.masks])
                name = self._source.name(frame)
                record = MaskRecord(frame, name, masks, packed.iou, packed.presence)
                image = ahead.take(frame)
                assert image is not None  # taken in the order announced
                yield ShownFrame(image, record)


def open_session(model: Sam, source: FrameSource, following: Following) -> Any:
    """A `TrackingSession` over a clip that reads ahead; a saved one where one is to go on."""
    from sam2_mlx.tracking.options import TrackingOptions
    from sam2_mlx.tracking.session import TrackingSession

    if following.resume is not None:
        from sam2_mlx.tracking.saved_session import load_session

        return load_session(following.resume, model, source)
    # Objects that nobody chose grow into each other; what was pointed at may overlap.
    apart = following.search is not None
    options = TrackingOptions(read_ahead=_READ_AHEAD, non_overlap_masks=apart)
    return TrackingSession(model, source, memory=following.memory, options=options)


def keep_session(session: Any, following: Following) -> None:
    """Save a session where that was asked for."""
    if following.save is not None:
        from sam2_mlx.tracking.saved_session import save_session

        save_session(session, following.save)


def to_record(masks: FrameMasks, source: FrameSource) -> MaskRecord:
    """The masks of a frame of a clip as they are saved."""
    return MaskRecord(
        masks.frame,
        source.name(masks.frame),
        masks.masks,
        np.array(masks.iou),
        np.array(masks.presence),
    )


def _all_ids(prompts: Sequence[ObjectPrompt], following: Following) -> tuple[int, ...]:
    """Ids in the order of the masks: those of a saved session first."""
    known: tuple[int, ...] = ()
    if following.resume is not None:
        from sam2_mlx.tracking.saved_session import saved_facts

        known = tuple(saved_facts(following.resume).object_ids)
    return known + tuple(p.object_id for p in prompts if p.object_id not in known)


@dataclass(frozen=True)
class _Packed:
    """Masks of a frame as COCO run lengths."""

    masks: list[dict[str, Any]]
    iou: np.ndarray
    presence: np.ndarray


def _pack(record: MaskRecord) -> _Packed:
    return _Packed([rle.encode(mask) for mask in record.masks], record.iou, record.presence)


def _give(session: Any, prompt: ObjectPrompt, frame: int) -> None:
    """Prompt one object on a frame."""
    if prompt.mask is not None:
        session.prompt(prompt.object_id, frame=frame, mask=prompt.mask)
        return
    session.prompt(
        prompt.object_id,
        frame=frame,
        points=prompt.points or None,
        labels=prompt.labels or None,
        box=prompt.box,
    )
