"""Methods that follow objects: thin over a tracking session."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from sam2_mlx.apps.fields import (
    MAX_POINTS,
    Refusal,
    choice,
    flag,
    integer,
    labels,
    numbers,
    part,
    path_name,
    points,
    record,
    several,
)
from sam2_mlx.apps.serving.conversation import (
    MAX_CREDIT,
    MAX_SNAPSHOTS,
    Answer,
    Conversation,
    Job,
    Video,
    Work,
)
from sam2_mlx.apps.serving.masks import MASKS, MaskForm, encode_masks
from sam2_mlx.apps.serving.messages import Blob
from sam2_mlx.apps.serving.method import NUMBER, Engine, method
from sam2_mlx.apps.serving.pixels import MAX_SIDE, PIXELS, PixelLayout
from sam2_mlx.media.reader import open_frames
from sam2_mlx.prompts import Prompt
from sam2_mlx.tracking.options import TrackingOptions
from sam2_mlx.tracking.policies import MemoryKind
from sam2_mlx.tracking.results import FrameMasks
from sam2_mlx.tracking.saved_session import load_session, save_session
from sam2_mlx.tracking.session import TrackingSession

FRAME = integer(0, 2**31)
OBJECT = integer(-(2**31), 2**31)


@dataclass(frozen=True)
class MaskInBlob:
    """A mask as a prompt: bits, as the encoding `bits` has them, in the request's blob.

    Attributes:
        width: in pixels.
        height: in pixels.
    """

    width: int
    height: int

    def read(self, blob: Blob) -> np.ndarray:
        """The mask, bool (H, W).

        Raises:
            Refusal: `bad_frame` if the blob has another length.
        """
        row = (self.width + 7) // 8
        if len(blob) != row * self.height:
            raise Refusal(
                "bad_frame",
                f"a mask of {self.width} x {self.height} has {row * self.height} bytes; the "
                f"blob has {len(blob)}",
            )
        packed = np.frombuffer(blob, np.uint8).reshape(self.height, row)
        return np.unpackbits(packed, axis=1, count=self.width).view(bool)


@dataclass(frozen=True)
class Pointed:
    """What an app points at: points and a box, or a mask.

    Attributes:
        points: [[x, y], ...] in pixels, or None.
        labels: one for each point; None is 1 for all.
        box: [x0, y0, x1, y1] in pixels, or None.
        mask: a mask in the blob, or None.
        keep_points: add to the points given for the frame before.
    """

    points: list[list[float]] | None
    labels: list[int] | None
    box: list[float] | None
    mask: MaskInBlob | None
    keep_points: bool

    @property
    def all_labels(self) -> list[int] | None:
        """A label for each point."""
        if self.labels is None and self.points is not None:
            return [1] * len(self.points)
        return self.labels

    def prompt(self, blob: Blob, size: tuple[int, int]) -> Prompt:
        """The prompt for a frame of (height, width) pixels.

        Raises:
            ValueError, Refusal: if the parts do not fit together.
        """
        if self.mask is None:
            return Prompt.from_points(self.points, self.all_labels, self.box, size)
        if self.points is not None or self.box is not None:
            raise ValueError("give either a mask or points and a box, not both")
        return Prompt.from_mask(self.mask.read(blob))


_SIDE = integer(1, MAX_SIDE, "bad_frame")
POINTED = part(
    Pointed,
    points=points().otherwise(),
    labels=labels().otherwise(),
    box=numbers(4).otherwise(),
    mask=part(MaskInBlob, width=_SIDE, height=_SIDE).otherwise(),
    keep_points=flag().otherwise(False),
)
"""The field `prompt` of a request."""


@method(
    path=path_name().otherwise(),
    memory=choice(*get_args(MemoryKind)).otherwise("rolling"),
    options=record(TrackingOptions).otherwise(),
)
def open_(
    engine: Engine,
    app: Conversation,
    path: str | None,
    memory: MemoryKind,
    options: TrackingOptions | None,
) -> Answer:
    """Open a clip, or a stream where there is no path."""
    model = engine.loaded()
    source = None if path is None else open_frames(path)
    video = Video(TrackingSession(model, source, memory=memory, options=options), source)
    return add_video(app, video), b""


@method(path=path_name(), clip=path_name().otherwise())
def restore(engine: Engine, app: Conversation, path: str, clip: str | None) -> Answer:
    """Go on with a saved session."""
    model = engine.loaded()
    source = None if clip is None else open_frames(clip)
    try:
        video = Video(load_session(path, model, source), source)
    except Exception:
        if source is not None:
            source.close()
        raise
    tracking = video.tracking
    facts = {"frame": tracking.frame, "objects": list(tracking.object_ids)}
    return {**add_video(app, video), **facts}, b""


def add_video(app: Conversation, video: Video) -> dict[str, Any]:
    """Keep a video; the facts that an app is told of it."""
    source = video.source
    facts: dict[str, Any] = {"session": app.add(video), "frames": None}
    if source is not None:
        rate = source.frame_rate
        facts |= {"frames": source.num_frames, "width": source.width, "height": source.height}
        facts |= {"frame_rate": [rate.numerator, rate.denominator], "note": source.note}
    return facts


@method(session=NUMBER, path=path_name("write"))
def save(engine: Engine, app: Conversation, session: int, path: str) -> Answer:
    """Save what a session knows; prompts given so far count as final."""
    save_session(app.video(session).tracking, path)
    return {}, b""


@method(session=NUMBER, pixels=PIXELS, masks=MASKS)
def step(
    engine: Engine,
    app: Conversation,
    blob: Blob,
    session: int,
    pixels: PixelLayout,
    masks: MaskForm,
) -> Answer:
    """Show the next frame of a stream."""
    tracking = app.video(session).tracking
    clock = Clock()
    image = app.image(pixels, blob)
    clock.lap("pixels")
    return shown(app, tracking.step(image), masks, clock)


@method(
    session=NUMBER,
    object=OBJECT,
    frame=FRAME.otherwise(),
    prompt=POINTED,
    masks=MASKS,
)
def prompt(  # noqa: PLR0913 - the fields of the request
    engine: Engine,
    app: Conversation,
    blob: Blob,
    session: int,
    object: int,
    frame: int | None,
    prompt: Pointed,
    masks: MaskForm,
) -> Answer:
    """Point at an object: a new one, or a correction."""
    tracking = app.video(session).tracking
    at = (tracking.frame or 0) if frame is None else frame
    if tracking.source is None and tracking.image is None:
        raise Refusal("bad_state", "a stream is prompted on a frame; show one with step first")
    checked = prompt.prompt(blob, tracking.frame_size)
    clock = Clock()
    answer = tracking.add(object, at, checked, keep_points=prompt.keep_points)
    return shown(app, answer, masks, clock)


@method(session=NUMBER, frame=FRAME, masks=MASKS)
def masks(engine: Engine, app: Conversation, session: int, frame: int, masks: MaskForm) -> Answer:
    """The masks that were shown last on a frame."""
    tracking = app.video(session).tracking
    return shown(app, tracking.masks_on(frame), masks, Clock())


@method(
    session=NUMBER,
    job=NUMBER,
    start=FRAME.otherwise(),
    length=FRAME.otherwise(),
    reverse=flag().otherwise(False),
    hold=several(OBJECT, MAX_POINTS).otherwise(),
    credit=integer(0, MAX_CREDIT).otherwise(4),
    masks=MASKS,
)
def propagate(  # noqa: PLR0913 - the fields of the request
    engine: Engine,
    app: Conversation,
    session: int,
    job: Job,
    start: int | None,
    length: int | None,
    reverse: bool,
    hold: list[int] | None,
    credit: int,
    masks: MaskForm,
) -> Work:
    """Follow all objects through a clip."""
    video = app.video(session)
    # Credit may have come before the turn of the request.
    job.credit += credit
    video.tracking.held = frozenset(hold or ())
    return _follow(app, video, (start, length, reverse), masks)


def _follow(
    app: Conversation,
    video: Video,
    way: tuple[int | None, int | None, bool],
    form: MaskForm,
) -> Work:
    frames = iter(video.tracking.propagate(*way))
    while True:
        clock = Clock()
        answer = next(frames, None)
        if answer is None:
            return None
        yield shown(app, answer, form, clock)
        video.save_now_and_then()


@method(session=NUMBER, object=OBJECT, frame=FRAME)
def clear(engine: Engine, app: Conversation, session: int, object: int, frame: int) -> Answer:
    """Forget the prompts of an object on a frame."""
    app.video(session).tracking.clear(object, frame)
    return {}, b""


@method(session=NUMBER, object=OBJECT)
def remove(engine: Engine, app: Conversation, session: int, object: int) -> Answer:
    """Forget an object."""
    return {"removed": app.video(session).tracking.remove(object)}, b""


@method(session=NUMBER)
def reset(engine: Engine, app: Conversation, session: int) -> Answer:
    """Forget all objects."""
    app.video(session).tracking.reset()
    return {}, b""


@method(session=NUMBER)
def snapshot(engine: Engine, app: Conversation, session: int) -> Answer:
    """Note what a session knows, to come back to it."""
    video = app.video(session)
    if video.source is None:
        raise Refusal("bad_state", "a stream cannot go back; only clips have snapshots")
    number = max(video.snapshots, default=0) + 1
    video.snapshots[number] = video.tracking.snapshot()
    if len(video.snapshots) > MAX_SNAPSHOTS:
        del video.snapshots[min(video.snapshots)]
    return {"snapshot": number}, b""


@method(session=NUMBER, snapshot=NUMBER)
def rollback(engine: Engine, app: Conversation, session: int, snapshot: int) -> Answer:
    """Let a session know what it knew at a snapshot, no more and no less."""
    video = app.video(session)
    if snapshot not in video.snapshots:
        raise Refusal("bad_state", f"no snapshot {snapshot}; the last {MAX_SNAPSHOTS} are kept")
    # A copy, so that one can come back to it once more.
    video.tracking.restore(video.snapshots[snapshot].copy())
    return {"objects": list(video.tracking.object_ids)}, b""


class Clock:
    """Milliseconds of the parts of a request."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """The part that ended just now."""
        now = time.perf_counter()
        self.laps[name] = round((now - self._last) * 1e3, 2)
        self._last = now


def shown(app: Conversation, found: FrameMasks, form: MaskForm, clock: Clock) -> Answer:
    """Masks as an answer; `clock` has the parts of the request before them."""
    if found.object_ids:
        # Nothing is computed before it is asked for.
        _ = np.array(found.presence) if form.encoding == "low8" else found.masks
    clock.lap("model")
    facts, data = encode_masks(found, form.encoding)
    clock.lap("encode")
    return app.deliver({**facts, "ms": clock.laps}, data, form)
