"""Where live frames come from: a camera, a stream's address, or a clip played at its own speed."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np

from sam2_mlx.media import open_frames
from sam2_mlx.media.errors import MediaError


class FeedEnded(Exception):
    """There are no more frames: the clip is over, or the camera is gone."""


class Feed(ABC):
    """Gives frames one after the other; used by one thread only.

    Attributes:
        name: for messages.
        retries: whether it makes sense to open it again after it ended.
    """

    name: str
    retries: bool

    @abstractmethod
    def read(self) -> np.ndarray:
        """The next frame, uint8 (H, W, 3) RGB; waits for it.

        Raises:
            FeedEnded: if there are no more.
            MediaError: if the frame is damaged; the next one may be fine.
        """

    @abstractmethod
    def restart(self) -> None:
        """Open it again, from the start where it has one.

        Raises:
            FeedEnded: if it cannot be opened.
        """

    @abstractmethod
    def paused(self, seconds: float) -> None:
        """Nothing was read for so long on purpose; only a clip minds."""

    @abstractmethod
    def close(self) -> None:
        """Let go of it."""


class CameraFeed(Feed):
    """A camera, or the address of a stream (rtsp://, http://).

    Args:
        device: number of the camera, or the address.

    Raises:
        MediaError: if it cannot be opened.
    """

    retries = True

    def __init__(self, device: int | str) -> None:
        self._device = device
        self.name = f"camera {device}" if isinstance(device, int) else device
        self._capture: Any = None
        try:
            self.restart()
        except FeedEnded as problem:
            advice = (
                "is it connected, and may this program use it (System Settings, Privacy, Camera)?"
                if isinstance(device, int)
                else "check the address"
            )
            raise MediaError(f"{problem}; {advice}") from None

    def read(self) -> np.ndarray:
        """The next frame; see `Feed.read`."""
        import cv2

        more, image = self._capture.read()
        if not more or image is None:
            raise FeedEnded(f"{self.name} gives no more frames")
        try:
            return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
        except cv2.error:
            raise MediaError(
                f"{self.name} gives no colour picture but {image.dtype} {image.shape}"
            ) from None

    def restart(self) -> None:
        """Open the camera again."""
        import cv2

        self.close()
        self._capture = cv2.VideoCapture(self._device)
        if not self._capture.isOpened():
            raise FeedEnded(f"{self.name} cannot be opened")
        # Where the driver listens: no queue of old frames.
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)

    def paused(self, seconds: float) -> None:
        """A camera goes on by itself."""

    def close(self) -> None:
        """Let go of the camera."""
        if self._capture is not None:
            self._capture.release()


class ClipFeed(Feed):
    """A video or pictures, played at their own speed like a camera.

    Args:
        path: what `open_frames` takes.
        live: frames that come too late are skipped; else every frame is given.

    Raises:
        FileNotFoundError, MediaError: if it cannot be opened.
    """

    retries = False

    def __init__(self, path: Path, live: bool = True) -> None:
        self._source = open_frames(path)
        self._live = live
        self.name = path.name
        self._next = 0
        self._start = time.monotonic()

    def read(self) -> np.ndarray:
        """The frame that is due, once it is due; see `Feed.read`."""
        source, now = self._source, time.monotonic() - self._start
        index = self._next
        while self._live and index + 1 < source.num_frames and float(source.time(index + 1)) <= now:
            index += 1
        if index >= source.num_frames:
            raise FeedEnded(f"{self.name} is over")
        self._next = index + 1
        if self._live:
            time.sleep(max(0.0, float(source.time(index)) - now))
        return source.read(index)

    def restart(self) -> None:
        """Play from the start."""
        self._next = 0
        self._start = time.monotonic()

    def paused(self, seconds: float) -> None:
        """Go on where it was before the pause."""
        self._start += seconds

    def close(self) -> None:
        """Let go of the file."""
        self._source.close()


def open_feed(source: str, live: bool = True) -> Feed:
    """Open whatever a name stands for.

    Args:
        source: the number of a camera, an address with ://, or a file, folder or pattern.
        live: a clip skips frames that come too late.

    Raises:
        FileNotFoundError, MediaError: if it cannot be opened.
    """
    if source.isdigit():
        return CameraFeed(int(source))
    if "://" in source:
        return CameraFeed(source)
    return ClipFeed(Path(source), live)
