"""Frames as they are typed: by their number, or by the time at which they are shown."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence

_CLOCK = re.compile(r"(?:(\d{1,9}):)?(\d{1,9}):(\d{1,9}(?:\.\d*)?)")
# Times are typed rounded.
_ROUNDED = 0.0005


def read_frame_number(option: str, text: str | None, times: Sequence[float]) -> int | None:
    """The number of a frame; None for None.

    Args:
        option: name of the option, for errors.
        text: `120`; or when it is shown: `5s`, `500ms`, `1:05` or `0:01:05.25`; or None.
        times: seconds of each frame, rising.

    Raises:
        ValueError: if it is neither, or the clip has no such frame.
    """
    if text is None:
        return None
    last = len(times) - 1
    try:
        seconds = _seconds(text)
        number = int(text) if seconds is None else bisect_right(times, seconds + _ROUNDED) - 1
    except ValueError:
        raise ValueError(
            f"{option} needs a frame number (120) or a time (5s, 500ms, 0:00:05); got {text}"
        ) from None
    beyond = seconds is not None and not seconds <= times[-1] + 1
    if beyond or not 0 <= number <= last:
        raise ValueError(
            f"{option} {text} is outside the clip; it has frames 0 to {last} "
            f"(0s to {times[-1]:.2f}s)"
        )
    return number


def _seconds(text: str) -> float | None:
    """A time in seconds, or None for a number of a frame."""
    clock = _CLOCK.fullmatch(text)
    if clock:
        hours, minutes, seconds = clock.groups(default="0")
        if float(seconds) >= 60 or (clock[1] and int(minutes) >= 60):
            raise ValueError
        return 3600 * int(hours) + 60 * int(minutes) + float(seconds)
    for unit, scale in (("ms", 0.001), ("s", 1.0)):
        if text.endswith(unit):
            return scale * float(text.removesuffix(unit))
    return None
