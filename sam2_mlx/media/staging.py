"""Write beside, then rename: a target is either complete or untouched."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from sam2_mlx.media.errors import MediaError, writing_failed


class StagedFile:
    """A file that is written under a hidden name beside its target and renamed at the end.

    Args:
        target: where the finished file goes; an existing file is replaced.

    Attributes:
        target: as given.
        path: where to write until `commit`.

    Raises:
        MediaError: if the target is a folder, or its folder does not exist or cannot be written.
    """

    def __init__(self, target: Path) -> None:
        check_parent(target)
        if target.is_dir():
            raise MediaError(f"{target} is a folder; give the name of a file in it")
        self.target = target
        self.path = target.with_name(f".{target.stem}.{os.getpid()}.partial{target.suffix}")

    def commit(self) -> None:
        """Give the finished file its name.

        Raises:
            MediaError: if it cannot be renamed.
        """
        try:
            os.replace(self.path, self.target)
        except OSError as problem:
            self.discard()
            raise writing_failed(self.target, problem) from problem

    def discard(self) -> None:
        """Remove what was written; the target stays as it was."""
        self.path.unlink(missing_ok=True)


class StagedFolder:
    """A folder that is filled under a hidden name beside its target and renamed at the end.

    Args:
        target: where the finished folder goes. An existing one is replaced only if it is empty
            or holds `marker`, so a folder of somebody else's files is never lost.
        marker: name of the file that tells a folder as one of ours.

    Raises:
        MediaError: if the target may not be replaced or cannot be written.
    """

    def __init__(self, target: Path, marker: str) -> None:
        check_parent(target)
        if target.exists() and not target.is_dir():
            raise MediaError(f"{target} is a file; give the name of a folder")
        if target.is_dir() and any(target.iterdir()) and not (target / marker).is_file():
            raise MediaError(
                f"{target} holds other files and will not be replaced; name a new or empty folder"
            )
        self.target = target
        self.path = target.with_name(f".{target.name}.{os.getpid()}.partial")
        shutil.rmtree(self.path, ignore_errors=True)
        try:
            self.path.mkdir()
        except OSError as problem:
            raise writing_failed(target, problem) from problem

    def commit(self) -> None:
        """Give the finished folder its name.

        Raises:
            MediaError: if it cannot be renamed.
        """
        old = self.target.with_name(f".{self.target.name}.{os.getpid()}.old")
        try:
            if self.target.is_dir():
                os.replace(self.target, old)
            os.replace(self.path, self.target)
        except OSError as problem:
            if old.is_dir() and not self.target.exists():
                os.replace(old, self.target)
            self.discard()
            raise writing_failed(self.target, problem) from problem
        shutil.rmtree(old, ignore_errors=True)

    def discard(self) -> None:
        """Remove what was written; the target stays as it was."""
        shutil.rmtree(self.path, ignore_errors=True)


def check_parent(target: Path) -> None:
    """Check that a file or folder can be made where `target` is.

    Args:
        target: a path that is to be written.

    Raises:
        MediaError: if its folder does not exist or cannot be written to.
    """
    folder = target.parent
    if not folder.is_dir():
        raise MediaError(f"the folder {folder} does not exist; make it, or write to another one")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise MediaError(f"no permission to write in the folder {folder}; write to another one")
