"""Methods for projects: a folder that is saved as one goes, and opened again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

from sam2_mlx.apps.fields import Refusal, choice, flag, path_name
from sam2_mlx.apps.projects.project import SETTINGS, Project, Settings, bring_up_to_date
from sam2_mlx.apps.projects.prompt_files import Prompted, entry_of
from sam2_mlx.apps.serving.conversation import Answer, Conversation, Video
from sam2_mlx.apps.serving.method import NUMBER, Engine, method
from sam2_mlx.apps.serving.video_methods import add_video
from sam2_mlx.media.frame_source import FrameSource
from sam2_mlx.media.reader import open_frames
from sam2_mlx.tracking.policies import MemoryKind
from sam2_mlx.tracking.saved_session import load_session
from sam2_mlx.tracking.session import TrackingSession

_MOST_PROJECTS = 500


@method(aside=True)
def projects(engine: Engine, app: Conversation) -> Answer:
    """The projects in their folder, the one saved last first."""
    entries = sorted(_entries(engine), key=lambda entry: -float(entry["changed"]))
    return {"folder": str(engine.access.home), "projects": entries[:_MOST_PROJECTS]}, b""


def _entries(engine: Engine) -> Iterator[dict[str, Any]]:
    home = engine.access.home
    for folder in home.iterdir() if home.is_dir() else ():
        # What is no project, or no more one, is not listed.
        with suppress(OSError, ValueError):
            project = Project.read(folder)
            yield {
                "path": str(folder),
                "name": folder.name,
                "clip": Path(project.clip).name,
                "model": project.model,
                "frames": project.size[0],
                "changed": round((folder / "project.json").stat().st_mtime, 3),
            }


@method(session=NUMBER, path=path_name("write"), settings=SETTINGS, masks=flag().otherwise(False))
def save_project(
    engine: Engine,
    app: Conversation,
    session: int,
    path: str,
    settings: Settings,
    masks: bool,
) -> Answer:
    """Save prompts and settings, and with `masks` what was followed, too."""
    video = app.video(session)
    source, tracking = video.source, video.tracking
    if source is None:
        raise Refusal("bad_state", "a stream has no project; only clips do")
    project = Project(
        Path(path),
        str(Path(source.path).absolute()),
        (source.num_frames, source.width, source.height),
        tracking.model.config.name,
        settings,
    )
    project.write()
    project.write_prompts(tracking, source)
    video.saving_to = project.session
    if masks:
        video.save()
    engine.access.remember(source.path)
    return {"path": path}, b""


@method(path=path_name("write"), memory=choice(*get_args(MemoryKind)).otherwise("full"))
def open_project(engine: Engine, app: Conversation, path: str, memory: MemoryKind) -> Answer:
    """Open a project's clip and go on where it was saved."""
    project = Project.read(Path(path))
    source = open_frames(engine.access.read(project.clip))
    try:
        size = (source.num_frames, source.width, source.height)
        if size != project.size:
            raise Refusal(
                "bad_media",
                f"{source.path} has {size[0]} frames of {size[1]}x{size[2]} now; the project was "
                f"made with {project.size[0]} of {project.size[1]}x{project.size[2]}",
            )
        prompts = project.read_prompts(source)
        tracking, note = _tracking(engine, project, source, memory)
        bring_up_to_date(tracking, prompts)
    except Exception:
        source.close()
        raise
    video = Video(tracking, source, saving_to=project.session)
    facts = add_video(app, video)
    facts |= {"frame": tracking.frame, "objects": list(tracking.object_ids)}
    facts |= {"path": path, "clip": project.clip, "model": project.model}
    facts |= {"settings": asdict(project.settings), "masks_note": note}
    return {**facts, "prompts": [_entry(one, source) for one in prompts]}, b""


def _tracking(
    engine: Engine, project: Project, source: FrameSource, memory: MemoryKind
) -> tuple[TrackingSession, str | None]:
    """The session as it was saved, or a new one and why."""
    model, note = engine.loaded(), None
    if project.session.is_file():
        try:
            return load_session(project.session, model, source), None
        except ValueError as problem:
            # Another model, most often. The file stays until masks are saved over it.
            note = f"what was followed is not shown: {problem}"
    return TrackingSession(model, source, memory=memory), note


def _entry(one: Prompted, source: FrameSource) -> dict[str, Any]:
    """A prompt for the app; a mask would be long, and `masks` gives it."""
    entry = entry_of(one, source)
    return {**entry, "mask": True} if "mask" in entry else entry
