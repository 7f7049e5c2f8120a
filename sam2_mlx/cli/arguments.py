"""Arguments that the commands share; light, so that --help and mistakes are quick."""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NoReturn

from sam2_mlx.config import MODELS
from sam2_mlx.files import FileError, expanded

DTYPES = ("float32", "float16", "bfloat16")
DEVICES = ("auto", "gpu", "cpu", "mps", "cuda")
FORMATS = ("video", "prores4444", "webm-alpha", "png-sequence")
"""Forms of a written clip; all but the first are the objects alone, with transparency."""


class CommandParser(argparse.ArgumentParser):
    """The parser of a command: its errors are one line, as all errors of the commands are.

    Args:
        command: its name after `sam2-mlx`, or that of another program.
        description: what it does, in a sentence or two.
        examples: what follows the options, as it is written.
    """

    def __init__(self, command: str, description: str, examples: str = "") -> None:
        super().__init__(
            prog=command if command.endswith(".py") else f"sam2-mlx {command}",
            description=textwrap.fill(description, 80),
            epilog=examples,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self.add_argument(
            "--device",
            choices=DEVICES,
            metavar="|".join(DEVICES[:3]),
            default="auto",
            help="where models run: auto (the default) is the GPU where MLX has one",
        )

    def parse_args(self, *args: Any, **kwargs: Any) -> Any:
        """As ever; the device that was asked for is MLX's default from then on."""
        options = super().parse_args(*args, **kwargs)
        if options.device != "auto":
            from sam2_mlx.ops.device import set_default

            note = set_default(options.device)
            if note:
                print(f"sam2-mlx: note: {note}", file=sys.stderr)
        return options

    def error(self, message: str) -> NoReturn:
        """Print one line and leave with exit code 2."""
        print(f"sam2-mlx: error: {message}; see --help", file=sys.stderr)
        raise SystemExit(2)


def add_prompt_arguments(parser: argparse.ArgumentParser, masks: bool) -> None:
    """Add the options that say what to segment.

    Args:
        parser: gets the options.
        masks: whether a mask can be a prompt.
    """
    group = parser.add_argument_group(
        "what to segment", "repeat for more; put ID: in front for a second object: 2:400,120"
    )
    add = group.add_argument
    add(
        "--point",
        metavar="X,Y",
        action="append",
        default=[],
        help="a point on the object, in pixels",
    )
    add(
        "--negative-point",
        metavar="X,Y",
        action="append",
        default=[],
        help="a point that is not on the object",
    )
    add("--box", metavar="X0,Y0,X1,Y1", action="append", default=[], help="a box around the object")
    if masks:
        add(
            "--mask",
            metavar="FILE",
            action="append",
            default=[],
            help="a picture of the object's mask, of the clip's size: not black is the object "
            "(in a palette PNG, the pixels with the object's id)",
        )
        add(
            "--objects-from",
            metavar="FILE",
            type=file_path,
            help="a palette PNG with the masks of several objects: each value but 0 is an id",
        )
        add(
            "--prompts",
            metavar="FILE",
            type=file_path,
            help="a file with prompts on any frames, such as --save-prompts writes",
        )


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose the weights."""
    group = parser.add_argument_group("model")
    group.add_argument(
        "--model",
        metavar="NAME",
        default="auto",
        help=f"{', '.join(MODELS)}, a Hugging Face id, a folder, a .pt or .safetensors file; "
        "auto (the default) is the official tiny model, or the bundled nano without a network",
    )
    group.add_argument(
        "--dtype",
        choices=("auto", *DTYPES),
        default="auto",
        help="auto is float16 on a GPU and float32 on a CPU",
    )
    group.add_argument(
        "--image-size",
        metavar="N",
        type=int,
        help="side of the model's input in pixels, a multiple of 32; smaller is faster",
    )


def join_values(argv: Sequence[str]) -> list[str]:
    """The arguments with values such as `-5,3` tied to their option.

    Args:
        argv: the arguments of a command.

    Returns:
        Arguments in which argparse does not take such a value for an option.
    """
    joined: list[str] = []
    for text in argv:
        value = re.match(r"-[\d.]", text)
        if value and joined and joined[-1].startswith("--") and "=" not in joined[-1]:
            joined[-1] += f"={text}"
        else:
            joined.append(text)
    return joined


def file_path(text: str) -> Path:
    """A file or folder as it is typed; see `expanded`.

    Raises:
        argparse.ArgumentTypeError: if it is an address, or nothing.
    """
    try:
        if text:
            return expanded(text)
    except FileError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None
    raise argparse.ArgumentTypeError("need a name; got an empty one")


def read_count(text: str) -> int:
    """A number of frames as it is typed, 1 or more.

    Raises:
        argparse.ArgumentTypeError: if it is not.
    """
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text)):
        raise argparse.ArgumentTypeError(f"need a number of frames, 1 or more; got {text}")
    return int(text)


def read_frame_rate(text: str) -> Fraction:
    """A frame rate as it is typed: `25`, `29.97` or `30000/1001`.

    Args:
        text: what was typed.

    Returns:
        Frames a second.

    Raises:
        argparse.ArgumentTypeError: if it is not a number above zero.
    """
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= 1000:
        raise argparse.ArgumentTypeError(f"need frames a second, such as 25; got {text}")
    return rate
