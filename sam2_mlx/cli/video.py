"""`sam2-mlx video CLIP --point X,Y`: mask objects on every frame of a clip."""

from __future__ import annotations

import argparse

from sam2_mlx.cli.arguments import (
    FORMATS,
    CommandParser,
    add_model_arguments,
    add_prompt_arguments,
    file_path,
    join_values,
    read_count,
    read_frame_rate,
)
from sam2_mlx.cli.everything_options import DEFAULT_MAX_OBJECTS, add_everything_arguments
from sam2_mlx.tracking.policies import POLICIES

_EXAMPLES = """\
examples:
  sam2-mlx video clip.mp4 --point 300,200
  sam2-mlx video clip.mov --point 300,200 --negative-point 310,90 --point 2:400,120
  sam2-mlx video frames/%05d.png --box 40,60,210,300 --save-masks masks
  sam2-mlx video clip.mp4 --frame 5s --point 300,200 --both --output out.mp4
  sam2-mlx video clip.mp4 --objects-from masks/00000.png --format prores4444
  sam2-mlx video clip.mp4 --point 300,200 --output - | ffplay -
  sam2-mlx video clip.mp4 --everything --max-objects 8 --find-every 50

The result has the frames that were followed: from the prompted frame to the end (from the start
to it with --reverse, all with --both), within --start and --end. Existing files are replaced.
"""


def main(argv: list[str]) -> int:
    """Run the command; the exit code is 0, 2 for a clip that is damaged, or 128 and a signal.

    In the last two cases the outputs hold the frames so far.
    """
    args = parser().parse_args(join_values(argv))
    from sam2_mlx.cli.video_plan import run

    return run(args)


def parser() -> argparse.ArgumentParser:
    """The parser of the command's arguments."""
    parser = CommandParser(
        "video", "Mask objects on every frame of a clip and write it as a video.", _EXAMPLES
    )
    parser.add_argument(
        "clip",
        metavar="CLIP",
        type=file_path,
        help="a video, a folder of pictures, a pattern (frames/%%05d.png), or the word demo",
    )
    add_prompt_arguments(parser, masks=True)
    parser.add_argument(
        "--frame",
        metavar="N",
        help="frame of the prompts; the first, or with --reverse the last",
    )
    add_following_arguments(parser)
    add_model_arguments(parser)
    _add_session_arguments(parser)
    group = parser.add_argument_group("output")
    group.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        type=file_path,
        help="the video (.mp4, .mov, .mkv), CLIP_masked.mp4 by default; - is standard output",
    )
    group.add_argument(
        "--save-masks",
        metavar="WHERE",
        type=file_path,
        help="also save the masks: a folder for palette PNGs, FILE.npz, or FILE.json (COCO)",
    )
    group.add_argument(
        "--scores",
        metavar="FILE",
        type=file_path,
        help="also save each object's scores, area and box on each frame, as JSON lines",
    )
    group.add_argument(
        "--save-prompts",
        metavar="FILE",
        type=file_path,
        help="also save what was pointed at, for --prompts and sam2-mlx batch (JSON)",
    )
    group.add_argument(
        "--preview", action="store_true", help="show the frames in a window as they are done"
    )
    return parser


def add_following_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how a clip is followed and drawn, whoever asks for it."""
    _add_everything_arguments(parser)
    group = parser.add_argument_group("frames", "a number, from 0, or a time: 5s, 500ms, 0:01:05.2")
    direction = group.add_mutually_exclusive_group()
    direction.add_argument(
        "--both", action="store_true", help="follow from the prompts in both directions"
    )
    direction.add_argument("--reverse", action="store_true", help="follow backward in time")
    group.add_argument("--start", metavar="N", help="first frame to use")
    group.add_argument("--end", metavar="N", help="last frame to use")
    group.add_argument(
        "--frame-rate",
        metavar="FPS",
        type=read_frame_rate,
        help="frames a second of pictures (24); a video keeps its own",
    )
    group.add_argument(
        "--every",
        metavar="N",
        type=read_count,
        default=1,
        help="use each N-th frame only, counted from the prompted one; the others are left out",
    )
    group = parser.add_argument_group("how objects are followed and drawn")
    group.add_argument(
        "--memory",
        choices=[name for name in POLICIES if name != "full"],  # which grows with the clip
        help="which frames are remembered; rolling is the default, docs/memory.md compares them",
    )
    group.add_argument(
        "--format",
        choices=FORMATS,
        default=FORMATS[0],
        help="masks drawn over the video (the default), or the objects alone with transparency: "
        "ProRes 4444 (.mov) or VP9 (.webm), or a folder of PNGs",
    )


def _add_everything_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--everything",
        action="store_true",
        help="find objects on the first frame, without prompts, and follow them",
    )
    parser.add_argument(
        "--max-objects",
        metavar="N",
        type=int,
        help=f"with --everything: follow at most so many ({DEFAULT_MAX_OBJECTS}), the surest",
    )
    parser.add_argument(
        "--find-every",
        metavar="N",
        type=int,
        help="with --everything: look for new objects on each N-th frame used, too",
    )
    add_everything_arguments(parser)


def _add_session_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("sessions")
    group.add_argument(
        "--save-session",
        metavar="FILE",
        type=file_path,
        help="save what is remembered after the last frame (.safetensors)",
    )
    group.add_argument(
        "--resume",
        metavar="FILE",
        type=file_path,
        help="go on after the last frame of a saved session",
    )
