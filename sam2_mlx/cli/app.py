"""The command `sam2-mlx app`: the workbench, a page in the browser."""

from __future__ import annotations

import argparse
import webbrowser
from pathlib import Path

from sam2_mlx.cli.arguments import CommandParser, add_model_arguments, file_path
from sam2_mlx.cli.errors import UsageError
from sam2_mlx.cli.model import ModelChoice, load_model
from sam2_mlx.cli.process import Handling

_EXAMPLES = """\
examples:
  sam2-mlx app                             what is in this folder, and earlier projects
  sam2-mlx app clip.mp4 --model tiny
  sam2-mlx app --allow ~/Movies --no-open

Only this machine can reach the server, with the address that is printed; it ends with Ctrl-C.
"""

_NOT_FOR_PAGES = ("map", "unmap", "shutdown")


def main(argv: list[str]) -> int:
    """Serve the page until Ctrl-C; the exit code is 0."""
    options = _parser().parse_args(argv)
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError:
        raise UsageError('the workbench needs: pip install "sam2_mlx[app]"') from None
    return _serve(options)


def _serve(options: argparse.Namespace) -> int:
    from sam2_mlx.apps.serving.access import ListedAccess
    from sam2_mlx.apps.serving.method import Engine
    from sam2_mlx.apps.serving.methods import METHODS
    from sam2_mlx.apps.serving.worker import Worker
    from sam2_mlx.apps.workbench.server import bind, kept_token, serving
    from sam2_mlx.media import demo_clip
    from sam2_mlx.media.reader import is_pattern

    opened = options.open
    if opened == Path("demo") and not opened.exists():
        opened = demo_clip()
    for path in (opened, *options.allow):
        if path is not None and not (path.exists() or is_pattern(path)):
            raise FileNotFoundError(f"no file or folder {path}; check the path")
    places = [*options.allow, Path.cwd() if opened is None else opened, demo_clip()]
    home = _projects_folder(options.projects)
    methods = {name: one for name, one in METHODS.items() if name not in _NOT_FOR_PAGES}
    listener = bind(options.port)
    try:
        model = load_model(ModelChoice(options.model, options.dtype, options.image_size))
        engine = Engine(tuple(methods), model, ListedAccess(places, home), opened)
        worker = Worker(engine, methods)
        with serving(worker, listener, kept_token(home)) as address:
            print(address, flush=True)
            if not options.no_open:
                webbrowser.open(address)
            # MLX belongs to this thread; Ctrl-C lets the frame at hand be finished.
            with Handling(lambda number: worker.stop()):
                worker.run()
    finally:
        listener.close()
    return 0


def _projects_folder(typed: Path | None) -> Path:
    """Where projects are kept; made if it is not there."""
    from sam2_mlx.apps.serving.access import PROJECTS

    folder = typed or Path.home() / PROJECTS
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        "app",
        "Click on things in clips and pictures, in a page that this command serves.",
        _EXAMPLES,
    )
    add = parser.add_argument
    add(
        "open",
        metavar="CLIP|FOLDER|PICTURE",
        nargs="?",
        type=file_path,
        help="what the page begins with, or the word demo; without it the page offers what is in "
        "this folder",
    )
    add("--port", metavar="N", type=_port, help="where to listen: 7725, or any that is free")
    add("--no-open", action="store_true", help="print the address and open no browser")
    add(
        "--allow",
        metavar="FOLDER",
        type=file_path,
        action="append",
        default=[],
        help="let the page open what is in a folder, too; repeat for more",
    )
    add(
        "--projects",
        metavar="FOLDER",
        type=file_path,
        help="where projects are kept and exports go (~/sam2-mlx-projects)",
    )
    add_model_arguments(parser)
    return parser


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6 and int(text) < 2**16):
        raise argparse.ArgumentTypeError(f"need a port, 0 to 65535; got {text}")
    return int(text)
