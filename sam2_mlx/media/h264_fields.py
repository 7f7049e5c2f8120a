"""Whether an H.264 stream may code the two fields of a frame one by one."""

from __future__ import annotations

import re

# Profiles whose parameter sets tell the chroma format and scaling lists (H.264, 7.3.2.1.1).
_HIGH = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
_PARAMETER_SET = re.compile(rb"\x00\x00\x01[\x07\x27\x47\x67]")
_LONGEST = 1024


def may_hold_fields(data: bytes) -> bool | None:
    """Whether frames may be coded as two fields, which can come as two packets.

    Args:
        data: the codec's header as mp4 and Matroska keep it, or the start of a packet.

    Returns:
        None if there is no sequence parameter set in it.
    """
    if data[:1] == b"\x01":
        starts = [8]  # after six bytes of header and the length of the first set
    else:
        starts = [match.end() - 1 for match in _PARAMETER_SET.finditer(data)]
    if not starts:
        return None
    try:
        return any(not _frames_only(data[start : start + _LONGEST]) for start in starts)
    except IndexError:
        return True


def _frames_only(unit: bytes) -> bool:
    """The flag frame_mbs_only of a sequence parameter set, NAL header included."""
    bits = _Bits(unit[1:].replace(b"\x00\x00\x03", b"\x00\x00"))
    profile = bits.take(24) >> 16
    bits.number()
    if profile in _HIGH:
        chroma = bits.number()
        if chroma == 3:
            bits.take(1)
        bits.number()
        bits.number()
        bits.take(1)
        if bits.take(1):
            for place in range(12 if chroma == 3 else 8):
                if bits.take(1):
                    _skip_scaling_list(bits, 16 if place < 6 else 64)
    bits.number()
    order = bits.number()
    if order == 0:
        bits.number()
    elif order == 1:
        bits.take(1)
        for _ in range(2):
            bits.number()
        for _ in range(bits.number()):
            bits.number()
    bits.number()
    bits.take(1)
    bits.number()
    bits.number()
    return bool(bits.take(1))


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            code = bits.number()
            following = (last + (code + 1) // 2 * (1 if code % 2 else -1)) % 256
        last = following or last


class _Bits:
    """Reads bits, and numbers in Exp-Golomb code, from the front."""

    def __init__(self, data: bytes) -> None:
        self._text = "".join(f"{byte:08b}" for byte in data)
        self._place = 0

    def take(self, count: int) -> int:
        if self._place + count > len(self._text):
            raise IndexError("the parameter set is cut off")
        self._place += count
        return int(self._text[self._place - count : self._place], 2)

    def number(self) -> int:
        one = self._text.find("1", self._place)
        if one < 0:
            raise IndexError("the parameter set is cut off")
        zeros = one - self._place
        self._place = one
        return self.take(zeros + 1) - 1
