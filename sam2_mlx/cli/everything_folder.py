"""Everything in each picture of a folder; what is done already is left as it is."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sam2_mlx.cli.errors import INVALID, UsageError, report
from sam2_mlx.cli.everything_options import EverythingOptions, read_everything_options
from sam2_mlx.cli.everything_picture import write_everything
from sam2_mlx.cli.everything_results import DESCRIPTION
from sam2_mlx.cli.model import ModelChoice, load_model
from sam2_mlx.cli.outputs import plural
from sam2_mlx.cli.progress import progress_bar
from sam2_mlx.cli.stop import StopSignals
from sam2_mlx.files import FileError, sha256
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
    name = source.resolve().name if source.is_dir() else source.stem
    output = args.output or Path(f"{name}_everything")
    _make_folder(output, pictures)
    choice = ModelChoice(args.model, args.dtype, args.image_size)
    return _FolderRun(pictures, output, options).run(choice)


def _make_folder(output: Path, pictures: Sequence[Path]) -> None:
    if output.exists() and not output.is_dir():
        raise UsageError(f"{output} is a file; give --output the name of a folder")
    if output.resolve() == pictures[0].resolve().parent:
        # Drawings among the pictures would be taken for pictures the next time.
        raise UsageError(f"{output} holds the pictures; give --output another folder")
    output.mkdir(parents=True, exist_ok=True)


class _FolderRun:
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
                info = {"description": DESCRIPTION, "settings": settings}
                self._do_unless_done(model, picture, name, info, bar)
                bar.update()
                if stop.received:
                    break
        self._say(time.perf_counter() - begin)
        if stop.received:
            print("sam2-mlx: interrupted; run it again to go on", file=sys.stderr)
            return 128 + stop.received
        return INVALID if self._failed else 0

    def _is_done(self, document: Path, info: dict[str, Any]) -> bool:
        """Whether a document of an earlier run holds what would be written again.

        Raises:
            FileError: if it is not of an earlier run, and would be lost.
        """
        if not document.exists():
            return False
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

    def _do_unless_done(
        self, model: Sam, path: Path, name: str, info: dict[str, Any], bar: Any
    ) -> None:
        document = self._output / f"{name}.json"
        try:
            if not path.is_file():
                raise FileError(f"no file {path}; it is a broken link, or gone by now")
            info["sha256"] = sha256(path)
            if self._is_done(document, info):
                self._skipped += 1
                return
            self._masks += write_everything(
                model,
                load_picture(path),
                path.name,
                self._options,
                document=document,
                drawing=self._output / f"{name}_masked.png",
                info=info,
            )
            self._written += 1
        except (FileError, OSError) as problem:
            # One bad picture does not stop the others.
            self._failed += 1
            bar.clear()
            report(problem)

    def _say(self, seconds: float) -> None:
        parts = [f"{plural(self._masks, 'mask')} in {seconds:.1f} s"]
        if self._skipped:
            parts.append(f"{plural(self._skipped, 'picture')} done before")
        if self._failed:
            parts.append(f"{plural(self._failed, 'picture')} could not be used")
        print(f"wrote {plural(self._written, 'picture')} to {self._output} ({'; '.join(parts)})")
