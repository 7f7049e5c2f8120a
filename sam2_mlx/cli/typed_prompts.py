"""Prompts as they are typed, and masks that are read from pictures."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np

from sam2_mlx.apps.projects.prompt_files import MAX_OBJECT_ID
from sam2_mlx.cli.errors import UsageError
from sam2_mlx.files import expanded
from sam2_mlx.media.mask_picture import read_mask
from sam2_mlx.media.palette import read_values
from sam2_mlx.prompts import Prompt

_TAGGED = re.compile(r"(\d{1,19}):(.*)", re.DOTALL)


def read_prompts(
    args: argparse.Namespace, width: int, height: int, needed: bool = True
) -> dict[int, Prompt]:
    """The prompts of a command line, checked against the picture.

    Args:
        args: with `point`, `negative_point`, `box` and perhaps `mask` and `objects_from`.
        width: of the picture in pixels.
        height: of the picture in pixels.
        needed: whether there must be one.

    Returns:
        What was pointed at, by object id, in the order of the ids.

    Raises:
        UsageError: if none is given, or one is malformed or outside the picture.
        MediaError: if a mask cannot be read.
        FileNotFoundError: if a mask does not exist.
    """
    points = _read_points(args, width, height)
    boxes: dict[int, list[float]] = {}
    for text in args.box:
        number, box = _read_box(text, width, height)
        if number in boxes:
            raise UsageError(f"--box {text}: object {number} has a box already; give it one only")
        boxes[number] = box
    masks = _read_masks(args, {*points, *boxes}, width, height)
    numbers = sorted({*points, *boxes, *masks})
    if needed and not numbers:
        raise UsageError("nothing to segment; give --point X,Y, --box X0,Y0,X1,Y1 or --everything")
    prompts = {}
    for number in numbers:
        if number in masks:
            prompts[number] = Prompt.from_mask(masks[number])
            continue
        labels = [label for _, label in points.get(number, ())]
        if number not in boxes and 1 not in labels:
            raise UsageError(f"object {number} has only negative points; add --point X,Y on it")
        places = [place for place, _ in points.get(number, ())]
        prompts[number] = Prompt.from_points(places, labels, boxes.get(number), (height, width))
    return prompts


def mask_files(args: argparse.Namespace) -> list[Path]:
    """The pictures that prompts are read from."""
    masks = [expanded(_split_tag("--mask", text)[1]) for text in getattr(args, "mask", ())]
    objects = getattr(args, "objects_from", None)
    return [*masks, objects] if objects else masks


def read_object_masks(path: Path, width: int, height: int) -> dict[int, np.ndarray]:
    """The mask of each object in a palette or grey PNG, such as `--save-masks` writes.

    Args:
        path: the picture; 0 is background, any other value an object's id.
        width: that it must have, in pixels.
        height: that it must have, in pixels.

    Returns:
        bool (height, width) by id, in the order of the ids.

    Raises:
        UsageError: if it shows no object.
        MediaError: as of `read_values`.
        FileNotFoundError: if there is no such file.
    """
    values = read_values(path, (height, width))
    masks = {int(number): values == number for number in np.unique(values) if number > 0}
    if not masks:
        raise UsageError(f"{path} has no object: all its values are 0")
    return masks


def _read_points(
    args: argparse.Namespace, width: int, height: int
) -> dict[int, list[tuple[list[float], int]]]:
    """Points with their labels, by object."""
    points: dict[int, list[tuple[list[float], int]]] = {}
    for option, label, texts in (
        ("--point", 1, args.point),
        ("--negative-point", 0, args.negative_point),
    ):
        for text in texts:
            number, (x, y) = _numbers(option, text, "X,Y")
            if not (0 <= x < width and 0 <= y < height):
                raise UsageError(
                    f"{option} {text} is outside the picture; it has {width}x{height} pixels, "
                    f"so x is 0 to {width - 1} and y is 0 to {height - 1}"
                )
            points.setdefault(number, []).append(([x, y], label))
    return points


def _read_box(text: str, width: int, height: int) -> tuple[int, list[float]]:
    number, (x0, y0, x1, y1) = _numbers("--box", text, "X0,Y0,X1,Y1")
    if x1 <= x0 or y1 <= y0:
        raise UsageError(
            f"--box {text} has no area; give the top left corner, then the bottom right one"
        )
    if x0 < 0 or y0 < 0 or x1 > width or y1 > height:
        raise UsageError(f"--box {text} is outside the picture; it has {width}x{height} pixels")
    return number, [x0, y0, x1, y1]


def _read_masks(
    args: argparse.Namespace, pointed: set[int], width: int, height: int
) -> dict[int, np.ndarray]:
    """Masks by object, which `pointed` must not have."""
    masks: dict[int, np.ndarray] = {}
    for text in getattr(args, "mask", ()):
        number, name = _split_tag("--mask", text)
        if number in pointed or number in masks:
            raise UsageError(f"--mask {text}: object {number} takes one mask, or points and a box")
        masks[number] = read_mask(expanded(name), number, width, height)
    file = getattr(args, "objects_from", None)
    for number, mask in read_object_masks(file, width, height).items() if file else ():
        if number in pointed or number in masks:
            raise UsageError(f"object {number} is in {file} and has other prompts; keep one")
        masks[number] = mask
    return masks


def _split_tag(option: str, text: str) -> tuple[int, str]:
    """`2:rest` -> (2, rest); without a number it is object 1."""
    match = _TAGGED.fullmatch(text)
    if match is None:
        return 1, text
    number = int(match[1])
    if not 1 <= number <= MAX_OBJECT_ID:
        raise UsageError(f"{option} {text}: objects are numbered from 1 to {MAX_OBJECT_ID}")
    return number, match[2]


def _numbers(option: str, text: str, shape: str) -> tuple[int, list[float]]:
    number, rest = _split_tag(option, text)
    try:
        values = [float(part) for part in rest.split(",")]
    except ValueError:
        values = []
    if len(values) != shape.count(",") + 1 or not np.isfinite(values).all():
        raise UsageError(f"{option} needs {shape} in pixels, without spaces; got {text}")
    return number, values
