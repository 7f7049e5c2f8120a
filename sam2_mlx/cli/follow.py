"""Follow prompted objects through a stretch of a clip: its frames with their masks, in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from sam2_mlx.apps.projects.prompt_files import Prompted
from sam2_mlx.cli.errors import UsageError
from sam2_mlx.cli.everything_options import ClipSearch
from sam2_mlx.cli.stop import StopSignals
from sam2_mlx.media.errors import MediaError
from sam2_mlx.media.frame_source import FrameSource
from sam2_mlx.media.read_ahead import ReadAhead
from sam2_mlx.media.sinks import ShownFrame
from sam2_mlx.ops import rle
from sam2_mlx.tracking.results import Edges, FrameMasks, shown_frame

if TYPE_CHECKING:
    from sam2_mlx.model.sam import Sam
    from sam2_mlx.tracking.policies import MemoryKind

# Frames that are decoded and resized while the model works on those before.
_READ_AHEAD = 3
_NO_PIXELS = np.zeros((0, 0, 0), np.uint8)
_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Stretch:
    """Which frames are followed.

    Attributes:
        first: first frame of the result.
        prompted: frame to follow from, with prompts; first <= prompted <= last.
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
        search: how objects are found where nobody points at them, or None.
        edges: how their masks are enlarged.
    """

    memory: MemoryKind = "rolling"
    resume: Path | None = None
    search: ClipSearch | None = None
    edges: Edges = "plain"


class DamagedClip(MediaError):
    """The clip cannot be read any further; the frames before are good."""


class Watch:
    """Counts the frames that the model has worked on, and ends a pass when asked to."""

    def __init__(self, bar: Any, stop: StopSignals) -> None:
        self._bar = bar
        self._stop = stop

    @property
    def stopped(self) -> bool:
        """Whether somebody asked to stop."""
        return bool(self._stop.received)

    def over(self, frames: Iterable[_Item]) -> Iterator[_Item]:
        """The same frames, each counted after it was used; fewer if asked to stop.

        Raises:
            DamagedClip: if the next frame cannot be read.
        """
        try:
            for frame in frames:
                yield frame
                self._bar.update()
                if self.stopped:
                    return
        except MediaError as problem:
            raise DamagedClip(str(problem)) from problem


def open_session(model: Sam, source: FrameSource, following: Following) -> Any:
    """A `TrackingSession` over a clip that reads ahead; a saved one where one is to go on."""
    from sam2_mlx.tracking.options import TrackingOptions
    from sam2_mlx.tracking.session import TrackingSession

    if following.resume is not None:
        from sam2_mlx.tracking.saved_session import load_session

        session = load_session(following.resume, model, source)
        try:
            session.require_prompts()
        except RuntimeError as problem:
            raise UsageError(f"{following.resume}: {problem}") from problem
        return session
    # Objects that nobody chose grow into each other; what was pointed at may overlap.
    apart = following.search is not None
    options = TrackingOptions(read_ahead=_READ_AHEAD, non_overlap_masks=apart)
    return TrackingSession(model, source, memory=following.memory, options=options)


def follow(
    session: Any,
    prompts: Sequence[Prompted],
    stretch: Stretch,
    watch: Watch,
    edges: Edges = "plain",
) -> Iterator[ShownFrame]:
    """Follow the prompted objects through a stretch of a clip.

    Frames before the prompted one are followed backward first; of those only run lengths are
    kept, and their pictures are read again for the result. Memory therefore does not depend on
    the length of the clip, but for some kilobytes for each frame before the prompt.

    Args:
        session: a `TrackingSession` over the clip, with objects of its own where it goes on.
        prompts: what to follow; those on other frames than the one to start from steady it there.
        stretch: which frames.
        watch: counts the frames, and may end it early.
        edges: how masks are enlarged.

    Yields:
        Frames in the order they are shown.

    Raises:
        DamagedClip: after the last frame that can be read.
    """
    forward = stretch.prompted < stretch.last
    if stretch.first < stretch.prompted:
        # A rolling memory cannot turn round: the way back has a session of its own.
        backward = _twin(session) if forward else session
        runs: dict[int, tuple[ShownFrame, list[dict[str, Any]]]] = {}
        damage, way_back = None, (stretch.prompted, stretch.first)
        try:
            for frame in _follow(backward, prompts, way_back, watch, edges):
                bare = replace(frame, masks=_NO_PIXELS, image=_NO_PIXELS)
                runs[frame.index] = bare, [rle.encode(mask) for mask in frame.masks]
        except DamagedClip as problem:
            damage = problem
        ended = bool(damage) or watch.stopped
        if forward and not ended:
            # The pass forward gives the prompted frame again.
            runs.pop(stretch.prompted)
        yield from _replay(session.source, runs)
        if damage:
            raise damage
        if ended or not forward:
            return
    yield from _follow(session, prompts, (stretch.prompted, stretch.last), watch, edges)


def _twin(session: Any) -> Any:
    """A new session like another one."""
    options = session.options
    return type(session)(session.model, session.source, memory=session.memory, options=options)


def _follow(
    session: Any, prompts: Sequence[Prompted], way: tuple[int, int], watch: Watch, edges: Edges
) -> Iterator[ShownFrame]:
    """One pass of the model from one frame to another, in either direction."""
    start, end = way

    def propagate() -> Iterator[FrameMasks]:
        for one in prompts:
            session.add(one.object_id, one.frame, one.prompt)
        yield from session.propagate(start=start, length=abs(end - start), reverse=end < start)

    for masks in watch.over(propagate()):
        yield shown_frame(masks, session.source, session.image, edges)


def _replay(
    source: FrameSource, runs: dict[int, tuple[ShownFrame, list[dict[str, Any]]]]
) -> Iterator[ShownFrame]:
    """Frames followed before, with their pictures."""
    order = sorted(runs)
    with closing(ReadAhead(source.read, order)) as ahead:
        for index in order:
            frame, masks = runs.pop(index)
            image = ahead.take(index)
            assert image is not None  # taken in the order announced
            yield replace(frame, masks=np.stack([rle.decode(mask) for mask in masks]), image=image)
