"""`python -m sam2_mlx.video CLIP --point X,Y`: mask objects on every frame of a clip."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sam2_mlx.commands.arguments import (
    OneLineParser,
    UsageError,
    add_model_arguments,
    add_prompt_arguments,
    join_values,
    read_frame_number,
    read_frame_rate,
    read_prompts,
)
from sam2_mlx.commands.clip_masks import Stretch
from sam2_mlx.commands.guard import guarded
from sam2_mlx.commands.model import ModelChoice
from sam2_mlx.commands.outputs import check_not_input
from sam2_mlx.commands.video_job import VideoJob
from sam2_mlx.media import FrameSource, demo_clip, open_frames

_EXAMPLES = """\
examples:
  python -m sam2_mlx.video clip.mp4 --point 300,200
  python -m sam2_mlx.video clip.mov --point 300,200 --negative-point 310,90 --point 2:400,120
  python -m sam2_mlx.video frames/%05d.png --box 40,60,210,300 --save-masks masks
  python -m sam2_mlx.video clip.mp4 --frame 5s --point 300,200 --both --output out.mp4

The result has the frames that were followed: from the prompted frame to the end (from the start
to it with --reverse, all with --both), within --start and --end. Existing files are replaced.
"""


def main(argv: list[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: the arguments; None takes those of the process.

    Returns:
        The exit code: 0 done, 2 for input that cannot be carried out, 130 for Ctrl-C (the video
        then holds the frames so far).
    """
    args = _parser().parse_args(join_values(argv))
    return guarded(lambda: _run(args))


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog="python -m sam2_mlx.video",
        description="Mask objects on every frame of a clip and write it as a video.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "clip",
        metavar="CLIP",
        help="a video, a folder of pictures, a pattern (frames/%%05d.png), or the word demo",
    )
    add_prompt_arguments(parser, masks=True)
    group = parser.add_argument_group("frames", "a number, from 0, or a time: 5s")
    group.add_argument(
        "--frame",
        metavar="N",
        help="frame of the prompts; the first, or with --reverse the last",
    )
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
    add_model_arguments(parser)
    group = parser.add_argument_group("output")
    group.add_argument(
        "--output", metavar="FILE", help="the video (.mp4, .mov, .mkv); CLIP_masked.mp4 by default"
    )
    group.add_argument(
        "--save-masks",
        metavar="WHERE",
        help="also save the masks: a folder for palette PNGs, FILE.npz, or FILE.json (COCO)",
    )
    return parser


def _run(args: argparse.Namespace) -> int:
    from sam2_mlx.media.video_writer import check_video_name

    clip = demo_clip() if args.clip == "demo" and not Path("demo").exists() else Path(args.clip)
    with open_frames(clip, args.frame_rate) as source:
        if source.note:
            print(f"sam2-mlx: note: {source.note}", file=sys.stderr)
        stretch = _stretch(args, source)
        prompts = read_prompts(args, source.width, source.height)
        output = Path(args.output) if args.output else Path(f"{_stem(clip)}_masked.mp4")
        check_video_name(output)
        check_not_input(output, clip, "--output")
        masks = Path(args.save_masks) if args.save_masks else None
        if masks is not None:
            check_not_input(masks, clip, "--save-masks")
        choice = ModelChoice(args.model, args.dtype, args.image_size)
        return VideoJob(source, prompts, stretch, output, masks).run(choice)


def _stem(clip: Path) -> str:
    """What the result is named after: the file, the folder, or the folder of the pattern."""
    if clip.is_dir():
        return clip.resolve().name or "clip"
    if clip.is_file():
        return clip.stem
    return clip.resolve().parent.name or "clip"


def _stretch(args: argparse.Namespace, source: FrameSource) -> Stretch:
    times = source.times
    first = read_frame_number("--start", args.start, times) or 0
    last = read_frame_number("--end", args.end, times)
    last = source.num_frames - 1 if last is None else last
    if last < first:
        raise UsageError(f"--end {args.end} is before --start {args.start}; swap them")
    frame = read_frame_number("--frame", args.frame, times)
    if frame is None:
        frame = last if args.reverse else first
    if not first <= frame <= last:
        raise UsageError(
            f"--frame {args.frame} is not between --start and --end; it must be {first} to {last}"
        )
    if args.both:
        return Stretch(first, frame, last)
    return Stretch(first, frame, frame) if args.reverse else Stretch(frame, frame, last)


if __name__ == "__main__":
    sys.exit(main())
