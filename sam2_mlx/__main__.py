"""The `sam2-mlx` command: hands the arguments to one of its subcommands."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NoReturn

from sam2_mlx import __version__
from sam2_mlx.cli.errors import INVALID, check_process, guarded, tell
from sam2_mlx.cli.process import be_command

# name: (module of the package, what it does). A module is imported only when its command is called.
# Its `main` takes the arguments after the name and returns the exit code; what cannot be carried
# out is a ValueError or an OSError, and the one guard makes a line of it.
COMMANDS: dict[str, tuple[str, str]] = {
    "video": ("cli.video", "mask objects on every frame of a video"),
    "image": ("cli.image", "mask objects in a picture"),
    "batch": ("cli.batch.command", "work through many clips, each exactly once"),
    "everything": ("cli.everything", "find and mask everything in pictures, without prompts"),
    "convert": ("cli.convert", "turn a checkpoint into this package's format"),
    "export": ("cli.export", "write a model as a bundle, for apps without Python"),
    "info": ("cli.info", "say what MLX runs on here, and which models are at hand"),
    "bench": ("cli.bench.command", "measure speed, memory and work on this machine"),
    "eval": ("cli.evaluate", "score masks on annotated videos (DAVIS or SA-V layout)"),
    "app": ("cli.app", "click on things in clips and pictures, in the browser"),
    "serve": ("cli.serve", "follow objects for another program, such as a Mac app"),
    "tune": ("cli.tune", "find the fastest of the forms with equal masks on this machine"),
    "report": ("cli.report", "write what this machine is and does into a file to send"),
    "selftest": ("cli.selftest", "compare every custom kernel with plain MLX on this machine"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand.

    Args:
        argv: the arguments after the program's name; None takes those of the process.

    Returns:
        The exit code: 0 done, 1 for a selftest that failed, 2 for a mistake in the arguments or
        the input, 128 and its number for a signal (130 for Ctrl-C).
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    return guarded(lambda: _dispatch(arguments))


def run(*words: str) -> NoReturn:
    """Be the process of a command.

    Args:
        words: arguments before those of the process.
    """
    be_command(lambda: main([*words, *sys.argv[1:]]))


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_help())
        return 0 if arguments else INVALID
    name, *rest = arguments
    if name in ("-V", "--version"):
        print(f"sam2-mlx {__version__}")
        return 0
    if name not in COMMANDS:
        tell(_unknown(name))
        return INVALID
    if not {"-h", "--help"} & set(rest):
        check_process()
    module, _ = COMMANDS[name]
    command: Callable[[list[str]], int] = import_module(f"sam2_mlx.{module}").main
    return command(rest)


def _help() -> str:
    lines = [
        "usage: sam2-mlx COMMAND ...",
        "",
        "SAM 2 in MLX: masks from clicks in pictures and videos.",
        "",
        "commands:",
        *(f"  {name:10} {what}" for name, (_, what) in COMMANDS.items()),
        "",
        "`sam2-mlx COMMAND --help` explains one of them; --version prints the version.",
    ]
    return "\n".join(lines)


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, COMMANDS, n=1)
    hint = f"did you mean `{near[0]}`?" if near else f"expected one of {', '.join(COMMANDS)}."
    kind = "option" if name.startswith("-") else "command"
    return f"unknown {kind} {name!r}; {hint}"


if __name__ == "__main__":
    run()
