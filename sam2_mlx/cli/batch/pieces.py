"""Files that travel in pieces, between machines that share no folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from sam2_mlx.files import FileError, StagedFile, StagedFolder, quoted, sha256
from sam2_mlx.media.mask_writer import written_masks
from sam2_mlx.media.png_sequence import written_pictures

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


def list_result(path: Path) -> dict[str, tuple[int, str]]:
    """Size and digest of each file of a result, by its path in it; "" where it is a file itself."""
    files = {"": path} if path.is_file() else {}
    if path.is_dir():
        inside = (file for file in path.rglob("*") if file.is_file())
        files = {file.relative_to(path).as_posix(): file for file in inside}
    return {name: (file.stat().st_size, sha256(file)) for name, file in files.items()}


def fetch_result(
    target: Path, files: Mapping[str, tuple[int, str]], read: Callable[[str, int], bytes]
) -> None:
    """Put a result together; it appears whole or not at all.

    Args:
        target: the file, or the folder.
        files: as `list_result` of the other machine says.
        read: gives the next piece of a file, by name and offset.

    Raises:
        FileError: if something did not arrive whole, or cannot be written.
    """
    alone = "" in files
    with StagedFile(target) if alone else StagedFolder(target, partial(_written, files)) as place:
        for name, (size, digest) in files.items():
            file, offset = place if alone else place.joinpath(*plain_parts(name)), 0
            file.parent.mkdir(parents=True, exist_ok=True)
            while offset == 0 or offset < size:
                content = read(name, offset)
                write_piece(file, offset, content)
                offset += len(content) or size + 1
            if sha256(file) != digest:
                raise FileError(f"{target} did not arrive whole")


def plain_parts(name: str) -> list[str]:
    """The parts of a path within a folder; raises as `check_name`."""
    return [check_name(part) for part in name.split("/")]


def _written(files: Iterable[str], folder: Path) -> list[str]:
    """What is in an earlier result: masks, pictures, and what is replaced by a file of its name."""
    there = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    strange = {name.split("/")[0] for name in there.difference(files)}
    ours = [entry.name for entry in folder.iterdir() if entry.name not in strange]
    return [*ours, *written_masks(folder), *written_pictures(folder)]
