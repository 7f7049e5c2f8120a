"""Masks as Label Studio's brush has them: a stream of bits with runs of bytes.

32 bits have the number of bytes, 5 the bits of a value less one, 4 times 4 the sizes of lengths
less one. Then come runs: a bit that says that one value follows, two that choose the size of the
length, the length less one, and the value. The bytes are those of RGBA pixels, row by row.
"""

from __future__ import annotations

import numpy as np

_CHANNELS = 4
_SIZES = (3, 4, 8, 16)


def brush_rle(mask: np.ndarray) -> list[int]:
    """The bytes of a mask, whose pixels are 255 in all channels or 0.

    Args:
        mask: bool (H, W), True on the object.
    """
    flat = mask.ravel()
    starts = np.flatnonzero(np.diff(flat)) + 1
    bounds = np.concatenate([[0], starts, [flat.size]])
    bits = [f"{flat.size * _CHANNELS:032b}", f"{8 - 1:05b}"]
    bits += [f"{size - 1:04b}" for size in _SIZES]
    for start, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        value = "11111111" if flat[start] else "00000000"
        left = (end - start) * _CHANNELS
        while left:
            length = min(left, 2 ** _SIZES[-1])
            choice = next(i for i, size in enumerate(_SIZES) if length <= 2**size)
            bits.append(f"1{choice:02b}{length - 1:0{_SIZES[choice]}b}{value}")
            left -= length
    text = "".join(bits)
    text += "0" * (-len(text) % 8)
    return list(int(text, 2).to_bytes(len(text) // 8, "big"))
