"""Write frames with transparency as numbered pictures."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from sam2_mlx.files import FileError, StagedFolder, read_json
from sam2_mlx.media.errors import dropping

_MARKER = "frames.json"


class PngSequence:
    """A folder of PNGs, `00000.png` and on, with `frames.json` that says when each is shown.

    It takes frames as `VideoWriter` does.

    Args:
        target: the folder; one that was written by this class is replaced.
        pixel_aspect: width of a pixel over its height, which `frames.json` tells.

    Attributes:
        target: as given.
        frames: number of frames written so far.
        sound_problem: always None: pictures have no sound.

    Raises:
        MediaError: if the folder cannot be written, or holds other files.
    """

    sound_problem: str | None = None

    def __init__(self, target: Path, pixel_aspect: Fraction = Fraction(1)) -> None:
        self.target = target
        self._aspect = f"{pixel_aspect.numerator}:{pixel_aspect.denominator}"
        self.frames = 0
        self._times: list[float] = []
        self._staged = StagedFolder(target, written_pictures)

    def start_sound_at(self, origin: Fraction) -> None:
        """Nothing: pictures have no sound."""

    def write(self, frame: np.ndarray, time: Fraction, duration: Fraction) -> None:
        """Add a frame.

        Args:
            frame: uint8 (H, W, 4) RGBA, colours not multiplied by alpha.
            time: seconds from the first written frame.
            duration: seconds that the frame is shown; the next frame's time says it as well.

        Raises:
            MediaError: if it cannot be written; nothing is left behind then.
        """
        file = self._staged.path / _name(self.frames)
        with dropping(self.target, self.abort):
            Image.fromarray(frame).save(file, compress_level=3)
        self._times.append(float(time))
        self.frames += 1

    def finish(self) -> None:
        """Complete the folder and give it its name.

        Raises:
            MediaError: if it cannot be completed.
        """
        seconds = [round(time, 6) for time in self._times]
        content = {"seconds": seconds, "pixel_aspect": self._aspect}
        with dropping(self.target, self.abort):
            (self._staged.path / _MARKER).write_text(json.dumps(content) + "\n")
        self._staged.commit()

    def abort(self) -> None:
        """Drop what was written; the target stays as it was."""
        self._staged.discard()


def written_pictures(folder: Path) -> list[str]:
    """Names of the files that an earlier run put into a folder."""
    seconds = listed_in(folder / _MARKER, "seconds")
    return [] if seconds is None else [_MARKER, *map(_name, range(len(seconds)))]


def listed_in(path: Path, key: str) -> list[object] | None:
    """The list under a key in a JSON file that lies beside what it lists; None without the file."""
    try:
        content = read_json(path)
    except (FileError, OSError):
        return None
    entries = content.get(key) if isinstance(content, dict) else None
    return entries if isinstance(entries, list) else []


def _name(number: int) -> str:
    return f"{number:05d}.png"
