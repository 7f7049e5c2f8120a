"""COCO run-length masks: column by column, first the zeros.

A mask is read down its columns; the counts are the lengths of its runs, of zeros first (possibly
0) and of ones next, in turn. COCO's compressed form packs the counts into printable characters.

Source: the format of the COCO API's mask module (maskApi.c), which these functions agree with.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sam2_mlx.ops.masks import mask_box

# A character carries 5 bits and a "more follows" bit, on top of the character '0'.
_BITS = 5
_MORE = 1 << _BITS
_BASE = 48
_MOST_BITS = 60


def mask_to_counts(mask: np.ndarray) -> np.ndarray:
    """Lengths of a mask's runs.

    Args:
        mask: (H, W), anything but zero is the object.

    Returns:
        int64 (R,): zeros, ones, zeros, ... in column order; they sum to H * W.

    Raises:
        ValueError: if the mask does not have two axes or has no pixels.
    """
    array = np.asarray(mask)
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"a mask needs shape (height, width); got {array.shape}")
    flat = (array != 0).T.ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    bounds = np.concatenate([[0], changes, [flat.size]])
    counts = np.diff(bounds)
    return np.concatenate([[0], counts]) if flat[0] else counts


def counts_to_mask(counts: Any, size: tuple[int, int]) -> np.ndarray:
    """The mask, bool (height, width), of run lengths: zeros, ones, zeros, ...

    Raises:
        ValueError: if the counts do not fill the size.
    """
    height, width = size
    lengths, pixels = _whole_numbers(counts), height * width
    # One by one, because the sum of hostile ones can pass the largest number and come out right.
    fit = lengths.ndim == 1 and ((lengths >= 0) & (lengths <= pixels)).all()
    if not fit or int(lengths.sum()) != pixels:
        raise ValueError(
            f"run lengths must be at least 0 and sum to {height} * {width} = {pixels}; "
            f"got {lengths.size} with a sum of {int(lengths.sum())}"
        )
    values = np.arange(len(lengths)) % 2 == 1
    return np.ascontiguousarray(np.repeat(values, lengths).reshape(width, height).T)


def counts_to_string(counts: np.ndarray) -> str:
    """COCO's compressed form of run lengths: printable ASCII."""
    values = np.array(counts, np.int64)
    # From the fourth on, each is stored as the difference to the one of its kind before.
    values[3:] -= np.asarray(counts, np.int64)[1:-2]
    groups = []
    pending = np.ones(len(values), bool)
    while pending.any():
        low = values & (_MORE - 1)
        values = values >> _BITS
        # Done when only the sign is left and the last group's top bit already tells it.
        done = np.where(low & (_MORE >> 1), values == -1, values == 0)
        code = low + np.where(done, 0, _MORE) + _BASE
        groups.append(np.where(pending, code, 0))
        pending = pending & ~done
    codes = np.stack(groups, axis=1).ravel() if groups else np.zeros(0, np.int64)
    return codes[codes > 0].astype(np.uint8).tobytes().decode("ascii")


def string_to_counts(text: str | bytes) -> np.ndarray:
    """Run lengths, int64 (R,), of COCO's compressed form.

    Raises:
        ValueError: if it holds other characters or ends within a number.
    """
    data = text.encode("ascii", "replace") if isinstance(text, str) else bytes(text)
    codes = np.frombuffer(data, np.uint8).astype(np.int64) - _BASE
    if ((codes < 0) | (codes >= 2 * _MORE)).any() or (len(codes) and codes[-1] & _MORE):
        raise ValueError("not a compressed COCO mask: unexpected characters in its counts")
    counts: list[int] = []
    value, shift = 0, 0
    for code in codes.tolist():
        value |= (code & (_MORE - 1)) << shift
        shift += _BITS
        if shift > _MOST_BITS:
            raise ValueError("not a compressed COCO mask: a number in its counts is too long")
        if code & _MORE:
            continue
        if code & (_MORE >> 1):
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value, shift = 0, 0
    return _whole_numbers(counts)


def encode(mask: np.ndarray, compress: bool = True) -> dict[str, Any]:
    """A mask as a COCO record.

    Args:
        mask: (H, W), anything but zero is the object.
        compress: whether the counts are packed into a string, or stay a list.

    Returns:
        `{"size": [H, W], "counts": ...}`, ready for JSON.
    """
    counts = mask_to_counts(mask)
    height, width = np.asarray(mask).shape
    packed = counts_to_string(counts) if compress else counts.tolist()
    return {"size": [int(height), int(width)], "counts": packed}


def decode(record: dict[str, Any]) -> np.ndarray:
    """The mask, bool (H, W), of a COCO record `{"size", "counts"}`, compressed or not.

    Raises:
        ValueError: if the counts do not fit the size.
    """
    height, width = record["size"]
    return counts_to_mask(_counts_of(record), (int(height), int(width)))


def area(record: dict[str, Any]) -> int:
    """Number of pixels of a COCO record's mask."""
    return int(_counts_of(record)[1::2].sum())


def bounding_box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """The smallest box (x, y, width, height) around a mask (H, W); zeros for an empty one."""
    x0, y0, x1, y1 = mask_box(np.asarray(mask) != 0) or (0, 0, 0, 0)
    return x0, y0, x1 - x0, y1 - y0


def _counts_of(record: dict[str, Any]) -> np.ndarray:
    counts = record.get("counts")
    return string_to_counts(counts) if isinstance(counts, (str, bytes)) else _whole_numbers(counts)


def _whole_numbers(values: Any) -> np.ndarray:
    try:
        return np.asarray(values, np.int64)
    except (TypeError, OverflowError) as problem:
        raise ValueError(f"run lengths must be whole numbers: {problem}") from problem
