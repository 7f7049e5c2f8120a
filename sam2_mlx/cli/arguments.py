"""Arguments that the commands share, and prompts as they are typed."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import NoReturn

import numpy as np
from PIL import Image, ImageOps

from sam2_mlx.cli.errors import UsageError
from sam2_mlx.config import MODELS
from sam2_mlx.media.errors import MediaError
from sam2_mlx.media.pictures import picture_size

_TAGGED = re.compile(r"(\d+):(.*)", re.DOTALL)


class OneLineParser(argparse.ArgumentParser):
    """A parser whose errors are one line, as all errors of the commands are."""

    def error(self, message: str) -> NoReturn:
        """Print one line and leave with exit code 2."""
        print(f"sam2-mlx: error: {message}; see --help", file=sys.stderr)
        raise SystemExit(2)


@dataclass
class ObjectPrompt:
    """What the command line says about one object.

    Attributes:
        object_id: 1 or more.
        points: (x, y) in pixels.
        labels: 1 on the object, 0 not on it; one for each point.
        box: (x0, y0, x1, y1) in pixels.
        mask: bool (H, W).
    """

    object_id: int
    points: list[tuple[float, float]] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    box: tuple[float, float, float, float] | None = None
    mask: np.ndarray | None = None


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
            help="a palette PNG with the masks of several objects: each value but 0 is an id",
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
        choices=("auto", "float32", "float16", "bfloat16"),
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


def read_prompts(
    args: argparse.Namespace, width: int, height: int, needed: bool = True
) -> list[ObjectPrompt]:
    """The prompts of a command line, checked against the picture.

    Args:
        args: with `point`, `negative_point`, `box` and perhaps `mask` and `objects_from`.
        width: of the picture in pixels.
        height: of the picture in pixels.
        needed: whether there must be one.

    Returns:
        One entry for each object, in the order of their ids.

    Raises:
        UsageError: if none is given, or one is malformed or outside the picture.
        MediaError: if a mask cannot be read.
        FileNotFoundError: if a mask does not exist.
    """
    found: dict[int, ObjectPrompt] = {}
    for option, label, texts in (
        ("--point", 1, args.point),
        ("--negative-point", 0, args.negative_point),
    ):
        for text in texts:
            number, x, y = _read_point(option, text, width, height)
            prompt = found.setdefault(number, ObjectPrompt(number))
            prompt.points.append((x, y))
            prompt.labels.append(label)
    for text in args.box:
        number, box = _read_box(text, width, height)
        prompt = found.setdefault(number, ObjectPrompt(number))
        if prompt.box is not None:
            raise UsageError(f"--box {text}: object {number} has a box already; give it one only")
        prompt.box = box
    for text in getattr(args, "mask", []):
        number, name = _split_tag("--mask", text)
        prompt = found.setdefault(number, ObjectPrompt(number))
        if prompt.mask is not None or prompt.points or prompt.box:
            raise UsageError(f"--mask {text}: object {number} takes one mask, or points and a box")
        prompt.mask = read_mask(Path(name), number, width, height)
    _add_object_masks(found, getattr(args, "objects_from", None), width, height)
    if needed and not found:
        raise UsageError("nothing to segment; give --point X,Y, --box X0,Y0,X1,Y1 or --everything")
    for prompt in found.values():
        if prompt.mask is None and prompt.box is None and 1 not in prompt.labels:
            raise UsageError(
                f"object {prompt.object_id} has only negative points; add --point X,Y on it"
            )
    return [found[number] for number in sorted(found)]


def _add_object_masks(
    found: dict[int, ObjectPrompt], name: str | None, width: int, height: int
) -> None:
    if name is None:
        return
    from sam2_mlx.cli.object_masks import read_object_masks

    for number, mask in read_object_masks(Path(name), width, height).items():
        if number in found:
            raise UsageError(f"object {number} is in {name} and has other prompts; keep one")
        found[number] = ObjectPrompt(number, mask=mask)


def read_mask(path: Path, object_id: int, width: int, height: int) -> np.ndarray:
    """An object's mask from a picture.

    Args:
        path: the picture: a palette PNG with ids, one with alpha, or light on black.
        object_id: which value of a palette PNG.
        width: that it must have, in pixels.
        height: that it must have, in pixels.

    Returns:
        bool (height, width).

    Raises:
        UsageError: if it has another size or is empty.
        MediaError: if it is no picture.
        FileNotFoundError: if there is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no mask file {path}; check the path")
    size = picture_size(path)
    if size != (width, height):
        raise UsageError(
            f"the mask {path} has {size[0]}x{size[1]} pixels, the picture {width}x{height}; "
            "save the mask with the picture's size"
        )
    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
            if upright.mode == "P" and not upright.has_transparency_data:
                values = np.asarray(upright)
                mask = values == object_id if (values == object_id).any() else values != 0
            else:
                band = "A" if upright.mode in ("RGBA", "LA") else None
                grey = upright.getchannel(band) if band else upright.convert("L")
                values = np.asarray(grey)
                if band and values.min() == 255:
                    values = np.asarray(upright.convert("L"))
                # Half of the lightest: masks are written with 1 as well as with 255.
                mask = values > values.max() / 2
    except (OSError, SyntaxError, ValueError) as problem:
        raise MediaError(
            f"the mask {path} cannot be decoded ({problem}); save it again"
        ) from problem
    if not mask.any():
        raise UsageError(f"the mask {path} is empty; draw the object in white on black")
    return mask


def read_frame_number(option: str, text: str | None, times: Sequence[float]) -> int | None:
    """A frame number as it is typed: `120`, or `5s` for the frame shown at 5 seconds.

    Args:
        option: name of the option, for errors.
        text: what was typed, or None.
        times: seconds of each frame, rising.

    Returns:
        The frame's number, or None.

    Raises:
        UsageError: if it is not a number or the clip has no such frame.
    """
    if text is None:
        return None
    last = len(times) - 1
    try:
        if text.endswith("s"):
            seconds = float(text[:-1])
            # Half a millisecond for times that are typed rounded.
            number = int(np.searchsorted(times, seconds + 0.0005, side="right")) - 1
            if not seconds <= times[-1] + 1:
                number = last + 1
        else:
            number = int(text)
    except ValueError:
        raise UsageError(
            f"{option} needs a frame number (120) or a time (5s); got {text}"
        ) from None
    if not 0 <= number <= last:
        raise UsageError(
            f"{option} {text} is outside the clip; it has frames 0 to {last} "
            f"(0s to {times[-1]:.2f}s)"
        )
    return number


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


def _split_tag(option: str, text: str) -> tuple[int, str]:
    """`2:rest` -> (2, rest); without a number it is object 1."""
    match = _TAGGED.fullmatch(text)
    if match is None:
        return 1, text
    number = int(match.group(1))
    if not 1 <= number <= 999_999:
        raise UsageError(f"{option} {text}: objects are numbered from 1")
    return number, match.group(2)


def _numbers(option: str, text: str, shape: str) -> tuple[int, list[float]]:
    number, rest = _split_tag(option, text)
    try:
        values = [float(part) for part in rest.split(",")]
    except ValueError:
        values = []
    if len(values) != shape.count(",") + 1 or not np.isfinite(values).all():
        raise UsageError(f"{option} needs {shape} in pixels, without spaces; got {text}")
    return number, values


def _read_point(option: str, text: str, width: int, height: int) -> tuple[int, float, float]:
    number, (x, y) = _numbers(option, text, "X,Y")
    if not (0 <= x < width and 0 <= y < height):
        raise UsageError(
            f"{option} {text} is outside the picture; it has {width}x{height} pixels, "
            f"so x is 0 to {width - 1} and y is 0 to {height - 1}"
        )
    return number, x, y


def _read_box(text: str, width: int, height: int) -> tuple[int, tuple[float, float, float, float]]:
    number, (x0, y0, x1, y1) = _numbers("--box", text, "X0,Y0,X1,Y1")
    if x1 <= x0 or y1 <= y0:
        raise UsageError(
            f"--box {text} has no area; give the top left corner, then the bottom right one"
        )
    if x0 < 0 or y0 < 0 or x1 > width or y1 > height:
        raise UsageError(f"--box {text} is outside the picture; it has {width}x{height} pixels")
    return number, (x0, y0, x1, y1)
