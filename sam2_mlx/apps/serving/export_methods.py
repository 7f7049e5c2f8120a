"""Methods that write what was followed, by the same writers as the video command."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np

from sam2_mlx.apps.fields import Refusal, choice, path_name, several
from sam2_mlx.apps.serving.conversation import MAX_CREDIT, Conversation, Job, Video, Work
from sam2_mlx.apps.serving.method import NUMBER, Engine, method
from sam2_mlx.apps.serving.video_methods import FRAME, OBJECT
from sam2_mlx.files import free_path
from sam2_mlx.media.encodings import CLIP_ENDINGS, ENCODINGS
from sam2_mlx.media.frame_source import FrameSource
from sam2_mlx.media.mask_writer import open_mask_writer
from sam2_mlx.media.reader import open_again
from sam2_mlx.media.score_writer import ScoreLines
from sam2_mlx.media.sinks import Sink, all_or_nothing, open_pictures
from sam2_mlx.tracking.results import Edges, shown_frame
from sam2_mlx.tracking.session import TrackingSession

FORMS = {
    **CLIP_ENDINGS,
    "masks": "_masks",
    "coco": "_masks.json",
    "npz": "_masks.npz",
    "yolo": "_masks.yolo",
    "scores": "_scores.jsonl",
}
"""What can be written, and how it is named after the clip."""

_MOST_OBJECTS = 4096
_NO_IMAGE = np.zeros((0, 0, 3), np.uint8)


@method(
    holds_session=False,
    session=NUMBER,
    job=NUMBER,
    format=choice(*FORMS),
    path=path_name("write").otherwise(),
    first=FRAME.otherwise(),
    last=FRAME.otherwise(),
    objects=several(OBJECT, _MOST_OBJECTS).otherwise(),
    edges=choice(*get_args(Edges)).otherwise("plain"),
)
def export(  # noqa: PLR0913 - the fields of the request
    engine: Engine,
    app: Conversation,
    session: int,
    job: Job,
    format: str,
    path: str | None,
    first: int | None,
    last: int | None,
    objects: list[int] | None,
    edges: Edges,
) -> Work:
    """Write what was followed so far; the session may go on meanwhile."""
    video = app.video(session)
    if video.source is None:
        raise Refusal("bad_state", "a stream cannot be exported; only clips can")
    video.source.check_index(first or 0)
    end = video.source.num_frames - 1 if last is None else video.source.check_index(last)
    if not video.tracking.object_ids or end < (first or 0):
        raise Refusal("bad_state", "nothing to export: no object, or no frame")
    target = Path(path) if path is not None else _free_name(engine, video, format)
    # Nobody has to be waited for: the app takes no pixels.
    job.credit = MAX_CREDIT
    return _export(_twin(video, objects), (format, edges, target), range(first or 0, end + 1))


def _export(tracking: TrackingSession, output: tuple[str, Edges, Path], frames: range) -> Work:
    form, edges, target = output
    source = tracking.source
    assert isinstance(source, FrameSource)
    with source, all_or_nothing() as sinks:
        sink = _open_sink(form, target, source, frames.start)
        sinks.append(sink)
        for frame in frames:
            looks = form in ENCODINGS or edges != "plain"
            image = source.read(frame) if looks else _NO_IMAGE
            sink.add(shown_frame(tracking.masks_on(frame), source, image, edges))
            fraction = (frame - frames.start + 1) / len(frames)
            yield {"event": "progress", "stage": "export", "fraction": round(fraction, 4)}, b""
        sink.finish()
    return {"path": str(target)}


def _open_sink(form: str, target: Path, source: FrameSource, first: int) -> Sink:
    target.parent.mkdir(parents=True, exist_ok=True)
    if form in ENCODINGS:
        return open_pictures(target, form, source, first)
    return ScoreLines(target) if form == "scores" else open_mask_writer(target)


def _twin(video: Video, objects: list[int] | None) -> TrackingSession:
    """What a session knows now, of some objects, with a reader of its own."""
    source, tracking = video.source, video.tracking
    assert source is not None
    twin = TrackingSession(
        tracking.model, open_again(source), memory=tracking.memory, options=tracking.options
    )
    state = tracking.snapshot()
    if objects is not None:
        state.objects = {i: one for i, one in state.objects.items() if i in objects}
    twin.restore(state)
    return twin


def _free_name(engine: Engine, video: Video, form: str) -> Path:
    """A name in the folder of exports, of the project where there is one, that nothing has yet."""
    assert video.source is not None
    home = video.saving_to.parent if video.saving_to is not None else engine.access.home
    return free_path(home / "exports", video.source.path.stem or "clip", FORMS[form])
