"""The one error that reading and writing media ends in."""

from __future__ import annotations

from sam2_mlx.files import FileError

MediaError = FileError
"""A picture or a video that cannot be read or written; one line that says what to do."""
