"""Save the masks of a clip as they come: palette PNGs, a NumPy archive, COCO JSON, outlines.

Nothing is held but the frame at hand, so the length of the clip does not matter; the target gets
its name when everything is written.
"""

from __future__ import annotations

import json
import math
import os
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np

from sam2_mlx.files import FileError, StagedFile, StagedFolder, open_regular
from sam2_mlx.media.errors import MediaError, dropping
from sam2_mlx.media.palette import MAX_VALUE, palette_image
from sam2_mlx.media.png_sequence import listed_in
from sam2_mlx.ops import rle

_MARKER = "masks.json"
_LABELS, _DATA, _BY = "labels", "data.yaml", "# by sam2_mlx, files: "


@dataclass(frozen=True)
class MaskRecord:
    """The masks of one frame, ready to be saved.

    Attributes:
        frame: number of the frame.
        name: the frame's file name without extension.
        object_ids: one id, 1 or more, for each mask.
        masks: bool (O, H, W).
        iou: (O,) predicted IoU in [0, 1].
        presence: (O,) presence logits; above zero the object is in the picture.
    """

    frame: int
    name: str
    object_ids: Sequence[int]
    masks: np.ndarray
    iou: np.ndarray
    presence: np.ndarray


class MaskWriter(ABC):
    """Takes the masks of one frame after the other.

    Attributes:
        target: what is written.
        object_ids: those of the first record, which all others must have; empty before it.
        size: (height, width) of the masks; (0, 0) before the first record.
    """

    def __init__(self, staged: StagedFile | StagedFolder) -> None:
        self.target = staged.target
        self.object_ids: tuple[int, ...] = ()
        self.size = (0, 0)
        self._staged = staged
        with dropping(self.target, staged.discard):
            self._file = self._open(staged.path)

    def add(self, record: MaskRecord) -> None:
        """Save the masks of a frame.

        Args:
            record: masks of the objects and of the size that the first record had.

        Raises:
            MediaError: if they cannot be written; nothing is left behind then.
            ValueError: if objects or size are other ones.
        """
        ids = tuple(int(number) for number in record.object_ids)
        if not self.size[0]:
            self.object_ids, self.size = ids, record.masks.shape[1:]
        expected = (len(self.object_ids), *self.size)
        if ids != self.object_ids or record.masks.shape != expected:
            raise ValueError(
                f"masks need shape {expected} and the objects {self.object_ids}; "
                f"got {record.masks.shape} and {ids}"
            )
        with dropping(self.target, self.abort):
            self._add(record)

    def finish(self) -> None:
        """Complete what is written and give it its name; without any record nothing is written.

        Raises:
            MediaError: if it cannot be completed; nothing is left behind then.
        """
        if not self.size[0]:
            self.abort()
            return
        with dropping(self.target, self.abort):
            self._finish()
            if self._file is not None:
                self._file.close()
        self._staged.commit()

    def abort(self) -> None:
        """Drop what was written; the target stays as it was."""
        if self._file is not None:
            # It fails for the reason that led here.
            with suppress(OSError, ValueError):
                self._file.close()
        self._staged.discard()

    def _open(self, path: Path) -> Any:
        """The one file that is written to, with a `close`; None where there are many."""
        return None

    @abstractmethod
    def _add(self, record: MaskRecord) -> None: ...

    def _finish(self) -> None:
        """Write what comes last, if anything does."""
        return None


_Form = Callable[[Path], MaskWriter]


def open_mask_writer(target: Path) -> MaskWriter:
    """A writer for the form that a name asks for.

    Args:
        target: `masks.npz`, `masks.json`, a folder for PNGs (a name without extension), or one
            for YOLO (`masks.yolo`).

    Raises:
        MediaError: if the name has another extension or cannot be written.
    """
    kinds: dict[str, Callable[[Path], MaskWriter]] = {
        ".npz": NpzMasks,
        ".json": CocoMasks,
        ".yolo": YoloPolygons,
        "": PngMasks,
    }
    kind = kinds.get(target.suffix.lower(), PngMasks if target.is_dir() else None)
    if kind is None:
        raise MediaError(
            f"masks cannot be saved as '{target.suffix}': {target}; give a folder, "
            "or a name that ends in .npz, .json or .yolo"
        )
    return kind(target)


class PngMasks(MaskWriter):
    """A folder with one palette PNG a frame, as DAVIS has them: 0 is background.

    The value of a pixel is the object's id (its place, from 1, where an id is above 255). Where
    masks overlap the later object wins. `masks.json` beside them holds ids and scores. To read::

        index = np.array(Image.open("masks/00012.png"))   # uint8 (H, W)
        second = index == 2
    """

    def __init__(self, target: Path) -> None:
        super().__init__(StagedFolder(target, written_masks))
        self._scores: list[dict[str, Any]] = []

    @property
    def values(self) -> tuple[int, ...]:
        """The value of each object's pixels."""
        direct = all(0 < number <= MAX_VALUE for number in self.object_ids)
        return self.object_ids if direct else tuple(range(1, len(self.object_ids) + 1))

    def _add(self, record: MaskRecord) -> None:
        values = self.values
        if len(values) > MAX_VALUE:
            raise MediaError(
                f"a PNG holds at most {MAX_VALUE} objects, not {len(values)}; save .npz or .json"
            )
        image = palette_image(record.masks, values, range(len(values)))
        image.save(self._staged.path / f"{record.name}.png", compress_level=3)
        self._scores.append(
            {
                "frame": record.frame,
                "file": f"{record.name}.png",
                "iou": [round(float(value), 4) for value in record.iou],
                "presence": [round(probability(value), 4) for value in record.presence],
            }
        )

    def _finish(self) -> None:
        content = {
            "objects": [
                {"id": number, "value": value}
                for number, value in zip(self.object_ids, self.values, strict=True)
            ],
            "size": list(self.size),
            "frames": self._scores,
        }
        (self._staged.path / _MARKER).write_text(json.dumps(content, indent=1) + "\n")


def written_masks(folder: Path) -> list[str]:
    """Names of the files that an earlier run put into a folder of masks."""
    frames = listed_in(folder / _MARKER, "frames")
    names = (str(entry.get("file")) for entry in frames or () if isinstance(entry, dict))
    return [] if frames is None else [_MARKER, *names]


class NpzMasks(MaskWriter):
    """A NumPy archive, compressed, one array of packed bits for each frame.

    | key | value |
    |---|---|
    | `frames` | int64 (F,): numbers of the frames |
    | `object_ids` | int64 (O,) |
    | `size` | int64 (2,): height, width |
    | `iou` | float32 (F, O): predicted IoU in [0, 1] |
    | `presence` | float32 (F, O): presence logits; above zero the object is in the picture |
    | `frame_000012` | uint8 (O, H, ceil(W / 8)): the masks of frame 12, eight pixels a byte |

    To read, `read_npz_masks`, or without this package::

        data = np.load("masks.npz")
        masks = np.unpackbits(data["frame_000012"], axis=2, count=data["size"][1]).astype(bool)
    """

    def __init__(self, target: Path) -> None:
        super().__init__(StagedFile(target))
        self._frames: list[int] = []
        self._scores: list[tuple[np.ndarray, np.ndarray]] = []

    def _open(self, path: Path) -> zipfile.ZipFile:
        return zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=3)

    def _put(self, key: str, value: np.ndarray) -> None:
        with self._file.open(f"{key}.npy", "w", force_zip64=True) as file:
            np.lib.format.write_array(file, np.ascontiguousarray(value), allow_pickle=False)

    def _add(self, record: MaskRecord) -> None:
        self._put(f"frame_{record.frame:06d}", np.packbits(record.masks != 0, axis=2))
        self._frames.append(record.frame)
        self._scores.append(
            (np.array(record.iou, np.float32), np.array(record.presence, np.float32))
        )

    def _finish(self) -> None:
        shape = (len(self._frames), len(self.object_ids))
        self._put("frames", np.array(self._frames, np.int64))
        self._put("object_ids", np.array(self.object_ids, np.int64))
        self._put("size", np.array(self.size, np.int64))
        for place, key in enumerate(("iou", "presence")):
            rows = [scores[place] for scores in self._scores]
            self._put(key, np.array(rows, np.float32).reshape(shape))


class CocoMasks(MaskWriter):
    """A COCO file: one annotation for each frame and object, empty masks included.

    An annotation has `image_id` and `frame` (the frame's number), `object_id`, `segmentation`
    (compressed run lengths), `area`, `bbox` (x, y, width, height), `score` (predicted IoU) and
    `presence` (probability that the object is in the picture). pycocotools reads it; so does::

        data = json.load(open("masks.json"))
        mask = sam2_mlx.ops.rle.decode(data["annotations"][0]["segmentation"])   # bool (H, W)
    """

    def __init__(self, target: Path) -> None:
        super().__init__(StagedFile(target))
        self._images: list[tuple[int, str]] = []
        self._count = 0

    def _open(self, path: Path) -> IO[str]:
        file = path.open("w", encoding="utf-8")
        file.write('{"annotations": [')
        return file

    def _add(self, record: MaskRecord) -> None:
        for number, mask, iou, presence in zip(
            self.object_ids, record.masks, record.iou, record.presence, strict=True
        ):
            segmentation = rle.encode(mask)
            self._count += 1
            annotation = {
                "id": self._count,
                "image_id": record.frame,
                "category_id": 1,
                "frame": record.frame,
                "object_id": number,
                "segmentation": segmentation,
                "area": rle.area(segmentation),
                "bbox": list(rle.bounding_box(mask)),
                "iscrowd": 0,
                "score": round(float(iou), 4),
                "presence": round(probability(presence), 4),
            }
            self._file.write(",\n" if self._count > 1 else "\n")
            self._file.write(json.dumps(annotation))
        self._images.append((record.frame, record.name))

    def _finish(self) -> None:
        height, width = self.size
        images = [
            {"id": frame, "file_name": name, "width": width, "height": height}
            for frame, name in self._images
        ]
        self._file.write('\n],\n"images": ' + json.dumps(images))
        self._file.write(',\n"categories": [{"id": 1, "name": "object"}],\n')
        self._file.write(f'"info": {json.dumps({"object_ids": self.object_ids})}}}\n')
        self._file.flush()
        os.fsync(self._file.fileno())


class YoloPolygons(MaskWriter):
    """A folder of outlines as YOLO's segmenters learn from: `data.yaml`, and a text file a frame.

    A line of `labels/00012.txt` is a class, from 0 in the order of the objects, and x and y of
    the points of one outline, as shares of width and height. An object in several parts has
    several lines; holes are left out, for which the form has no place.
    """

    def __init__(self, target: Path) -> None:
        super().__init__(StagedFolder(target, _written_labels))
        self._count = 0

    def _open(self, path: Path) -> None:
        (path / _LABELS).mkdir()

    def _add(self, record: MaskRecord) -> None:
        height, width = self.size
        lines = [
            " ".join([str(place), *(f"{value:.6f}" for value in (ring / (width, height)).ravel())])
            for place, mask in enumerate(record.masks)
            for ring in _outlines(mask)
        ]
        file = self._staged.path / _LABELS / f"{record.name}.txt"
        file.write_text("".join(line + "\n" for line in lines))
        self._count += 1

    def _finish(self) -> None:
        names = "".join(f"  {place}: object {i}\n" for place, i in enumerate(self.object_ids))
        text = f"{_BY}{self._count}\npath: .\ntrain: images\nval: images\nnames:\n{names}"
        (self._staged.path / _DATA).write_text(text)


def _outlines(mask: np.ndarray) -> list[np.ndarray]:
    """The outer borders of a mask, each (P, 2) as x and y of pixels' centres."""
    rings, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [ring.reshape(-1, 2) + 0.5 for ring in rings if len(ring) > 2]


def _written_labels(folder: Path) -> list[str]:
    """Names of what an earlier run put into a folder for YOLO, if nothing was added to it."""
    try:
        with open_regular(folder / _DATA) as file:
            first = file.readline(200).decode("utf-8", "replace").rstrip()
        labels = os.listdir(folder / _LABELS)
    except (FileError, OSError):
        return []
    return [_DATA, _LABELS] if first == f"{_BY}{len(labels)}" else []


def read_npz_masks(path: str | os.PathLike[str], frame: int) -> tuple[tuple[int, ...], np.ndarray]:
    """Object ids and bool (O, H, W) of one frame of an archive that `NpzMasks` wrote.

    Raises:
        KeyError: if the frame is not in it.
    """
    with np.load(path, allow_pickle=False) as data:
        packed = data[f"frame_{frame:06d}"]
        width = int(data["size"][1])
        ids = tuple(int(number) for number in data["object_ids"])
    return ids, np.unpackbits(packed, axis=2, count=width).astype(bool)


def probability(logit: float) -> float:
    """The probability in [0, 1] of a logit."""
    bounded = min(max(float(logit), -60.0), 60.0)
    return 1.0 / (1.0 + math.exp(-bounded))
