"""What takes the frames of a clip, beside what writes them: a window, a count, the session."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sam2_mlx.apps.projects.prompt_files import Prompted
from sam2_mlx.cli.stop import StopSignals
from sam2_mlx.media.sinks import ShownFrame

if TYPE_CHECKING:
    from sam2_mlx.live.window import Preview


class PreviewSink:
    """A window with the frames; closing it asks to stop."""

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
    """Saves what a `TrackingSession` remembers after the last frame."""

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
