"""Methods for people who look: frames as pictures, and what a click would take."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import mlx.core as mx
import numpy as np

from sam2_mlx.apps.fields import Refusal, choice, integer
from sam2_mlx.apps.serving.conversation import Answer, Conversation, Picture
from sam2_mlx.apps.serving.masks import MASKS, MaskForm
from sam2_mlx.apps.serving.messages import Blob
from sam2_mlx.apps.serving.method import NUMBER, Engine, method
from sam2_mlx.apps.serving.peek import FORMATS, encode
from sam2_mlx.apps.serving.pixels import MAX_SIDE
from sam2_mlx.apps.serving.video_methods import FRAME, OBJECT, POINTED, Clock, Pointed, shown
from sam2_mlx.tracking.tracked_object import TrackedObject


@method(
    aside=True,
    session=NUMBER,
    frame=integer(0, 2**31).otherwise(0),
    max_width=integer(1, MAX_SIDE).otherwise(MAX_SIDE),
    format=choice(*FORMATS).otherwise("jpeg"),
    quality=integer(1, 100).otherwise(85),
)
def frame(  # noqa: PLR0913 - the fields of the request
    engine: Engine,
    app: Conversation,
    session: int,
    frame: int,
    max_width: int,
    format: str,
    quality: int,
) -> Answer:
    """A frame of a clip, or a picture, as a file that browsers show."""
    opened = app.sessions.get(session)
    if isinstance(opened, Picture):
        data, width, height = encode(opened.image, max_width, format, quality)
    elif opened is not None and opened.viewer is not None:
        data, width, height = opened.viewer.picture(frame, max_width, format, quality)
    else:
        raise Refusal("no_session", f"no clip or picture has the number {session}; open one first")
    return {"frame": frame, "format": format, "width": width, "height": height}, data


@method(
    session=NUMBER,
    frame=FRAME,
    prompt=POINTED,
    object=OBJECT.otherwise(),
    masks=MASKS,
)
def hover(  # noqa: PLR0913 - the fields of the request
    engine: Engine,
    app: Conversation,
    blob: Blob,
    session: int,
    frame: int,
    prompt: Pointed,
    object: int | None,
    masks: MaskForm,
) -> Answer:
    """The mask that a prompt would give, to an object or to a new one; nothing is noted."""
    tracking = app.video(session).tracking
    clock = Clock()
    before = tracking.snapshot()
    number = max(tracking.object_ids, default=0) + 1 if object is None else object
    try:
        checked = prompt.prompt(blob, tracking.frame_size)
        answer = tracking.add(number, frame, checked, keep_points=prompt.keep_points)
    finally:
        tracking.restore(before)
    row = answer.object_ids.index(number)
    alone = replace(
        answer,
        object_ids=(number,),
        coarse=answer.coarse[row : row + 1],
        iou=answer.iou[row : row + 1],
        presence=answer.presence[row : row + 1],
    )
    return shown(app, alone, masks, clock)


@method(session=NUMBER)
def scores(engine: Engine, app: Conversation, session: int) -> Answer:
    """Predicted IoU and presence of every object on every frame that is remembered."""
    entries: list[dict[str, Any]] = []
    pieces: list[bytes] = []
    for number, tracked in app.video(session).tracking.snapshot().objects.items():
        frames, iou, presence = _scores(tracked)
        prompted = sorted(tracked.prompts)
        entries.append({"object": number, "frames": len(frames), "prompted": prompted})
        pieces += (frames.tobytes(), iou.tobytes(), presence.tobytes())
    return {"objects": entries}, b"".join(pieces)


def _scores(tracked: TrackedObject) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    bank = tracked.bank
    frames = sorted({*bank.prompted, *bank.recent, *tracked.drafts})
    masks = [mask for frame in frames if (mask := tracked.mask_on(frame)) is not None]
    if not masks:
        return np.zeros(0, "<u4"), np.zeros(0, "<f4"), np.zeros(0, "<f4")
    iou, presence = (
        np.array(mx.concatenate(rows)[:, 0].astype(mx.float32), "<f4")
        for rows in ([mask.iou for mask in masks], [mask.presence for mask in masks])
    )
    return np.array(frames, "<u4"), iou, presence
