"""Files that travel in pieces, between machines that share no folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from sam2_mlx.files import FileError, quoted

PIECE_BYTES = 4 * 2**20
"""The longest piece; no more of a file is in any memory."""


def check_name(name: object) -> str:
    """A name that came over the wire, if it is that of a file in a folder and nothing more.

    Raises:
        FileError: if it could lead elsewhere.
    """
    if not isinstance(name, str) or name in ("", ".", "..") or set(name) & set("/\\\0"):
        raise FileError(f"{quoted(name)} is no plain name of a file")
    return name


def pieces(files: Sequence[Path]) -> Iterator[tuple[str, int, bytes]]:
    """Files as (name, offset in bytes, content), one after the other; an empty one has a piece."""
    for file in files:
        offset, size = 0, file.stat().st_size
        while offset == 0 or offset < size:
            content = read_piece(file, offset)
            yield file.name, offset, content
            offset += max(1, len(content))


def read_piece(file: Path, offset: int) -> bytes:
    """What a file has at an offset in bytes, at most `PIECE_BYTES`."""
    with open(file, "rb") as opened:
        opened.seek(offset)
        return opened.read(PIECE_BYTES)


def write_piece(file: Path, offset: int, content: bytes) -> None:
    """Add a piece to a file; the one at offset 0 begins it.

    Raises:
        FileError: if pieces before it are missing.
        OSError: if it cannot be written.
    """
    with open(file, "ab" if offset else "wb") as opened:
        if opened.tell() != offset:
            raise FileError(f"{file.name} has {opened.tell()} bytes, and a piece for {offset} came")
        opened.write(content)
