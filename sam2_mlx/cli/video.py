"""`python -m sam2_mlx.video CLIP --point X,Y`: mask objects on every frame of a clip."""

from __future__ import annotations

import argparse
from pathlib import Path

from sam2_mlx.cli.arguments import (
    OneLineParser,
    add_model_arguments,
    add_prompt_arguments,
    join_values,
    read_frame_number,
    read_frame_rate,
    read_prompts,
)
from sam2_mlx.cli.errors import UsageError, note
from sam2_mlx.cli.everything_options import (
    DEFAULT_MAX_OBJECTS,
    ClipSearch,
    add_everything_arguments,
    read_everything_options,
    refuse_everything_options,
)
from sam2_mlx.cli.follow import Following, Stretch
from sam2_mlx.cli.model import ModelChoice
from sam2_mlx.cli.video_job import VideoJob
from sam2_mlx.cli.video_outputs import FORMATS, VideoOutputs
from sam2_mlx.files import check_target
from sam2_mlx.media import FrameSource, demo_clip, open_frames
from sam2_mlx.media.strided import StridedFrames

_EXAMPLES = """\
examples:
  python -m sam2_mlx.video clip.mp4 --point 300,200
  python -m sam2_mlx.video clip.mov --point 300,200 --negative-point 310,90 --point 2:400,120
  python -m sam2_mlx.video frames/%05d.png --box 40,60,210,300 --save-masks masks
  python -m sam2_mlx.video clip.mp4 --frame 5s --point 300,200 --both --output out.mp4
  python -m sam2_mlx.video clip.mp4 --objects-from masks/00000.png --format prores4444
  python -m sam2_mlx.video clip.mp4 --point 300,200 --output - | ffplay -
  python -m sam2_mlx.video clip.mp4 --everything --max-objects 8 --find-every 50

The result has the frames that were followed: from the prompted frame to the end (from the start
to it with --reverse, all with --both), within --start and --end. Existing files are replaced.
"""


def main(argv: list[str]) -> int:
    """Run the command.

    Args:
        argv: the arguments after `video`.

    Returns:
        The exit code: 0 done, 2 for a damaged clip, 128 and its number for a signal; in the last
        two cases the video holds the frames so far.

    Raises:
        ValueError, OSError: for arguments or input that cannot be carried out.
    """
    return _run(_parser().parse_args(join_values(argv)))


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
    _add_everything_arguments(parser)
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
    group.add_argument(
        "--every",
        metavar="N",
        type=_read_stride,
        default=1,
        help="use each N-th frame only, counted from the prompted one; the others are left out",
    )
    add_model_arguments(parser)
    _add_memory_arguments(parser)
    group = parser.add_argument_group("output")
    group.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="the video (.mp4, .mov, .mkv), CLIP_masked.mp4 by default; - is standard output",
    )
    group.add_argument(
        "--format",
        choices=FORMATS,
        default="video",
        help="masks drawn over the video (the default), or the objects alone with transparency: "
        "ProRes 4444 (.mov) or VP9 (.webm), or a folder of PNGs",
    )
    group.add_argument(
        "--save-masks",
        metavar="WHERE",
        help="also save the masks: a folder for palette PNGs, FILE.npz, or FILE.json (COCO)",
    )
    group.add_argument(
        "--scores",
        metavar="FILE",
        help="also save each object's scores, area and box on each frame, as JSON lines",
    )
    group.add_argument(
        "--preview", action="store_true", help="show the frames in a window as they are done"
    )
    return parser


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


def _add_memory_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("memory")
    group.add_argument(
        "--memory",
        choices=("rolling", "distractor-aware"),
        help="distractor-aware keeps look-alikes apart, at times; rolling is the default",
    )
    group.add_argument(
        "--save-session",
        metavar="FILE",
        help="save what is remembered after the last frame (.safetensors)",
    )
    group.add_argument(
        "--resume", metavar="FILE", help="go on after the last frame of a saved session"
    )


def _read_stride(text: str) -> int:
    """A frame stride as it is typed."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"need a number of frames, 1 or more; got {text}")
    return int(text)


def _run(args: argparse.Namespace) -> int:
    preview = None
    if args.preview:
        # Before anything reads the clip: see live/window.py.
        from sam2_mlx.live.window import Preview

        preview = Preview("sam2_mlx")
    clip = demo_clip() if args.clip == "demo" and not Path("demo").exists() else Path(args.clip)
    following = _following(args)
    outputs = VideoOutputs.named(
        args.output, _stem(clip), args.format, args.save_masks, args.scores
    )
    with open_frames(clip, args.frame_rate) as whole:
        if whole.note:
            note(whole.note)
        stretch = _stretch(args, whole)
        source, stretch = _strided(whole, stretch, args.every)
        resumed = following.resume is not None
        needed = not resumed and not args.everything
        prompts = read_prompts(args, source.width, source.height, needed=needed)
        outputs.check(clip)
        choice = ModelChoice(args.model, args.dtype, args.image_size, follow=True)
        return VideoJob(source, prompts, stretch, outputs, following, preview).run(choice)


def _following(args: argparse.Namespace) -> Following:
    """The memory, and saved sessions, which only go forward and frame by frame."""
    search = _search(args)
    resume = Path(args.resume) if args.resume else None
    save = Path(args.save_session) if args.save_session else None
    if save is not None and save.suffix != ".safetensors":
        raise UsageError(f"--save-session needs a name that ends in .safetensors; got {save}")
    if save is not None:
        check_target(save)
    option = "--resume" if resume else "--save-session"
    if resume or save:
        for given, other in (
            (args.reverse, "--reverse"),
            (args.both and resume, "--both"),
            (args.every > 1, "--every"),
        ):
            if given:
                raise UsageError(f"{option} follows every frame forward; leave out {other}")
    if resume and (args.frame or args.start):
        raise UsageError("--resume goes on after the session's last frame; leave out --frame")
    if resume and args.memory:
        raise UsageError("--resume keeps the session's own memory; leave out --memory")
    return Following(args.memory or "rolling", resume, save, search)


def _search(args: argparse.Namespace) -> ClipSearch | None:
    """How objects are found with `--everything`, which goes forward from the first frame."""
    if not args.everything:
        refuse_everything_options(args)
        for option, value in (
            ("--max-objects", args.max_objects),
            ("--find-every", args.find_every),
        ):
            if value is not None:
                raise UsageError(f"{option} is for --everything; add that or leave {option} out")
        return None
    for name in ("point", "negative_point", "box", "mask", "objects_from"):
        if getattr(args, name):
            option = "--" + name.replace("_", "-")
            raise UsageError(f"--everything needs no prompts; leave out {option}")
    for name in ("both", "reverse"):
        if getattr(args, name):
            raise UsageError(f"--everything follows forward; leave out --{name}")
    if args.frame:
        raise UsageError("--everything looks at the first frame; give --start in place of --frame")
    if args.resume:
        raise UsageError("--resume goes on with the objects of the session; leave out --everything")
    return ClipSearch(
        read_everything_options(args),
        DEFAULT_MAX_OBJECTS if args.max_objects is None else args.max_objects,
        args.find_every or 0,
    )


def _strided(source: FrameSource, stretch: Stretch, step: int) -> tuple[FrameSource, Stretch]:
    """Each n-th frame as a source of its own, and the same stretch in its numbers."""
    if step == 1:
        return source, stretch
    before = range(stretch.prompted, stretch.first - 1, -step)[::-1]
    after = range(stretch.prompted + step, stretch.last + 1, step)
    indices = [*before, *after]
    prompted = len(before) - 1
    return StridedFrames(source, indices, step), Stretch(0, prompted, len(indices) - 1)


def _stem(clip: Path) -> str:
    """What the result is named after: the file, the folder, or the folder of the pattern."""
    if clip.is_dir():
        return clip.resolve().name or "clip"
    if clip.is_file():
        return clip.stem
    return clip.resolve().parent.name or "clip"


def _stretch(args: argparse.Namespace, source: FrameSource) -> Stretch:
    times = source.times
    if args.resume:
        return _rest(args, source)
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


def _rest(args: argparse.Namespace, source: FrameSource) -> Stretch:
    """What is left of a clip after the last frame of a saved session."""
    from sam2_mlx.tracking.saved_session import saved_facts

    facts = saved_facts(args.resume)
    if facts.reverse:
        raise UsageError(f"{args.resume} was followed backward; --resume only goes forward")
    last = read_frame_number("--end", args.end, source.times)
    last = source.num_frames - 1 if last is None else last
    first = 0 if facts.frame is None else facts.frame + 1
    if first > last:
        raise UsageError(
            f"{args.resume} has seen the clip up to frame {first - 1}; nothing is left to follow"
        )
    return Stretch(first, first, last)
