"""Follow objects in the picture of a camera: click on one.

    python demos/webcam.py
    python demos/webcam.py --source clip.mp4 --model nano
    python demos/webcam.py --source rtsp://192.168.1.20/stream

Press h in the window for the keys.
"""

# ruff: noqa: E402
from __future__ import annotations

import argparse
import signal
from pathlib import Path

# Ctrl-C while the rest is imported is no traceback.
signal.signal(signal.SIGINT, signal.SIG_DFL)

import sam2_mlx
from sam2_mlx.cli.arguments import CommandParser
from sam2_mlx.cli.errors import guarded
from sam2_mlx.cli.model import ModelChoice, load_model
from sam2_mlx.cli.process import be_command
from sam2_mlx.cli.stop import StopSignals
from sam2_mlx.live.capture import Capture
from sam2_mlx.live.controls import Controls
from sam2_mlx.live.feeds import open_feed
from sam2_mlx.live.viewer import Viewer
from sam2_mlx.live.window import HighguiWindow
from sam2_mlx.tracking.options import TrackingOptions
from sam2_mlx.tracking.policies import BOUNDED


def main(argv: list[str] | None = None) -> int:
    """Run the demo; returns the exit code."""
    args = _parser().parse_args(argv)
    return guarded(lambda: _run(args))


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser("webcam.py", __doc__.splitlines()[0])
    parser.add_argument("--source", default="0", help="camera number (0), clip, folder or address")
    parser.add_argument("--model", default="auto", help="a model's name, folder or file (auto)")
    parser.add_argument(
        "--dtype", default="auto", help="auto (the default), float32, float16 or bfloat16"
    )
    parser.add_argument("--image-size", type=int, help="side of the model's input; less is faster")
    parser.add_argument(
        "--width", type=int, default=1280, help="widest picture shown, in pixels (1280)"
    )
    parser.add_argument("--folder", type=Path, default=Path(), help="for recordings and masks (.)")
    parser.add_argument(
        "--memory",
        choices=BOUNDED,
        default="rolling",
        help="which frames are remembered; docs/memory.md compares them (rolling)",
    )
    parser.add_argument("--every-frame", action="store_true", help="skip no frame of a clip")
    return parser


class _Window(HighguiWindow):
    """A window that is closed by Ctrl-C too, so that a recording is completed."""

    stop = StopSignals()

    def poll(self, controls: Controls, scale: float) -> str | None:
        """The key that was pressed; None ends."""
        return None if self.stop.received else super().poll(controls, scale)


def _run(args: argparse.Namespace) -> int:
    # The window comes first: see sam2_mlx/live/window.py.
    window = _Window("sam2_mlx")
    feed = open_feed(args.source, live=not args.every_frame)
    model = load_model(ModelChoice(args.model, args.dtype, args.image_size, follow=True))
    # A correction that is to last must not roll out of the memory after some frames.
    options = TrackingOptions(corrections_become_prompts=True)
    session = sam2_mlx.TrackingSession(model, memory=args.memory, options=options)
    capture = Capture(feed, keep_all=args.every_frame)
    try:
        with window.stop:
            Viewer(session, capture, window, args.folder, args.width).run()
    finally:
        capture.close()
    return 128 + window.stop.received if window.stop.received else 0


if __name__ == "__main__":
    be_command(main)
