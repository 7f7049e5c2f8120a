"""Values as they are typed."""

from __future__ import annotations

import argparse
from fractions import Fraction

import pytest

from sam2_mlx.cli.arguments import join_values, read_frame_rate


def test_values_that_start_with_a_minus_belong_to_their_option() -> None:
    typed = [
        "a.mp4",
        "--point",
        "-5,3",
        "--box=-1,2,3,4",
        "-7",
        "--find-every",
        "-3",
        "--both",
        "-.5",
    ]
    assert join_values(typed) == [
        "a.mp4", "--point=-5,3", "--box=-1,2,3,4", "-7", "--find-every=-3", "--both=-.5",
    ]  # fmt: skip
    assert join_values(["--output", "-", "-h"]) == ["--output", "-", "-h"]


def test_frame_rates() -> None:
    assert read_frame_rate("30000/1001") == Fraction(30000, 1001)
    assert read_frame_rate("29.97") == Fraction(2997, 100)
    for text in ("0", "-1", "1/0", "x", "1001"):
        with pytest.raises(argparse.ArgumentTypeError, match="frames a second, such as 25"):
            read_frame_rate(text)
