"""Arguments that the commands share; light, so that --help and mistakes are quick."""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NoReturn

from sam2_mlx.cli.errors import INVALID, UsageError, note, report
from sam2_mlx.config import MODELS
from sam2_mlx.files import FileError, expanded, printable

DTYPES = ("float32", "float16", "bfloat16")
DEVICES = ("auto", "gpu", "cpu", "mps", "cuda")
ENCODERS = ("auto", "libx264", "h264_videotoolbox")
FORMATS = ("video", "prores4444", "webm-alpha", "png-sequence")
"""Forms of a written clip; all but the first are the objects alone, with transparency."""
MASK_ENDINGS = {"png": "_masks", "npz": "_masks.npz", "json": "_masks.json"}
"""What is behind a clip's name where a command names the masks of many."""


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

            problem = set_default(options.device)
            if problem:
                note(problem)
        return options

    def error(self, message: str) -> NoReturn:
        """Print one line and leave with exit code 2."""
        report(f"{printable(message)}; see --help")
        raise SystemExit(INVALID)


_PROMPTS = {
    "--point X,Y": "a point on the object, in pixels",
    "--negative-point X,Y": "a point that is not on the object",
    "--box X0,Y0,X1,Y1": "a box around the object",
}
_MASK_PROMPTS = {
    "--mask FILE": "a picture of the object's mask, of the clip's size: not black is the object "
    "(in a palette PNG, the pixels with the object's id)",
}
_PROMPT_FILES = {
    "--objects-from FILE": "a palette PNG with the masks of several objects: each value but 0 is "
    "an id",
    "--prompts FILE": "a file with prompts on any frames, such as --save-prompts writes",
}


def add_options(
    group: Any, kind: Callable[[str], Any], options: Mapping[str, str], **settings: Any
) -> None:
    """Add options that take a value.

    Args:
        group: a parser, or a group of one.
        kind: makes the value of what is typed.
        options: `--name VALUE`, as the help shows it, and what it is for.
        settings: of `add_argument`, for all of them.
    """
    for usage, purpose in options.items():
        *names, value = usage.split()
        group.add_argument(*names, metavar=value, type=kind, help=purpose, **settings)


def add_prompt_arguments(parser: argparse.ArgumentParser, masks: bool) -> None:
    """Add the options that say what to segment; `masks` says whether a mask can be a prompt."""
    group = parser.add_argument_group(
        "what to segment", "repeat for more; put ID: in front for a second object: 2:400,120"
    )
    prompts = _PROMPTS | _MASK_PROMPTS if masks else _PROMPTS
    add_options(group, str, prompts, action="append", default=[])
    if masks:
        add_options(group, file_path, _PROMPT_FILES)


def add_dtype_argument(parser: Any) -> None:
    """Add the option that chooses the type of the weights."""
    help_ = "auto is float16 on a GPU and float32 on a CPU"
    parser.add_argument("--dtype", choices=("auto", *DTYPES), default="auto", help=help_)


def add_engine_arguments(parser: argparse.ArgumentParser, otherwise: str) -> None:
    """Add `--workers` and `--dask`.

    Args:
        parser: of the command.
        otherwise: what happens without them, for the help.
    """
    add_options(parser, read_count, {"--workers N": f"processes with a model each; {otherwise}"})
    where = "work on a Dask cluster: the address of its scheduler, or local"
    add_options(parser, str, {"--dask ADDRESS": where})


def add_retry_argument(parser: Any) -> None:
    """Add `--retry-failed`."""
    help_ = "try clips again that failed before"
    parser.add_argument("--retry-failed", action="store_true", help=help_)


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
    add_dtype_argument(group)
    size = "side of the model's input in pixels, a multiple of 32; smaller is faster"
    add_options(group, int, {"--image-size N": size})


def option_of(name: str) -> str:
    """The option that sets a name: `min_area` -> `--min-area`."""
    return "--" + name.replace("_", "-")


def refuse(args: argparse.Namespace, names: Sequence[str], problem: str) -> None:
    """Check that options are not given.

    Args:
        args: what was typed.
        names: of those that must not be there; an option that the command lacks is not.
        problem: why not, with {} in the place of the option.

    Raises:
        UsageError: if one is.
    """
    for name in names:
        if getattr(args, name, None):
            raise UsageError(problem.format(option_of(name)))


def join_values(argv: Sequence[str]) -> list[str]:
    """The arguments with values such as `-5,3`, which look like options, tied to their option."""
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
    """A number of frames or objects as it is typed, 1 or more.

    Raises:
        argparse.ArgumentTypeError: if it is not.
    """
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text)):
        raise argparse.ArgumentTypeError(f"need a number, 1 or more; got {text}")
    return int(text)


def read_frame_rate(text: str) -> Fraction:
    """A frame rate as it is typed, in frames a second: `25`, `29.97` or `30000/1001`.

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
