"""`sam2-mlx everything FOLDER`: find and mask everything in each picture of a folder."""

from __future__ import annotations

import argparse

from sam2_mlx.cli.arguments import (
    CommandParser,
    add_engine_arguments,
    add_model_arguments,
    add_options,
    file_path,
)
from sam2_mlx.cli.everything_options import add_everything_arguments

_EXAMPLES = """\
examples:
  sam2-mlx everything photos
  sam2-mlx everything photos --output found --points-per-side 64 --min-area 100
  sam2-mlx everything photo.jpg --crops 1
  sam2-mlx everything photos --workers 2

For each picture NAME.jpg the output folder gets NAME.json (a COCO document) and NAME_masked.png
(the masks drawn). A picture whose results are there, made with the same settings, is skipped: a
run that was interrupted goes on where it stopped.
"""


def main(argv: list[str]) -> int:
    """Run the command; the exit code is 2 if a picture could not be used, else 0."""
    args = _parser().parse_args(argv)
    from sam2_mlx.cli.everything_folder import run

    return run(args)


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        "everything", "Find everything in the pictures of a folder, without prompts.", _EXAMPLES
    )
    parser.add_argument(
        "folder", metavar="FOLDER", type=file_path, help="a folder of pictures, or one picture"
    )
    add_engine_arguments(parser, "this process alone, if not said")
    add_everything_arguments(parser)
    add_model_arguments(parser)
    place = {"-o --output FOLDER": "where the results go; NAME_everything by default"}
    add_options(parser.add_argument_group("output"), file_path, place)
    return parser
