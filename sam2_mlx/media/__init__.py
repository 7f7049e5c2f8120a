"""Reading frames from anything, writing videos, masks and cut-outs.

Importing this package is cheap: FFmpeg and OpenCV are loaded when they are first needed.
"""

from __future__ import annotations

from pathlib import Path

from sam2_mlx.media.errors import MediaError
from sam2_mlx.media.frame_source import FrameSource
from sam2_mlx.media.pictures import load_picture
from sam2_mlx.media.reader import open_frames

__all__ = ["FrameSource", "MediaError", "demo_clip", "load_picture", "open_frames"]


def demo_clip() -> Path:
    """The bundled mp4: 5 seconds of drawn objects that cross each other, 640x360, 24 a second."""
    return Path(__file__).resolve().parent.parent / "assets" / "demo.mp4"
