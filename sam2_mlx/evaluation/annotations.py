"""The frames of one video and the true masks of its objects, read when they are asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from sam2_mlx.files import writing_failed
from sam2_mlx.media.frame_source import FrameSource
from sam2_mlx.media.palette import palette_image, read_values

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
        overlap: whether a pixel may belong to several objects.
        counted_from_start: ids of objects that count on every scored frame; any other counts from
            the first one on which it is annotated or found.
    """

    overlap = False

    def __init__(self, name: str, frames: FrameSource) -> None:
        self.name = name
        self.frames = frames
        self.objects: dict[int, str] = {}
        self.counted_from_start: frozenset[int] = frozenset()

    @property
    @abstractmethod
    def annotated(self) -> Sequence[int]:
        """Frames with a true mask of any object, in order."""

    @abstractmethod
    def truth(self, frame: int) -> dict[int, np.ndarray]:
        """The true masks of a frame by number.

        Returns:
            bool (H, W) by object id; only the objects annotated there.

        Raises:
            MediaError: if a mask cannot be read or has another size than the frames.
        """

    @abstractmethod
    def scored(self, object_id: int) -> frozenset[int]:
        """Frames on which the public evaluator scores an object."""

    @abstractmethod
    def save(self, folder: Path, frame: int, masks: Mapping[int, np.ndarray]) -> None:
        """Save the masks of a frame in this layout, so that other evaluators can read them.

        Args:
            folder: of this sequence; a file that is there is replaced.
            frame: index of the frame.
            masks: bool (H, W) by object id.

        Raises:
            MediaError: if they cannot be written.
        """

    @abstractmethod
    def load(self, folder: Path, frame: int, needed: set[int]) -> dict[int, np.ndarray]:
        """Masks of a frame that were saved in this layout.

        Args:
            folder: holds a folder for each sequence.
            frame: index of the frame.
            needed: ids of objects that must be there.

        Returns:
            bool (H, W) by object id.

        Raises:
            DatasetError: if they show an object that the sequence does not have.
            MediaError: if a file is damaged or has another size than the frames.
            FileNotFoundError: if one that is needed is missing.
        """

    def read_values(self, file: Path) -> np.ndarray:
        """The values of a mask file of this sequence, uint8 (H, W)."""
        return read_values(file, (self.frames.height, self.frames.width))

    def file_name(self, frame: int) -> str:
        """The name of a mask file of a frame."""
        return f"{self.frames.name(frame)}.png"


class DavisSequence(AnnotatedSequence):
    """One palette PNG a frame: the value of a pixel is the object's id.

    The objects are 1 to the largest value of the first annotation, as davis2017-evaluation has it,
    and those that only appear later, which Meta's sav_evaluator scores too. The first and the last
    annotated frame are not scored.

    Args:
        name: of the sequence.
        frames: the pictures.
        files: the annotation of each annotated frame.

    Raises:
        DatasetError: if no annotation shows an object.
        MediaError: if an annotation is damaged.
    """

    def __init__(self, name: str, frames: FrameSource, files: dict[int, Path]) -> None:
        super().__init__(name, frames)
        self._files = files
        self._order = sorted(files)
        values = [set(np.unique(self.read_values(files[frame])).tolist()) for frame in self._order]
        first = max(values[0] - {VOID}, default=0)
        self.counted_from_start = frozenset(range(1, first + 1))
        later = set().union(*values) - {0, VOID} - self.counted_from_start
        if not self.counted_from_start and not later:
            raise DatasetError(f"{files[self._order[0]].parent} shows no object; give it a value")
        numbers = [*sorted(self.counted_from_start), *sorted(later)]
        self.objects = {number: str(number) for number in numbers}

    @property
    def annotated(self) -> Sequence[int]:
        """Frames with a true mask, in order."""
        return self._order

    def truth(self, frame: int) -> dict[int, np.ndarray]:
        """The true masks of a frame; see `AnnotatedSequence.truth`."""
        if frame not in self._files:
            return {}
        values = self.read_values(self._files[frame])
        return {number: values == number for number in self.objects}

    def scored(self, object_id: int) -> frozenset[int]:
        """All annotated frames but the first and the last."""
        return frozenset(self._order[1:-1])

    def save(self, folder: Path, frame: int, masks: Mapping[int, np.ndarray]) -> None:
        """One palette PNG with all objects; see `AnnotatedSequence.save`."""
        numbers = sorted(masks)
        image = palette_image(np.stack([masks[number] for number in numbers]), numbers)
        _write(folder / self.file_name(frame), image)

    def load(self, folder: Path, frame: int, needed: set[int]) -> dict[int, np.ndarray]:
        """The objects of one palette PNG; see `AnnotatedSequence.load`."""
        file = folder / self.name / self.file_name(frame)
        if not needed and not file.is_file():
            return {}
        values = self.read_values(file)
        strange = set(np.unique(values).tolist()) - {0} - set(self.objects)
        if strange:
            raise DatasetError(
                f"{file} has the value {max(strange)}, but {self.name} has {len(self.objects)} "
                "objects; the values must be their ids"
            )
        return {number: values == number for number in self.objects}


class SavSequence(AnnotatedSequence):
    """A folder of binary PNGs for each object; some frames are annotated only.

    Args:
        name: of the sequence.
        frames: the pictures.
        files: for each object's folder name, the annotation of each annotated frame.
    """

    overlap = True

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

    def save(self, folder: Path, frame: int, masks: Mapping[int, np.ndarray]) -> None:
        """A PNG for each object; see `AnnotatedSequence.save`."""
        for number, mask in masks.items():
            file = folder / self.objects[number] / self.file_name(frame)
            _write(file, palette_image(mask[None], [1]))

    def load(self, folder: Path, frame: int, needed: set[int]) -> dict[int, np.ndarray]:
        """The objects that have a PNG; see `AnnotatedSequence.load`."""
        files = {
            number: folder / self.name / name / self.file_name(frame)
            for number, name in self.objects.items()
        }
        return {
            number: self.read_values(file) > 0
            for number, file in files.items()
            if number in needed or file.is_file()
        }


def _write(file: Path, image: Image.Image) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        image.save(file, compress_level=3)
    except OSError as problem:
        raise writing_failed(file, problem) from problem
