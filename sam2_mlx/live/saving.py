"""Recordings and masks of a live picture."""

from __future__ import annotations

import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from sam2_mlx.files import free_path
from sam2_mlx.live.objects import ObjectView
from sam2_mlx.media.errors import MediaError
from sam2_mlx.media.frame_source import StreamFormat

_NOMINAL_RATE = Fraction(30)
_MILLISECONDS = 1000


def fresh_name(folder: Path, stem: str, suffix: str) -> Path:
    """A file name with the present time that is not taken."""
    return free_path(folder, f"{stem}_{time.strftime('%Y%m%d_%H%M%S')}", suffix)


class Recording:
    """A video (.mp4, .mov, .mkv) of frames of one (height, width), each at the time it was seen."""

    def __init__(self, target: Path, size: tuple[int, int]) -> None:
        from sam2_mlx.media.video_writer import VideoWriter

        self.target = target
        self.size = size
        self._writer = VideoWriter(target, StreamFormat(size[1], size[0], _NOMINAL_RATE))
        self._waiting: tuple[np.ndarray, Fraction] | None = None
        self._start: float | None = None

    def add(self, scene: np.ndarray, moment: float) -> None:
        """Add a frame.

        Args:
            scene: uint8 (height, width, 3) RGB.
            moment: when it was seen, in seconds; rising.

        Raises:
            MediaError: if it cannot be written, or the picture changed its size. What was
                recorded before can be finished.
        """
        if scene.shape[:2] != self.size:
            sizes = " to ".join(f"{w}x{h}" for h, w in (self.size, scene.shape[:2]))
            raise MediaError(f"the picture changed from {sizes} pixels; record anew")
        if self._start is None:
            self._start = moment
        now = Fraction(round((moment - self._start) * _MILLISECONDS), _MILLISECONDS)
        # How long a frame is shown is known when the next one comes.
        if self._waiting is not None:
            if now <= self._waiting[1]:
                return
            self._flush(now)
        self._waiting = scene, now

    def finish(self) -> int:
        """Complete the video; returns the number of its frames."""
        if self._waiting is not None:
            self._flush(self._waiting[1] + 1 / _NOMINAL_RATE)
        self._writer.finish()
        return self._writer.frames

    def _flush(self, end: Fraction) -> None:
        assert self._waiting is not None
        scene, start = self._waiting
        self._waiting = None
        self._writer.write(scene, start, end - start)


def save_masks(target: Path, views: Sequence[ObjectView]) -> None:
    """Save masks, of one object or more, as a palette PNG: a pixel's value is the object's id.

    Raises:
        MediaError: if it cannot be written.
    """
    from sam2_mlx.media.cutout import save_picture
    from sam2_mlx.media.palette import palette_image

    masks = np.stack([view.mask for view in views])
    save_picture(target, palette_image(masks, [view.object_id for view in views]))
