"""A project: a folder with what was pointed at on a clip, what came of it, and how it is shown.

    project.json          which clip, which model, names and colours of objects, part of the clip
    prompts.json          as `--save-prompts` writes it
    session.safetensors   masks and memories, if they were saved

Files are replaced one by one, each in one step. Nothing in them is trusted: fields are typed and
bounded, and the clip's path is for whoever opens the project to allow or not.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sam2_mlx.apps.fields import (
    Refusal,
    colour,
    flag,
    integer,
    number,
    part,
    read_fields,
    several,
    text,
)
from sam2_mlx.apps.projects.prompt_files import Prompted, read_prompt_file, write_prompt_file
from sam2_mlx.files import FileError, quoted, read_json, write_json
from sam2_mlx.media.frame_source import FrameSource
from sam2_mlx.tracking.session import TrackingSession

_FORMAT = 1
# A message of 2**20 bytes, with every character written out.
_MAX_BYTES = 2**23
_FRAME = integer(0, 2**31)


@dataclass(frozen=True)
class ObjectStyle:
    """How an object is named and drawn.

    Attributes:
        object: its id.
        name: for people.
        colour: `#rrggbb`, or None.
        visible: whether it is drawn.
        locked: whether it is left alone.
    """

    object: int
    name: str
    colour: str | None = None
    visible: bool = True
    locked: bool = False


@dataclass(frozen=True)
class Drawing:
    """How masks are drawn over the clip; the page knows what `mode` means."""

    mode: str
    opacity: float = 0.5
    outline: bool = True


@dataclass(frozen=True)
class Settings:
    """What a project has beside prompts and masks.

    Attributes:
        objects: how each is named and drawn.
        first: first frame that is followed and exported; None is the clip's.
        last: the last one; None is the clip's.
        frame: the frame that was looked at.
        active: the object that was worked on, or None.
        look: how masks are drawn, or None.
    """

    objects: list[ObjectStyle]
    first: int | None = None
    last: int | None = None
    frame: int = 0
    active: int | None = None
    look: Drawing | None = None


_STYLE = part(
    ObjectStyle,
    object=integer(-(2**31), 2**31),
    name=text(200),
    colour=colour().otherwise(),
    visible=flag().otherwise(True),
    locked=flag().otherwise(False),
)
SETTINGS = part(
    Settings,
    # With names of characters that are written out, they still fit a message.
    objects=several(_STYLE, 500).otherwise([]),
    first=_FRAME.otherwise(),
    last=_FRAME.otherwise(),
    frame=_FRAME.otherwise(0),
    active=integer(-(2**31), 2**31).otherwise(),
    look=part(
        Drawing,
        mode=text(40),
        opacity=number(0, 1).otherwise(0.5),
        outline=flag().otherwise(True),
    ).otherwise(),
)
"""The field `settings` of requests, and of the file."""

_SCHEMA = {
    "format": integer(_FORMAT, _FORMAT),
    "clip": text(),
    "frames": _FRAME,
    "width": _FRAME,
    "height": _FRAME,
    "model": text(200).otherwise(),
    "settings": SETTINGS,
}


@dataclass(frozen=True)
class Project:
    """What `project.json` says.

    Attributes:
        folder: of the project.
        clip: path of the clip when it was saved.
        size: frames, width and height of the clip.
        model: name of the model that followed, or None.
        settings: the rest.
    """

    folder: Path
    clip: str
    size: tuple[int, int, int]
    model: str | None
    settings: Settings

    @property
    def session(self) -> Path:
        """Where masks and memories are."""
        return self.folder / "session.safetensors"

    @property
    def prompts(self) -> Path:
        """Where prompts are."""
        return self.folder / "prompts.json"

    @classmethod
    def read(cls, folder: Path) -> Project:
        """The project in a folder.

        Raises:
            FileNotFoundError: if there is none.
            FileError: if the file is malformed.
        """
        file = folder / "project.json"
        if not file.is_file():
            raise FileNotFoundError(f"{folder} is no project: it has no project.json")
        if file.stat().st_size > _MAX_BYTES:
            raise FileError(f"{file} is longer than a project is")
        try:
            values = read_fields(read_json(file), _SCHEMA)
        except (FileError, Refusal) as problem:
            raise FileError(f"{file}: {problem}") from problem
        size = (values["frames"], values["width"], values["height"])
        return cls(folder, values["clip"], size, values["model"], values["settings"])

    def write(self) -> None:
        """Write `project.json`, into a folder that is new, empty or a project.

        Raises:
            FileError: if it cannot be written, or would lie among other files.
        """
        if self.folder.is_dir() and not (self.folder / "project.json").exists():
            others = [one.name for one in self.folder.iterdir() if not one.name.startswith(".")]
            if others:
                raise FileError(
                    f"{self.folder} holds other files ({quoted(min(others))} for example); "
                    "give the project another name"
                )
        self.folder.mkdir(exist_ok=True)
        frames, width, height = self.size
        content = {
            "format": _FORMAT,
            "clip": self.clip,
            "frames": frames,
            "width": width,
            "height": height,
            "model": self.model,
            "settings": asdict(self.settings),
        }
        write_json(self.folder / "project.json", content)

    def read_prompts(self, source: FrameSource) -> list[Prompted]:
        """What was pointed at; nothing is a list without entries.

        Raises:
            FileError: as `read_prompt_file`.
        """
        return read_prompt_file(self.prompts, source, least=0) if self.prompts.is_file() else []

    def write_prompts(self, session: TrackingSession, source: FrameSource) -> None:
        """Write what a session was pointed at.

        Raises:
            FileError: if it cannot be written.
        """
        write_prompt_file(self.prompts, prompts_of(session), source)


def prompts_of(session: TrackingSession) -> list[Prompted]:
    """What a session of a clip was pointed at, masks at the size of its frames."""
    height, width = session.frame_size
    prompted = []
    for number_, tracked in session.snapshot().objects.items():
        for frame, prompt in sorted(tracked.prompts.items()):
            if prompt.mask is not None and prompt.mask.shape != (height, width):
                plane = prompt.mask.astype(np.uint8)
                mask = cv2.resize(plane, (width, height), interpolation=cv2.INTER_NEAREST)
                prompt = type(prompt).from_mask(mask.astype(bool))
            prompted.append(Prompted(frame, number_, prompt))
    return prompted


def bring_up_to_date(session: TrackingSession, prompts: list[Prompted]) -> None:
    """Let a session have just these prompts: what was saved last is what counts.

    Args:
        session: of the same clip, as it was saved at some time.
        prompts: as they were saved, then or later.
    """
    wanted = {(one.object_id, one.frame): one.prompt for one in prompts}
    present = {(one.object_id, one.frame): one.prompt for one in prompts_of(session)}
    for number_ in set(session.object_ids) - {number_ for number_, _ in wanted}:
        session.remove(number_)
    for place in present.keys() - wanted.keys():
        session.clear(*place)
    for place, prompt in wanted.items():
        if place not in present or not _equal(prompt, present[place]):
            session.add(*place, prompt)


def _equal(one: Any, other: Any) -> bool:
    if one.mask is not None or other.mask is not None:
        return bool(one.mask is not None and np.array_equal(one.mask, other.mask))
    if not np.array_equal(one.labels, other.labels):
        return False
    # Files have coordinates to the thousandth of a pixel.
    return bool(np.allclose(one.points, other.points, atol=1e-4))
