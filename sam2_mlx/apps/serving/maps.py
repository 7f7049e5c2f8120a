"""Memory that an app shares: a file that both have open, so that frames need not pass a pipe."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

from sam2_mlx.apps.fields import Refusal
from sam2_mlx.apps.serving.messages import Blob

MAX_MAP = 2**30
"""Bytes of a map."""


@dataclass
class SharedMap:
    """A file of the app, which maps it into its memory; here it is read and written in place.

    Reading instead of mapping costs a millisecond a frame, and an app that shortens the file
    gets an error instead of killing the process.

    Attributes:
        descriptor: the open file.
        size: its bytes when it was opened.
    """

    descriptor: int
    size: int

    @classmethod
    def open(cls, path: str) -> SharedMap:
        """Open a map.

        Args:
            path: a regular file that only its owner, who runs this process, may open.

        Raises:
            Refusal: `bad_map` if it is anything else.
        """
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
        try:
            descriptor = os.open(path, flags)
        except OSError as problem:
            reason = problem.strerror or problem
            raise Refusal("bad_map", f"{path} cannot be opened as a map: {reason}") from problem
        try:
            size = _checked_size(descriptor, path)
        except Refusal:
            os.close(descriptor)
            raise
        return cls(descriptor, size)

    def read(self, offset: int, length: int) -> Blob:
        """A part of the map.

        Raises:
            Refusal: `bad_frame` if the map ends before the part does.
        """
        data = bytearray(self._checked(offset, length))
        view, filled = memoryview(data), 0
        while filled < length:
            count = os.preadv(self.descriptor, [view[filled:]], offset + filled)
            if not count:
                raise Refusal("bad_frame", "the map's file became shorter while it was in use")
            filled += count
        return data

    def write(self, offset: int, data: Blob) -> None:
        """Replace a part of the map.

        Raises:
            Refusal: `bad_frame` if the data does not fit.
            OSError: if the disk is full.
        """
        view = memoryview(data)
        self._checked(offset, len(view))
        while len(view):
            count = os.pwrite(self.descriptor, view, offset)
            view, offset = view[count:], offset + count

    def close(self) -> None:
        """Let go of the file."""
        os.close(self.descriptor)

    def _checked(self, offset: int, length: int) -> int:
        if offset + length > self.size:
            raise Refusal(
                "bad_frame",
                f"{length} bytes from {offset} on end behind the map, which has {self.size}",
            )
        return length


def _checked_size(descriptor: int, path: str) -> int:
    facts = os.fstat(descriptor)
    problem = None
    if not stat.S_ISREG(facts.st_mode):
        problem = "it is no regular file"
    elif facts.st_uid != os.getuid():
        problem = "it belongs to another user"
    elif facts.st_mode & 0o077:
        problem = f"others may open it (mode {facts.st_mode & 0o777:o}); make it with mode 600"
    elif not 0 < facts.st_size <= MAX_MAP:
        problem = f"it has {facts.st_size} bytes; give it a size from 1 to {MAX_MAP}"
    if problem:
        raise Refusal("bad_map", f"{path} cannot be a map: {problem}")
    return facts.st_size
