"""Where frames come from, and the features of the ones being worked on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import mlx.core as mx
import numpy as np

from sam2_mlx.media.frame_source import Frames
from sam2_mlx.media.read_ahead import ReadAhead
from sam2_mlx.model.image_encoder import ImageFeatures
from sam2_mlx.model.sam import Sam
from sam2_mlx.prompts import whole_number
from sam2_mlx.transforms import check_picture, normalise, resize_frame

Resize = Callable[[np.ndarray, int], np.ndarray]
"""What makes a square of a frame, such as `transforms.resize_frame`."""


@dataclass(frozen=True)
class _Frame:
    image: np.ndarray
    pixels: np.ndarray
    model: Sam

    @cached_property
    def features(self) -> ImageFeatures:
        """Being computed from when they are first asked for, by whichever thread asks."""
        pixels = normalise(self.pixels[None], self.model.dtype)
        features = self.model.encode_image(pixels)
        mx.async_eval(features.arrays())
        return features


class CurrentFrame:
    """Encodes frames when they are needed; keeps the one worked on, and the next one.

    Args:
        model: the model whose encoder is used.
        source: frames by number, or None where frames are handed in.
        resize: makes a square of a frame, given its side.
    """

    def __init__(self, model: Sam, source: Frames | None, resize: Resize = resize_frame) -> None:
        self._model = model
        self._square = resize
        self._source = source
        self._frames: dict[int, _Frame] = {}
        self._ahead: ReadAhead[tuple[np.ndarray, np.ndarray]] | None = None
        self._reading = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        # A copy reads for itself.
        return {**self.__dict__, "_ahead": None, "_reading": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _reading=threading.Lock())

    def show(self, index: int, image: np.ndarray) -> None:
        """Make a frame, uint8 (H, W, 3) RGB, the only one; it is encoded when it is asked for."""
        self._frames = {index: _Frame(image, self._resize(image), self._model)}

    def features(self, index: int) -> ImageFeatures:
        """Features of a frame, read from the source if it is not at hand.

        Raises:
            RuntimeError: if there is no source and the frame is not the current one.
        """
        return self._frame(index).features

    def image(self, index: int) -> np.ndarray:
        """The picture of a frame; see `features`."""
        return self._frame(index).image

    def _frame(self, index: int) -> _Frame:
        if index not in self._frames:
            if self._source is None:
                raise RuntimeError(f"frame {index} is gone; a stream only has the frame shown last")
            image, pixels = self._read(index)
            # The last one read before stays: it is the one being worked on.
            last = list(self._frames.items())[-1:]
            self._frames = {**dict(last), index: _Frame(image, pixels, self._model)}
        return self._frames[index]

    def _read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        assert self._source is not None
        ready = self._ahead.take(index) if self._ahead is not None else None
        return ready if ready is not None else self._read_now(index)

    def _read_now(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        assert self._source is not None
        with self._reading:
            image = self._source.read(index)
        return image, self._resize(image)

    def _resize(self, image: np.ndarray) -> np.ndarray:
        return self._square(check_picture(image), self._model.config.image_size)

    @contextmanager
    def reading_ahead(self, order: Sequence[int], depth: int) -> Iterator[None]:
        """Let a worker thread read and resize frames in advance.

        Args:
            order: numbers of the frames in the order they will be needed.
            depth: how many may wait; 0 reads each when it is needed.
        """
        order = [index for index in order if index not in self._frames]
        if depth > 0 and self._source is not None and self._ahead is None and order:
            self._ahead = ReadAhead(self._read_now, order, depth)
            try:
                yield
            finally:
                self._ahead.close()
                self._ahead = None
        else:
            yield

    def size(self, index: int | None) -> tuple[int, int]:
        """(height, width) of the source's frames, or of the frame shown last."""
        if self._source is not None:
            return self._source.height, self._source.width
        if index is None or index not in self._frames:
            return 0, 0
        return self._frames[index].image.shape[0], self._frames[index].image.shape[1]

    def check(self, index: int) -> int:
        """Check that a frame can be worked on; returns its number.

        Raises:
            TypeError: if it is no whole number.
            RuntimeError: if there is no frame yet.
            ValueError: if the clip has no such frame, or the stream is past it.
        """
        index = whole_number("frame", index)
        if self._source is not None:
            if not 0 <= index < self._source.num_frames:
                last = self._source.num_frames - 1
                raise ValueError(f"the clip has frames 0 to {last}; got {index}")
        elif not self._frames:
            raise RuntimeError("show a frame with step() before prompting on it")
        elif index not in self._frames:
            (last,) = self._frames
            raise ValueError(f"a stream is prompted on the frame shown last ({last}); got {index}")
        return index
