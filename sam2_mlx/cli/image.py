"""`sam2-mlx image PICTURE --point X,Y`: mask objects in a picture."""

from __future__ import annotations

import argparse

from sam2_mlx.cli.arguments import (
    CommandParser,
    add_model_arguments,
    add_options,
    add_prompt_arguments,
    file_path,
    join_values,
)
from sam2_mlx.cli.everything_options import add_everything_arguments

_EXAMPLES = """\
examples:
  sam2-mlx image photo.jpg --point 300,200
  sam2-mlx image photo.jpg --box 40,60,210,300 --cutout object.png
  sam2-mlx image photo.jpg --point 300,200 --point 2:400,120 --save-masks masks.json
  sam2-mlx image photo.jpg --everything --points-per-side 16

A single point can mean the whole object or a part of it: --all-masks writes all three answers,
the most likely first. Existing files are replaced.
"""


_OUTPUTS = {
    "-o --output FILE": "the drawn picture; PICTURE_masked.png by default",
    "--save-masks WHERE": "also save the masks: a folder for a palette PNG, FILE.npz, or FILE.json "
    "(COCO)",
    "--cutout FILE": "also save the objects alone, the rest transparent (.png)",
}


def main(argv: list[str]) -> int:
    """Run the command; the exit code is 0."""
    args = _parser().parse_args(join_values(argv))
    from sam2_mlx.cli.image_job import run

    return run(args)


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        "image", "Mask objects in a picture and write it with the masks drawn over it.", _EXAMPLES
    )
    parser.add_argument(
        "picture", metavar="PICTURE", type=file_path, help="a JPEG, PNG, WebP or TIFF file"
    )
    add_prompt_arguments(parser, masks=False)
    parser.add_argument(
        "--everything", action="store_true", help="mask everything in the picture, without prompts"
    )
    add_everything_arguments(parser)
    add_model_arguments(parser)
    group = parser.add_argument_group("output")
    add_options(group, file_path, _OUTPUTS)
    group.add_argument(
        "--all-masks",
        action="store_true",
        help="write the three answers as OUTPUT_1, OUTPUT_2, OUTPUT_3, the most likely first",
    )
    return parser
