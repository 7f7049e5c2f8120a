"""Frames of a clip for people to look at: small pictures, any of them, beside whatever tracks."""

from __future__ import annotations

import threading
from collections import OrderedDict

import cv2
import numpy as np

from sam2_mlx.apps.fields import Refusal
from sam2_mlx.media.frame_source import FrameSource
from sam2_mlx.media.reader import open_again

FORMATS = {"jpeg": (".jpg", cv2.IMWRITE_JPEG_QUALITY), "webp": (".webp", cv2.IMWRITE_WEBP_QUALITY)}
_CACHE_BYTES = 2**26


class PeekFrames:
    """Encoded frames of a clip, the last ones kept; may be used from any thread.

    It opens the clip anew when it is first asked: a reader that goes on from frame to frame must
    not be made to jump.

    Args:
        source: the clip, which is opened already.
    """

    def __init__(self, source: FrameSource) -> None:
        self._source = source
        self._frames: FrameSource | None = None
        self._encoded: OrderedDict[tuple[object, ...], tuple[bytes, int, int]] = OrderedDict()
        self._bytes = 0
        self._closed = False
        self._using = threading.Lock()

    def picture(self, frame: int, width: int, kind: str, quality: int) -> tuple[bytes, int, int]:
        """A frame as a file.

        Args:
            frame: its number.
            width: at most so many pixels; a smaller frame keeps its size.
            kind: jpeg or webp.
            quality: 1 to 100.

        Returns:
            The file, its width and its height.

        Raises:
            Refusal: `no_session` if the clip was closed meanwhile.
            IndexError, MediaError: see `FrameSource.read`.
        """
        key = (frame, width, kind, quality)
        with self._using:
            if key not in self._encoded:
                self._encoded[key] = encode(self._read(frame), width, kind, quality)
                self._bytes += len(self._encoded[key][0])
                while self._bytes > _CACHE_BYTES and len(self._encoded) > 1:
                    self._bytes -= len(self._encoded.popitem(last=False)[1][0])
            self._encoded.move_to_end(key)
            return self._encoded[key]

    def image(self, frame: int) -> np.ndarray:
        """A frame, uint8 (H, W, 3) RGB; it raises what `picture` does."""
        with self._using:
            return self._read(frame)

    def _read(self, frame: int) -> np.ndarray:
        if self._closed:
            raise Refusal("no_session", "the session was closed")
        self._frames = self._frames or open_again(self._source)
        return self._frames.read(frame)

    def close(self) -> None:
        """Let go of the file."""
        with self._using:
            self._closed = True
            self._encoded.clear()
            if self._frames is not None:
                self._frames.close()


def encode(image: np.ndarray, width: int, kind: str, quality: int) -> tuple[bytes, int, int]:
    """A picture as a file; see `PeekFrames.picture`.

    Args:
        image: uint8 (H, W, 3) RGB.
        width: as there.
        kind: as there.
        quality: as there.
    """
    if image.shape[1] > width:
        height = max(1, round(image.shape[0] * width / image.shape[1]))
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    suffix, option = FORMATS[kind]
    _, data = cv2.imencode(suffix, image[..., ::-1], [option, quality])
    return data.tobytes(), image.shape[1], image.shape[0]
