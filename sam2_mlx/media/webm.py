"""The shape of a WebM's pixels, which PyAV's muxer leaves out."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

# Matroska's elements: no lacing and an unknown language, which say nothing here; and a short
# `Video` that begins with `PixelWidth`.
_SPARE = b"\x9c\x81\x00\x22\xb5\x9c\x83und"
_VIDEO = re.compile(rb"\xe0([\x80-\xf4])\xb0[\x81\x82]")
_HEAD_BYTES = 4096


def set_pixel_aspect(path: Path, size: tuple[int, int], aspect: Fraction) -> None:
    """Tell players the size at which a finished WebM is to be shown.

    The two elements that say so take the place of two that may be missing, so nothing else moves.

    Args:
        path: the file.
        size: (width, height) of its frames.
        aspect: width of a pixel over its height.
    """
    with path.open("r+b") as file:
        head = file.read(_HEAD_BYTES)
        spare = head.find(_SPARE)
        video = _VIDEO.search(head, max(0, spare))
        if spare < 0 or video is None:
            return
        width, height = round(size[0] * aspect), size[1]
        if not 0 < width < 2**16:
            return
        element = b"\x54\xb0\x82" + width.to_bytes(2, "big") + b"\x54\xba\x82"
        element += height.to_bytes(2, "big")
        end = video.start() + 2 + (video[1][0] & 0x7F)
        before = head[spare + len(_SPARE) : video.start()]
        fields = bytes([0xE0, video[1][0] + len(element)]) + head[video.start() + 2 : end] + element
        file.seek(spare)
        file.write(before + fields)
