"""What a command line of the video command asks for, checked against the clip."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sam2_mlx.apps.projects.frame_numbers import read_frame_number
from sam2_mlx.apps.projects.prompt_files import Prompted, read_prompt_file, write_prompt_file
from sam2_mlx.checkpoints.names import model_name
from sam2_mlx.cli.arguments import refuse
from sam2_mlx.cli.errors import UsageError, note
from sam2_mlx.cli.everything_options import (
    DEFAULT_MAX_OBJECTS,
    ClipSearch,
    read_everything_options,
    refuse_everything_options,
)
from sam2_mlx.cli.follow import Following, Stretch
from sam2_mlx.cli.model import ModelChoice
from sam2_mlx.cli.typed_prompts import mask_files, read_prompts
from sam2_mlx.cli.video_job import Host, VideoJob
from sam2_mlx.cli.video_outputs import VideoOutputs
from sam2_mlx.files import real_path
from sam2_mlx.media import FrameSource, demo_clip, open_frames
from sam2_mlx.media.picture_frames import PictureFrames
from sam2_mlx.media.strided import StridedFrames

if TYPE_CHECKING:
    from sam2_mlx.live.window import Preview

_PROMPT_OPTIONS = ("point", "negative_point", "box", "mask", "objects_from")


def run(args: argparse.Namespace, host: Host | None = None) -> int:
    """Do what the video command was asked for; returns the exit code.

    Args:
        args: of `parser` of the video command.
        host: who it is done for; None is a person at a terminal.

    Raises:
        ValueError, OSError: for arguments or input that cannot be carried out.
    """
    preview = _preview() if args.preview else None
    if args.project is not None:
        _take_project(args)
    clip = demo_clip() if args.clip == Path("demo") and not args.clip.exists() else args.clip
    following = _following(args)
    outputs = VideoOutputs.typed(args, _stem(clip))
    choice = ModelChoice(args.model, args.dtype, args.image_size, follow=True)
    with open_frames(clip, args.frame_rate) as whole:
        told = len(whole.notes)
        for line in whole.notes:
            note(line)
        prompts = _file_prompts(args, whole)
        stretch = _stretch(args, whole, [one.frame for one in prompts])
        prompts = prompts or _typed_prompts(args, whole, stretch.prompted)
        outputs.check(_inputs(args, whole, choice))
        source, strided, moved = _strided(whole, stretch, prompts, args.every)
        try:
            job = VideoJob(source, moved, strided, outputs, following, preview, host or Host())
            code = job.run(choice)
            if code == 0 and args.save_prompts is not None:
                write_prompt_file(args.save_prompts, prompts, whole)
            return code
        finally:
            for line in whole.notes[told:]:
                note(line)


def _take_project(args: argparse.Namespace) -> None:
    """Fill in what the command line leaves to a project."""
    from sam2_mlx.apps.fields import Refusal
    from sam2_mlx.apps.projects.project import Project
    from sam2_mlx.apps.serving.access import ListedAccess

    refuse(args, ("prompts",), "--project has them; leave out {}")
    project = Project.read(args.project)
    if args.clip is None:
        try:
            # A folder may come from anybody: its clip is opened only where the page opened it here.
            args.clip = Path(ListedAccess([], args.project.parent).read(project.clip))
        except Refusal as problem:
            hint = f"give it, too: sam2-mlx video CLIP --project {args.project}"
            raise UsageError(f"the clip {project.clip} was not opened here; {hint}") from problem
    args.prompts = project.prompts
    if project.settings.first is not None and args.start is None:
        args.start = str(project.settings.first)
    if project.settings.last is not None and args.end is None:
        args.end = str(project.settings.last)
    if args.model == "auto" and project.model is not None and model_name(project.model):
        args.model = model_name(project.model)


def _file_prompts(args: argparse.Namespace, clip: FrameSource) -> list[Prompted]:
    """The prompts of `--prompts`, if there are any."""
    if args.prompts is None:
        return []
    others = (*_PROMPT_OPTIONS, "frame", "everything", "resume")
    refuse(args, others, "--prompts has them, with their frames; leave out {}")
    return read_prompt_file(args.prompts, clip)


def _typed_prompts(args: argparse.Namespace, clip: FrameSource, frame: int) -> list[Prompted]:
    """The prompts of the command line, on their one frame."""
    needed = not args.resume and not args.everything
    prompts = read_prompts(args, clip.width, clip.height, needed=needed)
    return [Prompted(frame, number, prompt) for number, prompt in prompts.items()]


def _inputs(args: argparse.Namespace, clip: FrameSource, choice: ModelChoice) -> list[Path]:
    """What is read; a saved session may go on in its own place."""
    frames = clip.files if isinstance(clip, PictureFrames) else []
    resumed = [args.resume] if args.resume and args.resume != args.save_session else []
    files = [args.prompts] if args.prompts and args.prompts != args.save_prompts else []
    return [clip.path, *frames, *mask_files(args), *files, *resumed, *choice.files]


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
    return Following(args.memory or "rolling", resume, search, args.edges)


def _search(args: argparse.Namespace) -> ClipSearch | None:
    """How objects are found with `--everything`, which goes forward from the first frame."""
    if not args.everything:
        refuse_everything_options(args)
        return None
    for names, problem in (
        (_PROMPT_OPTIONS, "--everything needs no prompts; leave out {}"),
        (("both", "reverse"), "--everything follows forward; leave out {}"),
        (("frame",), "--everything looks at the first frame; give --start in place of {}"),
        (("resume",), "{} goes on with the objects of the session; leave out --everything"),
    ):
        refuse(args, names, problem)
    return ClipSearch(
        read_everything_options(args),
        DEFAULT_MAX_OBJECTS if args.max_objects is None else args.max_objects,
        args.find_every or 0,
    )


def _strided(
    source: FrameSource, stretch: Stretch, prompts: list[Prompted], step: int
) -> tuple[FrameSource, Stretch, list[Prompted]]:
    """Each n-th frame as a source of its own, and the same stretch and prompts in its numbers."""
    if step == 1:
        return source, stretch, prompts
    before = range(stretch.prompted, stretch.first - 1, -step)[::-1]
    after = range(stretch.prompted + step, stretch.last + 1, step)
    indices = [*before, *after]
    places = {frame: place for place, frame in enumerate(indices)}
    missed = [one.frame for one in prompts if one.frame not in places]
    if missed:
        raise UsageError(f"--every {step} leaves out frame {missed[0]}, which has a prompt")
    moved = [replace(one, frame=places[one.frame]) for one in prompts]
    stretch = Stretch(0, places[stretch.prompted], len(indices) - 1)
    return StridedFrames(source, indices, step), stretch, moved


def _stem(clip: Path) -> str:
    """What the result is named after: the file, the folder, or the folder of the pattern."""
    if clip.is_dir():
        return real_path(clip).name or "clip"
    if clip.is_file():
        return clip.stem
    return real_path(clip).parent.name or "clip"


def _stretch(args: argparse.Namespace, source: FrameSource, prompted: list[int]) -> Stretch:
    """Which frames are followed; `prompted` are those that a file has prompts for."""
    times = source.times
    if args.resume:
        return _rest(args, source)
    first = read_frame_number("--start", args.start, times) or 0
    last = read_frame_number("--end", args.end, times)
    last = source.num_frames - 1 if last is None else last
    if last < first:
        raise UsageError(f"--end {args.end} is before --start {args.start}; swap them")
    frame = read_frame_number("--frame", args.frame, times)
    outside = [number for number in prompted if not first <= number <= last]
    if outside:
        raise UsageError(f"frame {outside[0]} has a prompt and is not between --start and --end")
    if prompted:
        frame = max(prompted) if args.reverse else min(prompted)
    elif frame is None:
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
