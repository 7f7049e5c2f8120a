"""Prompts in a file: what `--save-prompts` writes, and `--prompts` and the batch command read.

A JSON object with a list, in pixels of the clip's frames::

    {"prompts": [{"object": 1, "frame": 0, "points": [[320, 180]], "labels": [1]},
                 {"object": 2, "frame": "5s", "box": [40, 60, 210, 300]},
                 {"object": 3, "frame": 0, "mask": "mask.png"}]}

A mask is a picture beside the file, or run lengths as COCO has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sam2_mlx.apps.projects.frame_numbers import read_frame_number
from sam2_mlx.files import FileError, printable, quoted, read_json, write_json
from sam2_mlx.media.frame_source import FrameSource
from sam2_mlx.media.mask_picture import read_mask
from sam2_mlx.ops import rle
from sam2_mlx.prompts import BOTTOM_RIGHT, TOP_LEFT, Prompt

MAX_OBJECT_ID = 999_999

_LONGEST_TIME = 40

_KEYS = {"object", "frame", "points", "labels", "box", "mask"}


@dataclass(frozen=True)
class Prompted:
    """What is pointed at on a frame.

    Attributes:
        frame: number of the frame in the source.
        object_id: 1 or more.
        prompt: of that one object.
    """

    frame: int
    object_id: int
    prompt: Prompt


def read_prompt_file(file: Path, source: FrameSource, least: int = 1) -> list[Prompted]:
    """The prompts of a file, for a clip; how many there are at least, is 0 or 1.

    Raises:
        FileError: if it is no JSON, one is malformed or does not fit the clip, or a mask cannot be
            read.
        FileNotFoundError: if it does not exist.
    """
    try:
        content = read_json(file)
    except FileError as problem:
        raise FileError(f"{file}: {problem}") from problem
    entries = content.get("prompts") if isinstance(content, dict) else None
    if not isinstance(entries, list) or len(entries) < least:
        raise FileError(f'{file} needs a list of "prompts"{", and one at least" * least}')
    return parse_prompts(entries, source, file.parent, str(file))


def parse_prompts(
    entries: Sequence[Any], source: FrameSource, folder: Path, origin: str
) -> list[Prompted]:
    """Prompts as they stand in a list.

    Args:
        entries: as in the module's description.
        source: the clip that they are for.
        folder: where masks are looked for.
        origin: where they stand, for errors.

    Raises:
        FileError: if one is malformed or does not fit the clip, or a mask cannot be read.
    """
    times = source.times
    prompted: dict[tuple[int, int], Prompted] = {}
    for number, entry in enumerate(entries, 1):
        place = f"{origin}, prompt {number}"
        try:
            one = _parse(entry, source, folder, times)
        except (ValueError, TypeError, OSError) as problem:
            raise FileError(printable(f"{place}: {problem}")) from problem
        if (one.frame, one.object_id) in prompted:
            raise FileError(f"{place}: object {one.object_id} has one on frame {one.frame} before")
        prompted[one.frame, one.object_id] = one
    return list(prompted.values())


def write_prompt_file(target: Path, prompts: Sequence[Prompted], source: FrameSource) -> None:
    """Write the prompts of a clip so that `read_prompt_file` gives them again.

    Raises:
        FileError: if it cannot be written.
    """
    entries = [entry_of(one, source) for one in prompts]
    size = [source.width, source.height]
    content = {"clip": source.path.name, "size": size, "prompts": entries}
    write_json(target, content)


def _parse(entry: Any, source: FrameSource, folder: Path, times: Sequence[float]) -> Prompted:
    if not isinstance(entry, dict) or not entry.keys() <= _KEYS:
        names = ", ".join(sorted(_KEYS))
        raise ValueError(f"needs an object with some of {names}; got {quoted(entry)}")
    number, typed = entry.get("object", 1), entry.get("frame", 0)
    if type(number) is not int or not 1 <= number <= MAX_OBJECT_ID:
        raise ValueError(f"objects are numbered from 1 to {MAX_OBJECT_ID}; got {quoted(number)}")
    if type(typed) not in (int, str) or len(str(typed)) > _LONGEST_TIME:
        raise ValueError(f'a frame is a number or a time such as "5s"; got {quoted(typed)}')
    frame = read_frame_number("frame", str(typed), times)
    assert frame is not None
    points, labels, box, mask = (entry.get(key) for key in ("points", "labels", "box", "mask"))
    if mask is None:
        labels = [1] * len(points) if points and labels is None else labels
        size = (source.height, source.width)
        return Prompted(frame, number, Prompt.from_points(points, labels, box, size))
    if points is not None or box is not None:
        raise ValueError("takes a mask, or points and a box")
    return Prompted(frame, number, Prompt.from_mask(_read_mask(mask, number, source, folder)))


def _read_mask(mask: Any, number: int, source: FrameSource, folder: Path) -> Any:
    width, height = source.width, source.height
    if isinstance(mask, dict):
        if mask.get("size") != [height, width]:
            raise ValueError(f"its mask has size {quoted(mask.get('size'))}, not {[height, width]}")
        return rle.decode(mask)
    # The file names a picture beside it, and none elsewhere.
    if not isinstance(mask, str) or Path(mask).name != mask or mask == "..":
        raise ValueError(f"a mask is a picture beside the file, or run lengths; got {quoted(mask)}")
    return read_mask(folder / mask, number, width, height)


def entry_of(one: Prompted, source: FrameSource) -> dict[str, Any]:
    """A prompt as it stands in the list of a file for a clip."""
    entry: dict[str, Any] = {"object": one.object_id, "frame": one.frame}
    if one.prompt.mask is not None:
        return entry | {"mask": rle.encode(one.prompt.mask)}
    places = (one.prompt.points[0] * (source.width, source.height)).round(3).tolist()
    labels = one.prompt.labels[0].tolist()
    if labels[:2] == [TOP_LEFT, BOTTOM_RIGHT]:
        entry["box"] = [*places[0], *places[1]]
        places, labels = places[2:], labels[2:]
    return entry | ({"points": places, "labels": labels} if labels else {})
