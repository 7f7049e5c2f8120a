"""How a written video is encoded: for players, or with transparency for editors."""

from __future__ import annotations

from dataclasses import dataclass


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
