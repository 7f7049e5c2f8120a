"""Whatever a caller has frames in, as a source of frames."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from sam2_mlx.media.frame_source import Frames
from sam2_mlx.predictors.look import as_picture
from sam2_mlx.predictors.torch_like import as_array


class ListedFrames:
    """Pictures at hand as the frames of a clip; each is converted when it is read.

    Args:
        pictures: arrays, PIL images or paths, as `as_picture` takes them, all of one size.

    Attributes:
        num_frames: how many there are.
        width: of the first, in pixels.
        height: likewise.

    Raises:
        ValueError: if there is none, or the first is no picture.
    """

    def __init__(self, pictures: Sequence[Any] | np.ndarray) -> None:
        if len(pictures) == 0:
            raise ValueError("a clip needs at least one frame; got an empty list")
        self._pictures = pictures
        self.num_frames = len(pictures)
        self.height, self.width = self._load(0).shape[:2]

    def read(self, index: int) -> np.ndarray:
        """One frame, uint8 (H, W, 3) RGB.

        Raises:
            ValueError: if it is no picture, or has another size than the first.
        """
        image = self._load(index)
        if image.shape[:2] != (self.height, self.width):
            raise ValueError(
                f"frame {index} has {image.shape[1]}x{image.shape[0]} pixels, the first "
                f"{self.width}x{self.height}; resize the frames to one size"
            )
        return image

    def _load(self, index: int) -> np.ndarray:
        return as_picture(self._pictures[index])


def open_clip(video: Any) -> Frames:
    """A source of frames.

    Args:
        video: a video file, a folder of frames or a pattern; an array uint8 (T, H, W, 3); a list
            of arrays (H, W, 3), PIL images or paths; or any object with `read(i)`, `num_frames`,
            `width` and `height`.

    Raises:
        FileNotFoundError, ValueError: if there is no such file or it cannot be read.
        TypeError: if it is none of these.
    """
    if hasattr(video, "read") and hasattr(video, "num_frames"):
        source: Frames = video
        return source
    video = as_array(video)
    if isinstance(video, (str, os.PathLike)):
        # Not above: it brings the video library.
        from sam2_mlx.media.reader import open_frames

        return open_frames(video)
    if isinstance(video, (list, tuple)) or (isinstance(video, np.ndarray) and video.ndim == 4):
        return ListedFrames(video)
    is_array = isinstance(video, np.ndarray)
    what = f"an array of shape {video.shape}" if is_array else repr(type(video))
    raise TypeError(
        "a clip is a video file, a folder of frames, an array (T, H, W, 3), a list of arrays "
        f"(H, W, 3), PIL images or paths, or an object with read(i), num_frames, width and height; "
        f"got {what}"
    )
