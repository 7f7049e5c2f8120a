"""Everything in one picture: found, drawn and saved."""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from sam2_mlx.cli.arguments import refuse
from sam2_mlx.cli.errors import UsageError, say
from sam2_mlx.cli.everything_options import (
    EverythingOptions,
    find_everything,
    read_everything_options,
)
from sam2_mlx.cli.everything_results import DESCRIPTION, coco_document, draw_everything
from sam2_mlx.cli.model import ModelChoice, load_model
from sam2_mlx.cli.outputs import check_outputs, plural
from sam2_mlx.files import check_target, together, write_json
from sam2_mlx.media.cutout import check_picture_name, save_picture
from sam2_mlx.media.errors import MediaError

if TYPE_CHECKING:
    from sam2_mlx.model.sam import Sam


def run_everything_picture(args: argparse.Namespace, path: Path, picture: np.ndarray) -> int:
    """What the image command does with `--everything`; returns the exit code.

    Raises:
        UsageError: if options contradict each other.
        ValueError, OSError: if it cannot be carried out; nothing is left behind then.
    """
    prompts = ("point", "negative_point", "box", "cutout", "all_masks")
    refuse(args, prompts, "--everything needs no prompts and no {}; leave one of them out")
    options = read_everything_options(args)
    drawing = args.output or Path(f"{path.stem}_masked.png")
    check_picture_name(drawing)
    document = args.save_masks
    if document is not None and document.suffix.lower() != ".json":
        raise UsageError(
            f"--everything saves masks as COCO; give --save-masks FILE.json: {document}"
        )
    choice = ModelChoice(args.model, args.dtype, args.image_size)
    check_outputs([("--output", drawing), ("--save-masks", document)], [path, *choice.files])
    for target in (drawing, document):
        if target is not None:
            check_target(target)
    model = load_model(choice)
    begin = time.perf_counter()
    count = write_everything(model, picture, path.name, options, document=document, drawing=drawing)
    seconds = time.perf_counter() - begin
    where = f"{drawing}, {document}" if document else str(drawing)
    size = f"{picture.shape[1]}x{picture.shape[0]}"
    say(f"wrote {where} ({size}; {plural(count, 'mask')}) in {seconds:.1f} s")
    return 0


def write_everything(  # noqa: PLR0913 - one picture, its settings and its two results
    model: Sam,
    picture: np.ndarray,
    file_name: str,
    options: EverythingOptions,
    *,
    document: Path | None,
    drawing: Path,
    info: dict[str, Any] | None = None,
) -> int:
    """Find everything in one picture and write it; returns how many masks there are.

    Args:
        model: asked for it.
        picture: uint8 (H, W, 3) RGB.
        file_name: of the picture, for the document.
        options: how to look.
        document: the COCO document to write, or None.
        drawing: the drawn picture to write.
        info: what the document says about how it was made.

    Raises:
        MediaError: if something cannot be written, or the picture is too small for the crops.
    """
    try:
        records = find_everything(model, picture, options)
    except ValueError as problem:
        raise MediaError(f"{file_name}: {problem}") from problem
    with together():
        save_picture(drawing, Image.fromarray(draw_everything(picture, records)))
        if document is not None:
            size = (picture.shape[0], picture.shape[1])
            info = info or {"description": DESCRIPTION, "settings": asdict(options)}
            write_json(document, coco_document(file_name, size, records, info))
    return len(records)
