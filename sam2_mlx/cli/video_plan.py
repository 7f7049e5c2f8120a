"""What a command line of the video command asks for, checked against the clip."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from sam2_mlx.cli.errors import UsageError, note
from sam2_mlx.cli.everything_options import (
    DEFAULT_MAX_OBJECTS,
    ClipSearch,
    read_everything_options,
    refuse_everything_options,
)
from sam2_mlx.cli.follow import Following, Stretch
from sam2_mlx.cli.frame_numbers import read_frame_number
from sam2_mlx.cli.model import ModelChoice
from sam2_mlx.cli.typed_prompts import mask_files, read_prompts
from sam2_mlx.cli.video_job import VideoJob
from sam2_mlx.cli.video_outputs import VideoOutputs
from sam2_mlx.media import FrameSource, demo_clip, open_frames
from sam2_mlx.media.picture_frames import PictureFrames
from sam2_mlx.media.strided import StridedFrames

if TYPE_CHECKING:
    from sam2_mlx.live.window import Preview


def run(args: argparse.Namespace) -> int:
    """Do what the video command was asked for; returns the exit code.

    Raises:
        ValueError, OSError: for arguments or input that cannot be carried out.
    """
    preview = _preview() if args.preview else None
    clip = demo_clip() if args.clip == Path("demo") and not args.clip.exists() else args.clip
    following = _following(args)
    outputs = VideoOutputs.typed(args, _stem(clip))
    choice = ModelChoice(args.model, args.dtype, args.image_size, follow=True)
    with open_frames(clip, args.frame_rate) as whole:
        told = len(whole.notes)
        for line in whole.notes:
            note(line)
        stretch = _stretch(args, whole)
        source, stretch = _strided(whole, stretch, args.every)
        resumed = following.resume is not None
        needed = not resumed and not args.everything
        prompts = read_prompts(args, source.width, source.height, needed=needed)
        outputs.check(_inputs(args, whole, choice))
        try:
            return VideoJob(source, prompts, stretch, outputs, following, preview).run(choice)
        finally:
            for line in whole.notes[told:]:
                note(line)


def _inputs(args: argparse.Namespace, clip: FrameSource, choice: ModelChoice) -> list[Path]:
    """What is read; a saved session may go on in its own place."""
    frames = clip.files if isinstance(clip, PictureFrames) else []
    resumed = [args.resume] if args.resume and args.resume != args.save_session else []
    return [clip.path, *frames, *mask_files(args), *resumed, *choice.files]


def _preview() -> Preview:
    # Before anything reads the clip: see live/window.py.
    from sam2_mlx.live.window import Preview

    return Preview("sam2_mlx")


def _following(args: argparse.Namespace) -> Following:
    """The memory, and saved sessions, which only go forward and frame by frame."""
    search = _search(args)
    resume = args.resume
    option = "--resume" if resume else "--save-session"
    if resume or args.save_session:
        for present, other in (
            (args.reverse, "--reverse"),
            (args.both and resume, "--both"),
            (args.every > 1, "--every"),
        ):
            if present:
                raise UsageError(f"{option} follows every frame forward; leave out {other}")
    if resume and (args.frame or args.start):
        raise UsageError("--resume goes on after the session's last frame; leave out --frame")
    if resume and args.memory:
        raise UsageError("--resume keeps the session's own memory; leave out --memory")
    return Following(args.memory or "rolling", resume, search)


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
