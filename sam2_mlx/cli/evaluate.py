"""`sam2-mlx eval DATASET`: how good the masks of annotated videos are."""

from __future__ import annotations

import argparse

from sam2_mlx.cli.arguments import (
    CommandParser,
    add_engine_arguments,
    add_model_arguments,
    add_options,
    add_retry_argument,
    file_path,
    read_count,
)
from sam2_mlx.tracking.policies import POLICIES

_EXAMPLES = """\
layouts
  DAVIS   JPEGImages/[480p/]SEQUENCE/00000.jpg, Annotations/[480p/]SEQUENCE/00000.png (palette)
  SA-V    JPEGImages_24fps/VIDEO/00000.jpg, Annotations_6fps/VIDEO/OBJECT/00000.png (binary)

examples
  sam2-mlx eval DAVIS --set val --model tiny
  sam2-mlx eval DAVIS --prompt clicks=3 --sequences blackswan,camel --json scores.json
  sam2-mlx eval sav_val --set sav_val --memory distractor-aware --save-masks found
  sam2-mlx eval DAVIS --masks found               (score masks that are there already)
  sam2-mlx eval DAVIS --workers 2 --out work      (the same again does what is missing or changed)

J is the overlap of the masks, F that of their boundaries, J&F the mean of both, in percent: over an
object's frames without the first and the last annotated one, then over all objects. "first J" is
the overlap on the frame that is prompted.
"""


_OUTPUTS = {
    "--json FILE": "also write all numbers as JSON",
    "--save-masks FOLDER": "also save the masks, in the dataset's layout",
    "--out FOLDER": "note there what is done: the same again does only what is missing or changed",
}


def main(argv: list[str]) -> int:
    """Run the command; the exit code is 2 for a sequence that could not be scored, else 0."""
    args = _parser().parse_args(argv)
    from sam2_mlx.cli.evaluate_dataset import run

    return run(args)


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        "eval", "Follow every object of annotated videos and score the masks.", _EXAMPLES
    )
    parser.add_argument(
        "dataset", metavar="DATASET", type=file_path, help="a folder in the layout of DAVIS or SA-V"
    )
    group = parser.add_argument_group("what to score")
    add_options(group, str, {"--set NAME": "a list of sequences that the dataset brings"})
    add_options(group, str, {"--sequences A,B": "only these sequences"})
    add_options(group, read_count, {"--max-frames N": "only the first N frames of each sequence"})
    add_options(
        group, file_path, {"--masks FOLDER": "score the masks in this folder; no model is run"}
    )
    group = parser.add_argument_group("how objects are followed")
    group.add_argument(
        "--prompt",
        metavar="KIND",
        default="mask",
        help="what is shown of each object, on the first frame that has it: mask (the default), "
        "box, click, or clicks=N (each after the first in the middle of the largest error)",
    )
    group.add_argument(
        "--memory",
        choices=list(POLICIES),
        default="rolling",
        help="which frames are remembered; rolling is the default",
    )
    holes = "fill holes of at most so many low-resolution pixels (8); 0 leaves them"
    add_options(group, float, {"--fill-holes AREA": holes}, default=8.0)
    add_model_arguments(parser)
    add_engine_arguments(parser, "this process alone, if neither this nor --out is said")
    add_retry_argument(parser)
    add_options(parser.add_argument_group("output"), file_path, _OUTPUTS)
    return parser
