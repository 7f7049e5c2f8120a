"""Which encoder of H.264 a machine gets."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from sam2_mlx.media import MediaError, encodings
from sam2_mlx.media.encodings import H264, h264

# What every PyAV can encode, in place of the hardware of a Mac; what no machine without one can.
AT_HAND = replace(H264, codec="mpeg4", options=())
NOT_AT_HAND = "h264_videotoolbox" if sys.platform != "darwin" else "h264_nvenc"


@pytest.fixture
def mac(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")


def hardware(monkeypatch: pytest.MonkeyPatch, codec: str) -> None:
    monkeypatch.setattr(encodings, "_H264_HARDWARE", replace(AT_HAND, codec=codec))


@pytest.mark.usefixtures("mac")
def test_a_mac_encodes_in_hardware_where_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    hardware(monkeypatch, "mpeg4")
    assert h264("auto", (97, 64)).codec == "mpeg4"
    assert h264("libx264", (97, 64)) is H264
    # Known to FFmpeg, and nothing in the machine that does it.
    for codec in ("h264_v4l2m2m", "h264_nvenc", "no-such-encoder"):
        hardware(monkeypatch, codec)
        assert h264("auto", (97, 64)) is H264


def test_elsewhere_it_is_software(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    hardware(monkeypatch, "mpeg4")
    assert h264("auto", (1920, 1080)) is H264
    large = h264("auto", (3840, 2160))
    assert large.codec == "libx264" and dict(large.options)["preset"] == "superfast"


def test_an_encoder_that_was_named_and_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    hardware(monkeypatch, NOT_AT_HAND)
    with pytest.raises(MediaError, match=f"{NOT_AT_HAND} cannot be used here .*libx264 can"):
        h264(NOT_AT_HAND, (96, 64))
