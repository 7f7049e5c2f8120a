"""Open anything that has frames: a video, a folder, a picture, a numbered series."""

from __future__ import annotations

import glob
import os
import re
from fractions import Fraction
from pathlib import Path

from sam2_mlx.files import expanded
from sam2_mlx.media.errors import MediaError
from sam2_mlx.media.frame_source import FrameSource
from sam2_mlx.media.picture_frames import PictureFrames, open_picture_file
from sam2_mlx.media.pictures import (
    PICTURE_SUFFIXES,
    left_out,
    list_pictures,
    load_picture,
    sort_by_number,
)

__all__ = ["CLIP_SUFFIXES", "is_pattern", "load_picture", "open_again", "open_frames"]

CLIP_SUFFIXES = frozenset(
    ".mp4 .mov .m4v .mkv .webm .avi .mpg .mpeg .ts .mts .wmv .flv .gif".split()
)
"""What videos are named, where a folder is looked through for them."""

# Pictures carry no rate; 24 is what cinema and most editors assume.
DEFAULT_FRAME_RATE = Fraction(24)
_COUNTER = re.compile(r"%(0?)(\d*)d")


def open_frames(
    path: str | os.PathLike[str], frame_rate: Fraction | int | None = None
) -> FrameSource:
    """Open a video or pictures as a source of frames.

    Args:
        path: a video file (mp4, mov, mkv, webm and whatever else FFmpeg reads), a folder of
            pictures, one picture (of an animation or a TIFF all of them), or a pattern:
            `frames/%05d.png` or `frames/*.jpg`.
        frame_rate: frames a second of pictures; 24 if None. Videos and animations keep their own.

    Returns:
        The source; close it after use, or use it in a `with` statement.

    Raises:
        FileNotFoundError: if nothing is there.
        MediaError: if it is an address, or holds no frames that can be read.
    """
    place = expanded(path)
    rate = DEFAULT_FRAME_RATE if frame_rate is None else Fraction(frame_rate)
    if rate <= 0:
        raise ValueError(f"the frame rate must be above zero; got {frame_rate}")
    if place.is_dir():
        others = left_out(place)
        notes = [f"{place} has others that are left out: {others}"] if others else []
        return PictureFrames(place, list_pictures(place), rate, notes)
    if place.is_file():
        if place.suffix.lower() in PICTURE_SUFFIXES:
            return open_picture_file(place, rate)
        from sam2_mlx.media.video_reader import VideoFrames

        return VideoFrames(place)
    if place.exists():
        raise MediaError(f"{place} is neither a file nor a folder; give a video or pictures")
    if is_pattern(place):
        return PictureFrames(place, _match(place), rate)
    raise FileNotFoundError(f"no file or folder {place}; check the path")


def open_again(source: FrameSource) -> FrameSource:
    """Another reader of what is opened already, pictures at the same rate; see `open_frames`."""
    return open_frames(
        source.path, source.frame_rate if isinstance(source, PictureFrames) else None
    )


def is_pattern(path: Path) -> bool:
    """Whether a path stands for a series of pictures: it holds `%05d`, `*`, `?` or `[`."""
    return bool(_COUNTER.search(path.name)) or glob.has_magic(str(path))


def _match(pattern: Path) -> list[Path]:
    """The files of a pattern in the order of their numbers."""
    counter = _COUNTER.search(pattern.name)
    if counter is None:
        # A folder that is there is taken as it is written, brackets and all.
        literal = pattern.parent.is_dir()
        folder = glob.escape(str(pattern.parent)) if literal else str(pattern.parent)
        matches = [Path(name) for name in glob.glob(os.path.join(folder, pattern.name))]
        files = sort_by_number([file for file in matches if file.is_file()])
    else:
        files = _match_counter(pattern, counter)
    if not files:
        raise FileNotFoundError(f"no pictures match {pattern}; check the pattern")
    strangers = [file.name for file in files if file.suffix.lower() not in PICTURE_SUFFIXES]
    if strangers:
        raise MediaError(f"{pattern} matches {strangers[0]}, which is no picture; narrow it")
    return files


def _match_counter(pattern: Path, counter: re.Match[str]) -> list[Path]:
    if not pattern.parent.is_dir():
        return []
    digits = r"\d+"
    if counter.group(1):
        width = int(counter.group(2) or 1)
        digits = rf"\d{{{width}}}|[1-9]\d{{{width},}}"
    before, after = pattern.name[: counter.start()], pattern.name[counter.end() :]
    # Extensions are compared without regard to case: cameras write .JPG.
    name = re.compile(f"{re.escape(before)}({digits}){re.escape(after)}", re.IGNORECASE)
    numbered = []
    for file in pattern.parent.iterdir():
        match = name.fullmatch(file.name)
        if match and file.is_file():
            numbered.append((int(match.group(1)), file))
    return [file for _, file in sorted(numbered)]
