"""Which files an app may name."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from sam2_mlx.apps.fields import Refusal
from sam2_mlx.files import FileError, expanded, read_json, write_json
from sam2_mlx.media.reader import is_pattern

PROJECTS = "sam2-mlx-projects"
"""The folder of projects in the user's home, if nothing else is said."""

_REMEMBERED = ".clips.json"
_MOST_REMEMBERED = 1000


class Access:
    """All files: the app is a program of the user's, who could open them as well.

    Attributes:
        home: the folder of projects.
    """

    def __init__(self, home: Path | None = None) -> None:
        self.home = Path(os.path.realpath(home or Path.home() / PROJECTS))

    @property
    def roots(self) -> list[Path]:
        """Where to begin to look for clips."""
        return [Path.home()]

    def may_read(self, place: Path) -> bool:
        """Whether a file or folder may be read."""
        return True

    def remember(self, clip: Path) -> None:
        """Let a clip that was opened be opened later, too."""

    def read(self, path: str) -> str:
        """A path to read from, as it may be opened."""
        return path

    def folder(self, path: str) -> str:
        """A folder whose content may be listed."""
        return path

    def write(self, path: str) -> str:
        """A path to write to, as it may be opened."""
        return path

    def model(self, name: str) -> str:
        """A model by name or by path, as it may be opened."""
        return name


class ListedAccess(Access):
    """Only what the user opened, and what lies in a folder that was allowed; links are followed.

    Args:
        opened: files and folders that may be read.
        home: the folder that may be written to, too.
    """

    def __init__(self, opened: Iterable[Path], home: Path) -> None:
        super().__init__(home)
        self._roots = [self.home, *(Path(os.path.realpath(path)) for path in opened)]
        # Of those and not of projects, which may come from anywhere.
        self._remembered = self._read_remembered()
        self._roots += map(Path, self._remembered)

    @property
    def roots(self) -> list[Path]:
        """What may be read, but for projects."""
        return [root for root in self._roots if root != self.home]

    def may_read(self, place: Path) -> bool:
        """Whether a file or folder may be read."""
        return self._listed(Path(os.path.realpath(place)))

    def remember(self, clip: Path) -> None:
        """Let a clip that may be read be read after the next start, too."""
        real = os.path.realpath(clip)
        if real not in self._remembered and self.home not in Path(real).parents:
            self._remembered = [*self._remembered, real][-_MOST_REMEMBERED:]
            write_json(self.home / _REMEMBERED, self._remembered)

    def _read_remembered(self) -> list[str]:
        try:
            names = read_json(self.home / _REMEMBERED)
        except (OSError, FileError):
            return []
        names = names if isinstance(names, list) else []
        return [name for name in names if isinstance(name, str) and os.path.isabs(name)]

    def read(self, path: str) -> str:
        """A path within what may be read, without links.

        Raises:
            Refusal: `forbidden`; `not_found` if it may be read and is not there.
        """
        place = Path.cwd() / _expanded(path)
        if is_pattern(place) and not place.exists():
            return self._pattern(place)
        real = Path(self.folder(path))
        if real.is_dir():
            self._check_folder(real)
        return str(real)

    def folder(self, path: str) -> str:
        """A folder, or a file, within what may be read; links in it may lead anywhere.

        Raises:
            Refusal: as `read`.
        """
        real = Path(os.path.realpath(Path.cwd() / _expanded(path)))
        if not self._listed(real):
            raise self._forbidden(path)
        if not real.exists():
            raise Refusal("not_found", f"no file or folder {path}; check the path")
        return str(real)

    def write(self, path: str) -> str:
        """A path within the folder that may be written to; relative ones begin there.

        Raises:
            Refusal: `forbidden`.
        """
        real = Path(os.path.realpath(self.home / _expanded(path)))
        # What begins with a dot is the server's own.
        hidden = any(part.startswith(".") for part in real.parts[len(self.home.parts) :])
        if self.home not in real.parents or hidden:
            raise Refusal("forbidden", f"{path} is not in {self.home}; write there")
        return str(real)

    def model(self, name: str) -> str:
        """The name of a model; a path must be one that may be read.

        Raises:
            Refusal: `forbidden`.
        """
        looks_like_path = name.startswith((".", "/", "~")) or Path(name).exists()
        return self.read(name) if looks_like_path else name

    def _pattern(self, place: Path) -> str:
        """A pattern such as `frames/%05d.png` that was opened, or whose folder may be read."""
        folder = Path(os.path.realpath(place.parent))
        if not folder.is_dir() or not self._listed(folder / place.name):
            raise self._forbidden(str(place))
        self._check_folder(folder)
        return str(folder / place.name)

    def _check_folder(self, folder: Path) -> None:
        """Refuse a folder with a link that leads out of what may be read."""
        with os.scandir(folder) as entries:
            links = [entry.path for entry in entries if entry.is_symlink()]
        for link in links:
            if not self._listed(Path(os.path.realpath(link))):
                raise Refusal("forbidden", f"{link} is a link that leads out of {folder}")

    def _listed(self, real: Path) -> bool:
        return any(root == real or root in real.parents for root in self._roots)

    def _forbidden(self, path: str) -> Refusal:
        return Refusal(
            "forbidden",
            f"{path} is in no folder that was allowed; start with --allow FOLDER, "
            "or drag the file into the page",
        )


def _expanded(path: str) -> Path:
    try:
        return expanded(path)
    except FileError as problem:
        raise Refusal("forbidden", str(problem)) from problem
