"""Frames by number and by time."""

from __future__ import annotations

import pytest

from sam2_mlx.apps.projects.frame_numbers import read_frame_number

TIMES = [number / 25 for number in range(25 * 4000)]


@pytest.mark.parametrize(
    ("text", "frame"),
    [
        ("0", 0),
        ("120", 120),
        ("5s", 125),
        ("0.04s", 1),
        ("0.0399s", 1),  # typed rounded
        ("0.03s", 0),
        ("500ms", 12),
        ("40ms", 1),
        ("1:00", 1500),
        ("00:01:00", 1500),
        ("01:00:00.52", 90013),
        ("66:40", 99999),  # the last one is shown until then
        ("00:00:05.", 125),
        (None, None),
    ],
)
def test_what_can_be_typed(text: str | None, frame: int | None) -> None:
    assert read_frame_number("--frame", text, TIMES) == frame


@pytest.mark.parametrize(
    "text", ["x", "5.5", "", "s", "ms", "1:60", "1:00:60", "1:60:00", "::5", "1:2:3:4", "9" * 5000]
)
def test_what_is_neither(text: str) -> None:
    with pytest.raises(ValueError, match=r"needs a frame number \(120\) or a time \(5s, 500ms"):
        read_frame_number("--frame", text, TIMES)


@pytest.mark.parametrize("text", ["100000", "-1", "2:00:00", "4002s", "-1s", "nans", "9" * 300])
def test_what_the_clip_does_not_have(text: str) -> None:
    with pytest.raises(ValueError, match="outside the clip; it has frames 0 to 99999"):
        read_frame_number("--start", text, TIMES)
