"""The one error that reading and writing media ends in."""

from __future__ import annotations

import errno
from pathlib import Path


class MediaError(ValueError):
    """A picture or a video that cannot be read or written; one line that says what to do."""


def writing_failed(target: Path, problem: OSError | Exception) -> MediaError:
    """Describe a failed write.

    Args:
        target: the file or folder that was to be written.
        problem: what the system or the encoder said.

    Returns:
        The error to raise from it.
    """
    number = getattr(problem, "errno", None)
    if number in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return MediaError(
            f"the disk is full: {target} was not written; free some space or write elsewhere"
        )
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return MediaError(f"no permission to write {target}; write to another folder")
    reason = getattr(problem, "strerror", None) or str(problem) or type(problem).__name__
    return MediaError(f"{target} could not be written: {reason}")
