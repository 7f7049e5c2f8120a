"""The live loop: newest frame, objects followed, drawn, shown; prompts in between."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from sam2_mlx.live.capture import Capture, Captured
from sam2_mlx.live.controls import Action, Controls
from sam2_mlx.live.drawing import Status, draw_scene, draw_status
from sam2_mlx.live.objects import ObjectView, ObjectViews
from sam2_mlx.live.saving import Recording, fresh_name, save_masks
from sam2_mlx.media.errors import MediaError
from sam2_mlx.tracking.session import TrackingSession

if TYPE_CHECKING:
    from sam2_mlx.live.window import HighguiWindow

_WAIT_SECONDS = 0.02
_FPS_FRAMES = 20


class Viewer:
    """Follows objects in what a capture gives, and shows it.

    Only the calling thread works with the model; the capture reads in a thread of its own.

    Args:
        session: a stream session.
        capture: gives the newest frame.
        window: shows and listens.
        folder: where recordings and masks go.
        max_width: pictures wider than this are shown smaller.

    Attributes:
        views: the objects on the frame shown.
    """

    def __init__(
        self,
        session: TrackingSession,
        capture: Capture,
        window: HighguiWindow,
        folder: Path,
        max_width: int = 1280,
    ) -> None:
        self._session = session
        self._capture = capture
        self._window = window
        self._folder = folder
        self._max_width = max_width
        self._objects = ObjectViews()
        self._recording: Recording | None = None
        self._image: np.ndarray | None = None
        self._latency = 0.0
        self._moments: deque[float] = deque(maxlen=_FPS_FRAMES)
        self._notice = ""
        self._trouble = ""
        self._stale = True
        self._drawn: Status | None = None
        self.controls = Controls(session)
        self.views: Sequence[ObjectView] = []

    def run(self, frames: int | None = None) -> int:
        """Go on until the window is closed; returns how many frames were followed.

        Args:
            frames: stop after so many frames; None does not.

        Raises:
            MediaError: if what was recorded at the end cannot be written; nobody would see it.
        """
        followed = 0
        try:
            while frames is None or followed < frames:
                newest = self._next_frame()
                if newest is not None and self._follow(newest):
                    followed += 1
                self._draw()
                if newest is not None:
                    self._latency = time.monotonic() - newest.moment
                if not self._listen():
                    break
        finally:
            try:
                self._finish_recording()
            finally:
                self._window.close()
        return followed

    def _next_frame(self) -> Captured | None:
        if self.controls.frozen:
            time.sleep(_WAIT_SECONDS)
            return None
        return self._capture.take(_WAIT_SECONDS)

    def _follow(self, newest: Captured) -> bool:
        try:
            masks = self._session.step(newest.image)
        except (TypeError, ValueError) as problem:
            # The frame is not a picture; the next one may be.
            self._trouble = str(problem)
            return False
        self._trouble = ""
        self.controls.new_frame()
        self._image = newest.image
        self.views = self._objects.update(masks, tracked=True)
        self._moments.append(time.monotonic())
        self._stale = True
        if self._recording is not None:
            self._record(self._recording, newest)
        return True

    def _listen(self) -> bool:
        """Handle mouse and keys; returns whether to go on."""
        key = self._window.poll(self.controls, self._scale())
        if key is None:
            return False
        request = self.controls.key(key) if key else Action.NOTHING
        if request is Action.QUIT:
            return False
        if request is Action.RECORD:
            self._stop_recording() if self._recording else self._start_recording()
        elif request is Action.SAVE:
            self._save()
        elif request is Action.FREEZE:
            if self._capture.ended:
                self.controls.frozen = False
                self._capture.restart()
            self._capture.freeze(self.controls.frozen)
        answer = self.controls.take_answer()
        if answer is not None:
            self.views = self._objects.update(answer, tracked=False)
            self._stale = True
        followed = self._session.object_ids
        left = [view for view in self.views if view.object_id in followed]
        self._stale |= len(left) < len(self.views)
        self.views = left
        return True

    # What is seen

    def _scale(self) -> float:
        if self._image is None:
            return 1.0
        return min(1.0, self._max_width / self._image.shape[1])

    def _draw(self) -> None:
        """Show the scene, if anything about it has changed."""
        status = self._status()
        if not self._stale and status == self._drawn:
            return
        self._stale, self._drawn = False, status
        if self._image is None:
            canvas = np.zeros((360, 640, 3), np.uint8)
        else:
            canvas = draw_scene(self._image, self.views)
            scale = self._scale()
            if scale < 1:
                canvas = np.asarray(
                    cv2.resize(canvas, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
                )
        draw_status(canvas, self.views, status)
        self._window.show(canvas)

    def _status(self) -> Status:
        controls, box, scale = self.controls, self.controls.dragged, self._scale()
        span = self._moments[-1] - self._moments[0] if len(self._moments) > 1 else 0.0
        message = self._trouble or controls.message or self._notice
        if self._capture.problem is not None:
            message = self._capture.problem
            if self._capture.ended:
                message += "; space plays it again"
        return Status(
            fps=(len(self._moments) - 1) / span if span else 0.0,
            latency=self._latency,
            dropped=self._capture.dropped,
            frozen=controls.frozen,
            recording=self._recording is not None,
            help=controls.help,
            chosen=controls.chosen,
            message=message,
            box=None if box is None else tuple(scale * value for value in box),  # type: ignore[arg-type]
        )

    # What is kept

    def _start_recording(self) -> None:
        if self._image is None:
            return
        target = fresh_name(self._folder, "recording", ".mp4")
        try:
            self._recording = Recording(target, self._image.shape[:2])
        except MediaError as problem:
            self._notice = str(problem)

    def _record(self, recording: Recording, newest: Captured) -> None:
        try:
            recording.add(draw_scene(newest.image, self.views), newest.moment)
        except MediaError as problem:
            self._stop_recording()
            self._notice = f"{self._notice}; {problem}"

    def _stop_recording(self) -> None:
        try:
            self._finish_recording()
        except MediaError as problem:
            self._notice = str(problem)

    def _finish_recording(self) -> None:
        recording, self._recording = self._recording, None
        if recording is not None:
            count = recording.finish()
            self._notice = (
                f"{recording.target} has {count} frames" if count else "nothing was recorded"
            )

    def _save(self) -> None:
        if not self.views:
            self._notice = "there is no object whose mask could be saved"
            return
        target = fresh_name(self._folder, "masks", ".png")
        try:
            save_masks(target, self.views)
        except MediaError as problem:
            self._notice = str(problem)
            return
        self._notice = f"saved {target}"
