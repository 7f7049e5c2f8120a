"""`sam2-mlx video CLIP --point X,Y`: mask objects on every frame of a clip."""

from __future__ import annotations

import argparse

from sam2_mlx.cli.arguments import (
    ENCODERS,
    FORMATS,
    CommandParser,
    add_model_arguments,
    add_options,
    add_prompt_arguments,
    file_path,
    join_values,
    read_count,
    read_frame_rate,
)
from sam2_mlx.cli.everything_options import DEFAULT_MAX_OBJECTS, add_everything_arguments
from sam2_mlx.tracking.policies import BOUNDED

_EXAMPLES = """\
examples:
  sam2-mlx video clip.mp4 --point 300,200
  sam2-mlx video clip.mov --point 300,200 --negative-point 310,90 --point 2:400,120
  sam2-mlx video frames/%05d.png --box 40,60,210,300 --save-masks masks
  sam2-mlx video clip.mp4 --frame 5s --point 300,200 --both --output out.mp4
  sam2-mlx video clip.mp4 --objects-from masks/00000.png --format prores4444
  sam2-mlx video clip.mp4 --point 300,200 --output - | ffplay -
  sam2-mlx video --project ~/sam2-mlx-projects/clip --both
  sam2-mlx video clip.mp4 --everything --max-objects 8 --find-every 50

The result has the frames that were followed: from the prompted frame to the end (from the start
to it with --reverse, all with --both), within --start and --end. Existing files are replaced.
"""

_SESSIONS = {
    "--project FOLDER": "a project of sam2-mlx app: its prompts, its part of the clip, its model, "
    "and its clip where CLIP is left out",
    "--save-session FILE": "save what is remembered after the last frame (.safetensors)",
    "--resume FILE": "go on after the last frame of a saved session",
}
_OUTPUTS = {
    "-o --output FILE": "the video (.mp4, .mov, .mkv), CLIP_masked.mp4 by default; - is standard "
    "output",
    "--save-masks WHERE": "also save the masks: a folder for palette PNGs, FILE.npz, FILE.json "
    "(COCO), or FOLDER.yolo",
    "--scores FILE": "also save each object's scores, area and box on each frame, as JSON lines",
    "--save-prompts FILE": "also save what was pointed at, for --prompts and sam2-mlx batch (JSON)",
}
_SEARCH = {
    "--max-objects N": "with --everything: follow at most so many "
    f"({DEFAULT_MAX_OBJECTS}), the surest",
    "--find-every N": "with --everything: look for new objects on each N-th frame used, too",
}
_RATE = {"--frame-rate FPS": "frames a second of pictures (24); a video keeps its own"}
_EVERY = {
    "--every N": "use each N-th frame only, counted from the prompted one; the others are left out"
}


def main(argv: list[str]) -> int:
    """Run the command; the exit code is 0, 2 for a clip that is damaged, or 128 and a signal.

    In the last two cases the outputs hold the frames so far.
    """
    command = parser()
    args = command.parse_args(join_values(argv))
    if args.clip is None and args.project is None:
        command.error("the following arguments are required: CLIP")
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
        nargs="?",
        type=file_path,
        help="a video, a folder of pictures, a pattern (frames/%%05d.png), or the word demo",
    )
    add_prompt_arguments(parser, masks=True)
    frame = "frame of the prompts; the first, or with --reverse the last"
    add_options(parser, str, {"--frame N": frame})
    add_following_arguments(parser)
    add_model_arguments(parser)
    add_options(parser.add_argument_group("sessions"), file_path, _SESSIONS)
    group = parser.add_argument_group("output")
    add_options(group, file_path, _OUTPUTS)
    group.add_argument(
        "--preview", action="store_true", help="show the frames in a window as they are done"
    )
    return parser


def add_following_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how a clip is followed and drawn, whoever asks for it."""
    parser.add_argument(
        "--everything",
        action="store_true",
        help="find objects on the first frame, without prompts, and follow them",
    )
    add_options(parser, int, _SEARCH)
    add_everything_arguments(parser)
    group = parser.add_argument_group("frames", "a number, from 0, or a time: 5s, 500ms, 0:01:05.2")
    direction = group.add_mutually_exclusive_group()
    direction.add_argument(
        "--both", action="store_true", help="follow from the prompts in both directions"
    )
    direction.add_argument("--reverse", action="store_true", help="follow backward in time")
    add_options(group, str, {"--start N": "first frame to use", "--end N": "last frame to use"})
    add_options(group, read_frame_rate, _RATE)
    add_options(group, read_count, _EVERY, default=1)
    group = parser.add_argument_group("how objects are followed and drawn")
    group.add_argument(
        "--memory",
        choices=BOUNDED,
        help="which frames are remembered; rolling is the default, docs/memory.md compares them",
    )
    group.add_argument(
        "--edges",
        choices=("plain", "refined"),
        default="plain",
        help="refined: the edges of masks follow the picture, for compositing; docs/quality.md "
        "says what it is worth",
    )
    group.add_argument(
        "--format",
        choices=FORMATS,
        default=FORMATS[0],
        help="masks drawn over the video (the default), or the objects alone with transparency: "
        "ProRes 4444 (.mov) or VP9 (.webm), or a folder of PNGs",
    )
    group.add_argument(
        "--encoder",
        choices=ENCODERS,
        default=ENCODERS[0],
        help="what encodes a video with masks drawn over it: the hardware of a Mac where there is "
        "one, else libx264",
    )
