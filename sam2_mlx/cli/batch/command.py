"""`sam2-mlx batch JOBS --out FOLDER`: many clips, each exactly once."""

from __future__ import annotations

import argparse

from sam2_mlx.cli.arguments import (
    MASK_ENDINGS,
    CommandParser,
    add_engine_arguments,
    add_model_arguments,
    add_retry_argument,
    file_path,
)
from sam2_mlx.cli.video import add_following_arguments

_EXAMPLES = """\
examples:
  sam2-mlx batch jobs.jsonl --out results
  sam2-mlx batch clicks.csv --out results --save-masks npz --scores
  sam2-mlx batch clips --out results --workers 2        (clips with CLIP.prompts.json beside them)
  sam2-mlx batch clips --out results --everything --max-objects 8

A line of a .jsonl file:
  {"clip": "a.mp4", "prompts": [{"object": 1, "frame": 0, "points": [[320, 180]], "labels": [1]}]}
A .csv file has the columns clip, object, frame, x, y, label. Paths count from the file's folder.

Running it again does what is missing or was made from something else, and nothing else. The exit
code is 3 if a clip failed. docs/scaling.md has the details.
"""


def main(argv: list[str]) -> int:
    """Run the command; the exit code is 0, 3 where a clip failed, or 128 and a signal."""
    command = parser()
    args = command.parse_args(argv)
    from sam2_mlx.cli.batch.run import run

    return run(args, command.get_default)


def parser() -> argparse.ArgumentParser:
    """The parser of the command's arguments."""
    command = CommandParser("batch", "Work through many clips, each exactly once.", _EXAMPLES)
    command.add_argument(
        "jobs", metavar="JOBS", type=file_path, help="a .jsonl or .csv file, or a folder of clips"
    )
    command.add_argument(
        "--out", metavar="FOLDER", type=file_path, required=True, help="where the results go"
    )
    add_engine_arguments(command, "one for a GPU, else by cores and memory")
    add_retry_argument(command)
    add_following_arguments(command)
    add_model_arguments(command)
    group = command.add_argument_group("results")
    group.add_argument(
        "--save-masks", choices=list(MASK_ENDINGS), help="also save the masks of each clip"
    )
    group.add_argument("--scores", action="store_true", help="also save scores of each clip")
    return command
