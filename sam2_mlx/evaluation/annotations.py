"""The frames of one video and the true masks of its objects, read when they are asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from sam2_mlx.media.frame_source import FrameSource

VOID = 255
"""Value of pixels that DAVIS leaves undecided; they count as background."""


class DatasetError(ValueError):
    """A dataset, or one of its sequences, that is not as it must be."""


class AnnotatedSequence(ABC):
    """A video with true masks on some of its frames.

    Args:
        name: of the sequence.
        frames: the pictures.

    Attributes:
        name: as given.
        frames: as given.
        objects: the name of each object by its id, in order.
    """

    def __init__(self, name: str, frames: FrameSource) -> None:
        self.name = name
        self.frames = frames
        self.objects: dict[int, str] = {}

    @property
    @abstractmethod
    def annotated(self) -> Sequence[int]:
        """Frames with a true mask of any object, in order."""

    @abstractmethod
    def truth(self, frame: int) -> dict[int, np.ndarray]:
        """The true masks of a frame.

        Args:
            frame: index of the frame.

        Returns:
            bool (H, W) by object id; only the objects annotated there.

        Raises:
            DatasetError: if a mask cannot be read or has another size than the frames.
        """

    @abstractmethod
    def scored(self, object_id: int) -> frozenset[int]:
        """Frames on which the public evaluator scores an object."""

    def read_values(self, file: Path) -> np.ndarray:
        """The values of a mask file of this sequence; see `read_values`."""
        return read_values(file, self.frames.width, self.frames.height)


class DavisSequence(AnnotatedSequence):
    """One palette PNG a frame: the value of a pixel is the object's id.

    The objects are 1 to the largest value of the first annotation, as davis2017-evaluation has it;
    its first and last annotated frames are not scored.

    Args:
        name: of the sequence.
        frames: the pictures.
        files: the annotation of each annotated frame.

    Attributes:
        late: ids that only appear later; the public evaluator leaves them out.

    Raises:
        DatasetError: if the first annotation is damaged or shows no object.
    """

    def __init__(self, name: str, frames: FrameSource, files: dict[int, Path]) -> None:
        super().__init__(name, frames)
        self._files = files
        self._order = sorted(files)
        self.late: set[int] = set()
        first = self.read_values(files[self._order[0]])
        last = int(first[first != VOID].max(initial=0))
        if last == 0:
            raise DatasetError(f"{files[self._order[0]]} shows no object; give one its value, 1")
        self.objects = {number: str(number) for number in range(1, last + 1)}

    @property
    def annotated(self) -> Sequence[int]:
        """Frames with a true mask, in order."""
        return self._order

    def truth(self, frame: int) -> dict[int, np.ndarray]:
        """The true masks of a frame; see `AnnotatedSequence.truth`."""
        if frame not in self._files:
            return {}
        values = self.read_values(self._files[frame])
        self.late |= set(np.unique(values).tolist()) - {0, VOID} - set(self.objects)
        return {number: values == number for number in self.objects}

    def scored(self, object_id: int) -> frozenset[int]:
        """All annotated frames but the first and the last."""
        return frozenset(self._order[1:-1])


class SavSequence(AnnotatedSequence):
    """A folder of binary PNGs for each object; some frames are annotated only.

    Args:
        name: of the sequence.
        frames: the pictures.
        files: for each object's folder name, the annotation of each annotated frame.
    """

    def __init__(self, name: str, frames: FrameSource, files: dict[str, dict[int, Path]]) -> None:
        super().__init__(name, frames)
        self.objects = dict(enumerate(sorted(files), start=1))
        self._files = {number: files[folder] for number, folder in self.objects.items()}

    @property
    def annotated(self) -> Sequence[int]:
        """Frames with a true mask of any object, in order."""
        return sorted({frame for files in self._files.values() for frame in files})

    def truth(self, frame: int) -> dict[int, np.ndarray]:
        """The true masks of a frame; see `AnnotatedSequence.truth`."""
        return {
            number: self.read_values(files[frame]) > 0
            for number, files in self._files.items()
            if frame in files
        }

    def scored(self, object_id: int) -> frozenset[int]:
        """The object's annotated frames but the first and the last."""
        return frozenset(sorted(self._files[object_id])[1:-1])


def read_values(file: Path, width: int, height: int) -> np.ndarray:
    """The values of a mask picture.

    Args:
        file: a palette, grey or black-and-white PNG.
        width: that it must have, in pixels.
        height: that it must have, in pixels.

    Returns:
        uint8 (height, width).

    Raises:
        DatasetError: if it is missing, damaged, in colour, or of another size.
    """
    try:
        with Image.open(file) as image:
            if image.mode not in ("P", "L", "1"):
                raise DatasetError(
                    f"{file} is a picture of mode {image.mode}; masks are palette or grey PNGs "
                    "whose values are the objects' ids"
                )
            values = np.asarray(image).astype(np.uint8)
    except FileNotFoundError:
        raise DatasetError(f"no mask {file}; every annotated frame needs one") from None
    except (OSError, SyntaxError) as problem:
        raise DatasetError(f"{file} cannot be decoded ({problem}); save it again") from problem
    if values.shape != (height, width):
        raise DatasetError(
            f"{file} has {values.shape[1]}x{values.shape[0]} pixels, the frames {width}x{height}; "
            "masks and frames need one size"
        )
    return values
