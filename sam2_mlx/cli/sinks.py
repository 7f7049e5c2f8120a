"""What takes the frames of a clip one after the other: the video, a window, a count.

Masks and scores are written by the writers of `media`, which are sinks as they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from sam2_mlx.cli.follow import Prompted, ShownFrame
from sam2_mlx.cli.stop import StopSignals
from sam2_mlx.media.frame_source import FrameSource

if TYPE_CHECKING:
    from sam2_mlx.live.window import Preview
    from sam2_mlx.media.png_sequence import PngSequence
    from sam2_mlx.media.video_writer import VideoWriter


class Sink(Protocol):
    """Takes frames; `finish` or `abort` is called once in the end, `abort` perhaps after both."""

    def add(self, frame: ShownFrame, /) -> None:
        """Take a frame."""

    def finish(self) -> None:
        """All went well: complete what was made."""

    def abort(self) -> None:
        """Something failed: drop what was made."""


@contextmanager
def all_or_nothing() -> Iterator[list[Sink]]:
    """A list of sinks that are all aborted if anything fails, Ctrl-C included."""
    sinks: list[Sink] = []
    try:
        yield sinks
    except BaseException:
        for sink in sinks:
            sink.abort()
        raise


class VideoSink:
    """The frames with their masks drawn, or the objects alone, each at its own time.

    Args:
        writer: writes the pictures.
        source: the clip, which knows when each frame is shown.
        alone: leave out what is not an object.
    """

    def __init__(self, writer: VideoWriter | PngSequence, source: FrameSource, alone: bool) -> None:
        self._writer = writer
        self._source = source
        self._alone = alone
        self._begin: Fraction | None = None

    @property
    def sound_problem(self) -> str | None:
        """Why the sound is not complete, or None."""
        return self._writer.sound_problem

    def add(self, frame: ShownFrame) -> None:
        """Write a frame."""
        now, after = (self._source.time(frame.index + step) for step in (0, 1))
        if self._begin is None:
            self._begin = now
            # Where the backward pass was cut short, the sound starts later too.
            self._writer.start_sound_at(self._source.origin + now)
        picture = frame.cutout if self._alone else frame.drawn
        self._writer.write(picture, now - self._begin, after - now)

    def finish(self) -> None:
        """Complete the video; without a frame there is none."""
        self._writer.finish() if self._writer.frames else self._writer.abort()

    def abort(self) -> None:
        """Drop what was written."""
        self._writer.abort()


class PreviewSink:
    """A window with the frames; closing it asks to stop.

    Args:
        window: shows them.
        stop: is asked.
    """

    def __init__(self, window: Preview, stop: StopSignals) -> None:
        self._window = window
        self._stop = stop

    def add(self, frame: ShownFrame) -> None:
        """Show a frame."""
        if not self._window.show(frame.drawn):
            self._stop.ask()

    def finish(self) -> None:
        """Close the window."""
        self._window.close()

    abort = finish


class Tally:
    """On how many frames each object was seen.

    Args:
        prompts: what was pointed at.
        search: objects were looked for instead of pointed at: those not seen were never there.

    Attributes:
        frames: how many frames came.
        missed: ids of prompted objects that were not found where they were pointed at.
    """

    def __init__(self, prompts: Collection[Prompted], search: bool) -> None:
        self._prompted = {(one.frame, one.object_id) for one in prompts}
        self._search = search
        self._counts: Counter[int] = Counter()
        self.frames = 0
        self.missed: dict[int, None] = {}

    def add(self, frame: ShownFrame) -> None:
        """Count a frame."""
        self.frames += 1
        for number, mask in zip(frame.object_ids, frame.masks, strict=True):
            visible = bool(mask.any())
            self._counts[number] += visible
            if (frame.index, number) in self._prompted and not visible:
                self.missed[number] = None

    def finish(self) -> None:
        """Nothing: it is only counted."""

    abort = finish

    def __str__(self) -> str:
        counts = (item for item in self._counts.items() if item[1] or not self._search)
        return ", ".join(f"object {number} on {count}" for number, count in counts) or "no object"


class SessionSink:
    """What is remembered after the last frame.

    Args:
        session: the `TrackingSession` that follows the clip.
        target: the file.
    """

    def __init__(self, session: Any, target: Path) -> None:
        self._session = session
        self._target = target
        self._frames = 0

    def add(self, frame: ShownFrame) -> None:
        """Nothing: the session has its own memory of a frame."""
        self._frames += 1

    def finish(self) -> None:
        """Save it."""
        from sam2_mlx.tracking.saved_session import save_session

        # On the way back another session followed; this one may not have begun.
        if self._frames and self._session.frame is not None:
            save_session(self._session, self._target)

    def abort(self) -> None:
        """Nothing: it was not saved."""
