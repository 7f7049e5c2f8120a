"""Everything in each picture of a folder; what is done already is left as it is."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sam2_mlx.cli.errors import INVALID, UsageError, report, say
from sam2_mlx.cli.everything_options import EverythingOptions, read_everything_options
from sam2_mlx.cli.everything_picture import write_everything
from sam2_mlx.cli.everything_results import DESCRIPTION
from sam2_mlx.cli.model import ModelChoice, load_model
from sam2_mlx.cli.outputs import plural
from sam2_mlx.cli.progress import progress_bar
from sam2_mlx.cli.stop import StopSignals
from sam2_mlx.files import FileError, check_regular, real_path, sha256
from sam2_mlx.media import load_picture
from sam2_mlx.media.pictures import list_pictures
from sam2_mlx.ops.dtypes import dtype_name

if TYPE_CHECKING:
    from sam2_mlx.model.sam import Sam


def run(args: argparse.Namespace) -> int:
    """Do what the everything command was asked for; returns the exit code.

    Raises:
        ValueError, OSError: for arguments or input that cannot be carried out.
    """
    options = read_everything_options(args)
    source = args.folder
    if not source.exists():
        raise FileNotFoundError(f"no file or folder {source}; check the path")
    pictures = list_pictures(source) if source.is_dir() else [source]
    name = real_path(source).name if source.is_dir() else source.stem
    output = args.output or Path(f"{name}_everything")
    _make_folder(output, pictures)
    choice = ModelChoice(args.model, args.dtype, args.image_size)
    model = load_model(choice)
    begin = time.perf_counter()
    settings = {
        # The name alone does not say it: `auto` can mean another model the next time.
        "model": [str(choice.name), model.config.name],
        "dtype": dtype_name(model.dtype),
        "image_size": model.config.image_size,
        **asdict(options),
    }
    tally: Counter[str] = Counter()
    with StopSignals() as stop, progress_bar("pictures", len(pictures)) as bar:
        for picture, name in zip(pictures, _names(pictures), strict=True):
            info = {"description": DESCRIPTION, "settings": settings}
            try:
                masks = _write_unless_done(model, picture, output / name, options, info)
                tally.update(skipped=1) if masks is None else tally.update(written=1, masks=masks)
            except (FileError, OSError) as problem:
                # One bad picture does not stop the others.
                tally["failed"] += 1
                bar.clear()
                report(problem)
            bar.update()
            if stop.received:
                break
    _say(tally, output, time.perf_counter() - begin)
    if stop.received:
        print("sam2-mlx: interrupted; run it again to go on", file=sys.stderr)
        return 128 + stop.received
    return INVALID if tally["failed"] else 0


def _make_folder(output: Path, pictures: Sequence[Path]) -> None:
    if output.exists() and not output.is_dir():
        raise UsageError(f"{output} is a file; give --output the name of a folder")
    if real_path(output) == real_path(pictures[0]).parent:
        # Drawings among the pictures would be taken for pictures the next time.
        raise UsageError(f"{output} holds the pictures; give --output another folder")
    output.mkdir(parents=True, exist_ok=True)


def _names(pictures: Sequence[Path]) -> list[str]:
    """What the results are called: two pictures that differ in their extension alone keep it."""
    stems = Counter(picture.stem.lower() for picture in pictures)
    return [one.stem if stems[one.stem.lower()] == 1 else one.name for one in pictures]


def _write_unless_done(
    model: Sam, picture: Path, result: Path, options: EverythingOptions, info: dict[str, Any]
) -> int | None:
    """Find everything in a picture; the number of masks, or None if it was done before."""
    document = result.with_name(f"{result.name}.json")
    if not picture.is_file():
        raise FileError(f"no file {picture}; it is a broken link, or gone by now")
    info["sha256"] = sha256(picture)
    if _is_done(document, info):
        return None
    return write_everything(
        model,
        load_picture(picture),
        picture.name,
        options,
        document=document,
        drawing=result.with_name(f"{result.name}_masked.png"),
        info=info,
    )


def _is_done(document: Path, info: dict[str, Any]) -> bool:
    """Whether a document of an earlier run holds what would be written again."""
    if not document.exists():
        return False
    check_regular(document)
    try:
        earlier = json.loads(document.read_text(encoding="utf-8"))["info"]
        ours = earlier["description"] == DESCRIPTION
    except (ValueError, KeyError, TypeError, RecursionError):
        ours = False
    if not ours:
        raise FileError(
            f"{document} was not written by an earlier run and would be lost; "
            "give --output another folder"
        )
    # The document is written last, so where it is whole the drawing is there too.
    return bool(earlier == info)


def _say(tally: Counter[str], output: Path, seconds: float) -> None:
    parts = [f"{plural(tally['masks'], 'mask')} in {seconds:.1f} s"]
    if tally["skipped"]:
        parts.append(f"{plural(tally['skipped'], 'picture')} done before")
    if tally["failed"]:
        parts.append(f"{plural(tally['failed'], 'picture')} could not be used")
    say(f"wrote {plural(tally['written'], 'picture')} to {output} ({'; '.join(parts)})")
