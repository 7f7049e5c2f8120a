"""Folders in the layout of DAVIS or of SA-V, and the sequences in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from sam2_mlx.evaluation.annotations import (
    AnnotatedSequence,
    DatasetError,
    DavisSequence,
    SavSequence,
)
from sam2_mlx.files import open_regular
from sam2_mlx.media.frame_source import FrameSource
from sam2_mlx.media.picture_frames import PictureFrames
from sam2_mlx.media.pictures import PICTURE_SUFFIXES, list_pictures
from sam2_mlx.media.reader import DEFAULT_FRAME_RATE

Layout = Literal["davis", "sav"]

_SAV_FOLDERS = ("JPEGImages_24fps", "Annotations_6fps")
_DAVIS_FOLDERS = ("JPEGImages", "Annotations")
_USUAL_RESOLUTION = "480p"
_MAX_LIST_BYTES = 2**22
_ELSEWHERE = re.compile(r"[/\\\x00]")
_LAYOUTS = (
    "expected JPEGImages/ and Annotations/ (DAVIS) "
    "or JPEGImages_24fps/ and Annotations_6fps/ (SA-V)"
)


@dataclass(frozen=True)
class Dataset:
    """A folder of annotated videos.

    Attributes:
        root: the folder.
        layout: whose layout it has.
        frames: the folder with a folder of pictures for each sequence.
        annotations: the folder with a folder of masks for each sequence.
        names: the sequences, in order.
    """

    root: Path
    layout: Layout
    frames: Path
    annotations: Path
    names: tuple[str, ...]

    def chosen(self, names: Sequence[str]) -> Dataset:
        """The same dataset with some of its sequences.

        Raises:
            DatasetError: if there is no such sequence.
        """
        unknown = [name for name in names if name not in self.names]
        if unknown:
            listed = ", ".join(self.names[:8]) + (", ..." if len(self.names) > 8 else "")
            raise DatasetError(f"{self.root} has no sequence {unknown[0]}; it has {listed}")
        return replace(self, names=tuple(dict.fromkeys(names)))

    def parts(self, name: str) -> tuple[str, ...]:
        """The folders that the files of a sequence lie in, as paths within the dataset."""
        annotations = self.annotations / name
        inner = _folders(annotations) if self.layout == "sav" else [annotations]
        return tuple(str(path.relative_to(self.root)) for path in (self.frames / name, *inner))

    def open(self, name: str, max_frames: int | None = None) -> AnnotatedSequence:
        """One sequence, whose pictures are read one at a time.

        Args:
            name: one of `names`.
            max_frames: only the first so many frames; None is all.

        Raises:
            DatasetError: if frames or annotations are missing or do not belong together.
            MediaError: if the first picture cannot be read.
        """
        folder = self.frames / name
        if not folder.is_dir():
            raise DatasetError(f"no folder {folder} with the frames of {name}")
        pictures = list_pictures(folder)
        # The frames that are left out still say that an annotation has its picture.
        numbers = {picture.stem: index for index, picture in enumerate(pictures)}
        source = PictureFrames(folder, pictures[:max_frames], DEFAULT_FRAME_RATE)
        if self.layout == "davis":
            files = self._annotated(self.annotations / name, numbers, source)
            if not files:
                raise DatasetError(f"{self.annotations / name} has no annotation of these frames")
            return DavisSequence(name, source, files)
        objects = {
            path.name: self._annotated(path, numbers, source)
            for path in _folders(self.annotations / name)
        }
        objects = {key: files for key, files in objects.items() if files}
        if not objects:
            raise DatasetError(f"{self.annotations / name} has no folder with an object's masks")
        return SavSequence(name, source, objects)

    def _annotated(
        self, folder: Path, numbers: dict[str, int], source: FrameSource
    ) -> dict[int, Path]:
        """The annotation of each frame that has one."""
        files = sorted(folder.glob("*.png"))
        strays = [file for file in files if file.stem not in numbers]
        if strays:
            raise DatasetError(
                f"{strays[0]} annotates a frame that is missing: no {strays[0].stem}.jpg in "
                f"{self.frames / source.path.name}"
            )
        by_frame = {numbers[file.stem]: file for file in files}
        return {index: file for index, file in by_frame.items() if index < source.num_frames}


def open_dataset(root: Path, subset: str | None = None) -> Dataset:
    """Find out what a folder of annotated videos holds.

    Args:
        root: the folder with JPEGImages and Annotations.
        subset: name of a list of sequences: `val` is ImageSets/2017/val.txt or the like,
            `sav_val` is sav_val.txt. None takes every annotated sequence.

    Raises:
        FileNotFoundError: if there is no such folder.
        DatasetError: if it has neither layout, no sequence, or no such list.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"no folder {root}; check the path")
    if all((root / name).is_dir() for name in _SAV_FOLDERS):
        layout: Layout = "sav"
        frames, annotations = (root / name for name in _SAV_FOLDERS)
    elif all((root / name).is_dir() for name in _DAVIS_FOLDERS):
        layout = "davis"
        frames, annotations = (_resolution(root / name) for name in _DAVIS_FOLDERS)
    else:
        raise DatasetError(f"{root} has no layout that is known; {_LAYOUTS}")
    names = [path.name for path in _folders(annotations)]
    if subset is not None:
        names = list(dict.fromkeys(_listed(root, subset)))
    if not names:
        raise DatasetError(f"{annotations} holds no folders with masks, one for each sequence")
    return Dataset(root, layout, frames, annotations, tuple(names))


def _resolution(folder: Path) -> Path:
    """The folder with the sequences: this one, or that of one resolution inside it."""
    inner = _folders(folder)
    if not inner or any(_has_pictures(path) for path in inner):
        return folder
    usual = [path for path in inner if path.name == _USUAL_RESOLUTION]
    if not usual and len(inner) > 1:
        names = ", ".join(path.name for path in inner)
        raise DatasetError(
            f"{folder} holds several resolutions ({names}) and none is {_USUAL_RESOLUTION}; "
            "leave one"
        )
    return (usual or inner)[0]


def _listed(root: Path, subset: str) -> list[str]:
    """The sequences of a list, such as DAVIS and SA-V bring."""
    folder = root / "ImageSets"
    places: Iterable[Path] = (
        folder / "2017" / f"{subset}.txt",
        *sorted(folder.glob(f"*/{subset}.txt")),
        folder / f"{subset}.txt",
        root / f"{subset}.txt",
    )
    for place in places:
        if place.is_file():
            return _read_list(place)
    lists = sorted({path.stem for path in [*folder.rglob("*.txt"), *root.glob("*.txt")]})
    hint = f"it has {', '.join(lists)}" if lists else "it has no lists; leave --set out"
    raise DatasetError(f"{root} has no list {subset}.txt; {hint}")


def _read_list(file: Path) -> list[str]:
    with open_regular(file) as opened:
        data = opened.read(_MAX_LIST_BYTES + 1)
    if len(data) > _MAX_LIST_BYTES:
        raise DatasetError(f"{file} is too long; a list has at most {_MAX_LIST_BYTES:,} bytes")
    try:
        names = [line.strip() for line in data.decode("utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError as problem:
        raise DatasetError(f"{file} is no list of names: {problem}") from problem
    # A list comes with the dataset; it names folders in it, and none elsewhere.
    paths = [name for name in names if name in (".", "..") or _ELSEWHERE.search(name)]
    if paths:
        raise DatasetError(f"{file} holds {paths[0]!r}, which is no name of a sequence")
    return names


def _folders(path: Path) -> list[Path]:
    if not path.is_dir():
        return []
    return sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))


def _has_pictures(folder: Path) -> bool:
    return any(path.suffix.lower() in PICTURE_SUFFIXES for path in folder.iterdir())
