"""How many samples the tables of an mp4 or mov file declare, before anybody makes room for them."""

from __future__ import annotations

import io
import zlib
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from sam2_mlx.media.errors import MediaError

_HOLDERS = frozenset(
    name.encode() for name in "moov trak mdia minf stbl edts moof traf cmov".split()
)
_FIRST = frozenset(
    name.encode() for name in "ftyp moov moof mdat free skip wide pnot styp sidx uuid".split()
)
# Header of a table with versions and flags; the count is its first number but in stsz and stz2.
_COUNT_AT = {b"stsz": 8, b"stz2": 8, b"trun": 4, b"elst": 4}
_MAX_HEADER_BYTES = 2**26
_DEPTH = 8


def check_tables(path: Path) -> None:
    """Refuse an mp4 or mov file whose tables declare more samples than it has bytes.

    FFmpeg builds an index of all declared samples when it opens a file, and one table entry can
    declare billions of equal ones.

    Raises:
        MediaError: if it is an mp4 or mov file that declares too much.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        if file.read(8)[4:] not in _FIRST:
            return
        counts = {name: 0 for name in _COUNT_AT}
        _count(file, 0, size, counts, _DEPTH)
    edits = counts.pop(b"elst")
    samples = sum(counts.values())
    # Each edit can show every sample once more.
    if samples > size or samples * max(1, edits) > max(2**22, 4 * size):
        raise MediaError(
            f"{path} declares {samples:,} samples in {edits} edits but has {size:,} bytes; "
            "it is damaged, convert it again"
        )


def _count(file: BinaryIO, start: int, end: int, counts: dict[bytes, int], depth: int) -> None:
    """Add up the counts of the tables between two places of a file."""
    while start + 8 <= end:
        file.seek(start)
        header = file.read(16)
        length, name, body = int.from_bytes(header[:4], "big"), header[4:8], start + 8
        if length == 1:
            length, body = int.from_bytes(header[8:16], "big"), start + 16
        stop = end if length == 0 else min(end, start + length)
        if stop < body:
            return
        if name in _COUNT_AT:
            file.seek(body + _COUNT_AT[name])
            counts[name] += int.from_bytes(file.read(4), "big")
        elif name == b"cmvd" and depth:
            file.seek(body + 4)
            with suppress(zlib.error):
                packed = file.read(stop - body - 4)
                moov = zlib.decompressobj().decompress(packed, _MAX_HEADER_BYTES)
                _count(io.BytesIO(moov), 0, len(moov), counts, depth - 1)
        elif name in _HOLDERS and depth:
            _count(file, body, stop, counts, depth - 1)
        start = stop
