"""How a written video is encoded: for players, or with transparency for editors."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from sam2_mlx.media.errors import MediaError


@dataclass(frozen=True)
class Encoding:
    """One way to encode a video.

    Attributes:
        codec: FFmpeg's name of the encoder.
        pixels: FFmpeg's name of the pixel format.
        suffixes: extensions of the containers that take it.
        options: options of the encoder.
    """

    codec: str
    pixels: str
    suffixes: tuple[str, ...]
    options: tuple[tuple[str, str], ...]

    @property
    def alpha(self) -> bool:
        """Whether frames are RGBA."""
        return self.pixels.startswith("yuva")

    @property
    def even(self) -> bool:
        """Whether width and height must be even."""
        return "420" in self.pixels


# x264's scale: 18 is hard to tell from the source, 23 is its default.
H264 = Encoding(
    "libx264",
    "yuv420p",
    (".mp4", ".mov", ".mkv"),
    (("preset", "veryfast"), ("crf", "18")),
)
# At 4K the slower preset takes two thirds of a frame's processor time; this one gives the same
# peak signal-to-noise ratio in half of it, and a file a quarter larger. To choose where B-frames
# lie takes a fifth of what is left, for a file of the same size.
_H264_LARGE = replace(H264, options=(("preset", "superfast"), ("crf", "19"), ("b_strategy", "0")))
_LARGE_PIXELS = 2**22
# The encoder of Apple's chips, at a constant quality of 65 of 100 (118 is FFmpeg's unit of it).
_H264_HARDWARE = replace(
    H264,
    codec="h264_videotoolbox",
    options=(("flags", "+qscale"), ("global_quality", str(65 * 118)), ("profile", "high")),
)
PRORES_4444 = Encoding("prores_ks", "yuva444p10le", (".mov",), (("profile", "4444"),))
WEBM_ALPHA = Encoding(
    "libvpx-vp9",
    "yuva420p",
    (".webm",),
    (
        ("crf", "20"),
        ("b", "0"),
        # Alternate reference frames and transparency exclude each other.
        ("auto-alt-ref", "0"),
        ("deadline", "good"),
        ("cpu-used", "4"),
        ("row-mt", "1"),
    ),
)
ENCODINGS: dict[str, Encoding | None] = {
    "video": H264,
    "prores4444": PRORES_4444,
    "webm-alpha": WEBM_ALPHA,
    "png-sequence": None,
}
"""Forms of a written clip; the last is a folder of pictures."""

CLIP_ENDINGS = {
    "video": "_masked.mp4",
    "prores4444": "_cutout.mov",
    "webm-alpha": "_cutout.webm",
    "png-sequence": "_cutout",
}
"""What is behind a clip's name where each form of many is named."""


def h264(encoder: str, size: tuple[int, int]) -> Encoding:
    """How H.264 is encoded on this machine.

    Args:
        encoder: `libx264`, `h264_videotoolbox`, or `auto`: the latter on a Mac that has it.
        size: (width, height) of the video in pixels.

    Raises:
        MediaError: if an encoder was named that cannot be used here.
    """
    if encoder == _H264_HARDWARE.codec or (encoder == "auto" and sys.platform == "darwin"):
        problem = _why_not(_H264_HARDWARE, size)
        if problem is None:
            return _H264_HARDWARE
        if encoder != "auto":
            raise MediaError(
                f"the encoder {encoder} cannot be used here ({problem}); --encoder libx264 can"
            )
    return _H264_LARGE if size[0] * size[1] > _LARGE_PIXELS else H264


def _why_not(encoding: Encoding, size: tuple[int, int]) -> str | None:
    """Why pictures cannot be encoded so, or None: a machine may lack what FFmpeg knows."""
    import av

    if encoding.codec not in av.codecs_available:
        return "PyAV has none of that name"
    try:
        context: Any = av.CodecContext.create(encoding.codec, "w")
        context.width, context.height = (length + length % 2 for length in size)
        context.pix_fmt, context.time_base = encoding.pixels, Fraction(1, 25)
        context.options = dict(encoding.options)
        context.open()
    except av.FFmpegError as problem:
        return str(problem.strerror)
    return None
