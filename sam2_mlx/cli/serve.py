"""The command `sam2-mlx serve`: the package for apps, over pipes or a socket."""

from __future__ import annotations

import argparse
from pathlib import Path

from sam2_mlx.cli.arguments import CommandParser


def main(argv: list[str]) -> int:
    """Serve apps until they are done; the exit code is 0."""
    options = _parser().parse_args(argv)
    from sam2_mlx.apps.serving.doors import serve_socket, serve_standard_streams
    from sam2_mlx.apps.serving.worker import Worker

    if options.socket is not None:
        serve_socket(Worker(), options.socket)
    else:
        serve_standard_streams(Worker())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        "serve", "Follow objects for another program, which speaks the protocol of docs/app.md."
    )
    doors = parser.add_mutually_exclusive_group(required=True)
    doors.add_argument(
        "--stdio", action="store_true", help="one app, on this process's stdin and stdout"
    )
    doors.add_argument(
        "--socket",
        metavar="PATH",
        type=Path,
        help="apps one after the other, on a Unix socket in a folder that only you may enter",
    )
    return parser
