"""`sam2-mlx everything FOLDER`: find and mask everything in each picture of a folder."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sam2_mlx.cli.arguments import OneLineParser, add_model_arguments
from sam2_mlx.cli.errors import INVALID, UsageError
from sam2_mlx.cli.everything_options import (
    EverythingOptions,
    add_everything_arguments,
    read_everything_options,
)
from sam2_mlx.cli.model import ModelChoice, load_model
from sam2_mlx.cli.outputs import plural
from sam2_mlx.cli.progress import progress_bar
from sam2_mlx.cli.stop import StopSignals

if TYPE_CHECKING:
    from sam2_mlx.model.sam import Sam

_EXAMPLES = """\
examples:
  sam2-mlx everything photos
  sam2-mlx everything photos --output found --points-per-side 64 --min-area 100
  sam2-mlx everything photo.jpg --crops 1

For each picture NAME.jpg the output folder gets NAME.json (a COCO document) and NAME_masked.png
(the masks drawn). A picture whose results are there, made with the same settings, is skipped: a
run that was interrupted goes on where it stopped.
"""


def main(argv: list[str]) -> int:
    """Run the command.

    Args:
        argv: the arguments after `everything`.

    Returns:
        The exit code: 0 done, 2 if a picture cannot be used, 128 and its number for a signal.

    Raises:
        ValueError, OSError: for arguments or input that cannot be carried out.
    """
    return _run(_parser().parse_args(argv))


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog="sam2-mlx everything",
        description="Find everything in the pictures of a folder, without prompts.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("folder", metavar="FOLDER", help="a folder of pictures, or one picture")
    add_everything_arguments(parser)
    add_model_arguments(parser)
    group = parser.add_argument_group("output")
    group.add_argument(
        "-o", "--output", metavar="FOLDER", help="where the results go; NAME_everything by default"
    )
    return parser


def _run(args: argparse.Namespace) -> int:
    from sam2_mlx.media.pictures import list_pictures

    options = read_everything_options(args)
    source = Path(args.folder)
    if not source.exists():
        raise FileNotFoundError(f"no file or folder {source}; check the path")
    pictures = list_pictures(source) if source.is_dir() else [source]
    name = source.resolve().name if source.is_dir() else source.stem
    output = Path(args.output) if args.output else Path(f"{name}_everything")
    _make_folder(output, pictures)
    choice = ModelChoice(args.model, args.dtype, args.image_size)
    return _Batch(pictures, output, options).run(choice)


def _make_folder(output: Path, pictures: Sequence[Path]) -> None:
    if output.exists() and not output.is_dir():
        raise UsageError(f"{output} is a file; give --output the name of a folder")
    if output.resolve() == pictures[0].resolve().parent:
        # Drawings among the pictures would be taken for pictures the next time.
        raise UsageError(f"{output} holds the pictures; give --output another folder")
    output.mkdir(parents=True, exist_ok=True)


class _Batch:
    """One run over the pictures."""

    def __init__(self, pictures: Sequence[Path], output: Path, options: EverythingOptions) -> None:
        self._pictures = pictures
        self._output = output
        self._options = options
        stems = Counter(picture.stem.lower() for picture in pictures)
        # Two pictures that differ in their extension alone keep it in the results' names.
        self._names = [
            picture.stem if stems[picture.stem.lower()] == 1 else picture.name
            for picture in pictures
        ]
        self._masks = 0
        self._written = 0
        self._skipped = 0
        self._failed = 0

    def run(self, choice: ModelChoice) -> int:
        """Do the pictures that are not done; returns the exit code."""
        from sam2_mlx.ops.dtypes import dtype_name

        model = load_model(choice)
        begin = time.perf_counter()
        settings = {
            # The name alone does not say it: `auto` can mean another model the next time.
            "model": [str(choice.name), model.config.name],
            "dtype": dtype_name(model.dtype),
            "image_size": model.config.image_size,
            **self._options.to_dict(),
        }
        with StopSignals() as stop, progress_bar("pictures", len(self._pictures)) as bar:
            for picture, name in zip(self._pictures, self._names, strict=True):
                info = {"description": "everything, by sam2-mlx", "settings": settings}
                self._do_unless_done(model, picture, name, info)
                bar.update()
                if stop.received:
                    break
        self._say(time.perf_counter() - begin)
        if stop.received:
            print("sam2-mlx: interrupted; run it again to go on", file=sys.stderr)
            return 128 + stop.received
        return INVALID if self._failed else 0

    def _is_done(self, name: str, info: dict[str, Any]) -> bool:
        # The document is written last, so where it is whole the drawing is there too.
        try:
            text = (self._output / f"{name}.json").read_text(encoding="utf-8")
            return bool(json.loads(text)["info"] == info)
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def _do_unless_done(self, model: Sam, path: Path, name: str, info: dict[str, Any]) -> None:
        from tqdm import tqdm

        from sam2_mlx.files import FileError, sha256

        try:
            if not path.is_file():
                raise FileError(f"no file {path}; it is a broken link, or gone by now")
            info["sha256"] = sha256(path)
            if self._is_done(name, info):
                self._skipped += 1
                return
            self._do(model, path, name, info)
            self._written += 1
        except (FileError, OSError) as problem:
            # One bad picture does not stop the others.
            self._failed += 1
            tqdm.write(f"sam2-mlx: error: {problem}", file=sys.stderr)

    def _do(self, model: Sam, path: Path, name: str, info: dict[str, Any]) -> None:
        from sam2_mlx.cli.everything_picture import write_everything
        from sam2_mlx.media import load_picture

        picture = load_picture(path)
        self._masks += write_everything(
            model,
            picture,
            path.name,
            self._options,
            document=self._output / f"{name}.json",
            drawing=self._output / f"{name}_masked.png",
            info=info,
        )

    def _say(self, seconds: float) -> None:
        parts = [f"{plural(self._masks, 'mask')} in {seconds:.1f} s"]
        if self._skipped:
            parts.append(f"{plural(self._skipped, 'picture')} done before")
        if self._failed:
            parts.append(f"{plural(self._failed, 'picture')} could not be used")
        print(f"wrote {plural(self._written, 'picture')} to {self._output} ({'; '.join(parts)})")
