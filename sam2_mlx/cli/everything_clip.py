"""Everything in a clip: found on its first frame, and on later ones what is new, and followed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sam2_mlx.cli.everything_options import ClipSearch, EverythingOptions, find_everything
from sam2_mlx.cli.follow import Stretch, Watch
from sam2_mlx.media.frame_source import FrameSource
from sam2_mlx.media.sinks import ShownFrame
from sam2_mlx.ops import rle
from sam2_mlx.prompts import Prompt
from sam2_mlx.tracking.results import Edges, shown_frame

if TYPE_CHECKING:
    from sam2_mlx.model.sam import Sam

# Two masks are of one object if the smaller of them lies in the other by more than this share.
_SAME_OBJECT = 0.5
_ABSENT_LOGIT = -10.0


def follow_everything(
    session: Any, search: ClipSearch, stretch: Stretch, watch: Watch, edges: Edges = "plain"
) -> Iterator[ShownFrame]:
    """Find objects in a stretch of a clip and follow them, forward, all as one batch.

    Objects that were lost for good keep their place among the `max_objects`.

    Args:
        session: a new `TrackingSession` over the clip.
        search: how objects are found.
        stretch: which frames; the prompted one is the first.
        watch: counts the frames, and may end it early.
        edges: how masks are enlarged.

    Yields:
        Frames in their order. The objects are those of the first frame; where new ones may join
        them, 1 to `max_objects`, and one that is not found yet has an empty mask.

    Raises:
        DamagedClip: after the last frame that can be read.
        ValueError: if there is nothing on the first frame and it is the only one searched.
    """
    places = search.max_objects if search.every else 0
    for frame in watch.over(_frames(session, search, stretch, edges)):
        yield _padded(frame, places)


def _frames(
    session: Any, search: ClipSearch, stretch: Stretch, edges: Edges
) -> Iterator[ShownFrame]:
    """All frames: nothing is followed before the first one with an object."""
    source, start = session.source, stretch.first
    while not session.object_ids and start <= stretch.last:
        image = source.read(start)
        _add_new(session, search, start - stretch.first, start, image, ())
        if not session.object_ids:
            yield _empty_frame(source, start, image)
            start += 1
    if start > stretch.last:
        return
    for masks in session.propagate(start=start, length=stretch.last - start):
        index, image = masks.frame, session.image
        passed = index - stretch.first
        if index > start and _add_new(session, search, passed, index, image, masks.masks):
            masks = session.masks_on(index)
            # What is new is remembered before the next frame is followed.
            session.commit()
        yield shown_frame(masks, source, image, edges)


def _add_new(
    session: Any,
    search: ClipSearch,
    passed: int,
    index: int,
    image: np.ndarray,
    masks: Sequence[np.ndarray],
) -> bool:
    """Prompt the session with what it does not follow yet; whether there was something."""
    count = len(session.object_ids)
    room = search.max_objects - count
    if not room or (passed and (not search.every or passed % search.every)):
        return False
    followed = [mask for mask in masks if mask.any()]
    new = find_objects(session.model, image, search.options, room, followed)
    if not new and not count and not search.every:
        raise ValueError(
            "nothing was found on the first frame; lower --min-iou and --min-stability, or "
            "point at an object with --point X,Y"
        )
    for number, mask in enumerate(new, count + 1):
        session.add(number, index, Prompt.from_mask(mask))
    return bool(new)


def _empty_frame(source: FrameSource, index: int, image: np.ndarray) -> ShownFrame:
    none = np.zeros(0, np.float32)
    masks = np.zeros((0, source.height, source.width), bool)
    return ShownFrame(source.number(index), source.name(index), (), masks, none, none, index, image)


def _padded(frame: ShownFrame, places: int) -> ShownFrame:
    """The same with empty masks for the objects that are not found yet."""
    more = places - len(frame.masks)
    if more <= 0:
        return frame
    empty = np.zeros((more, *frame.masks.shape[1:]), bool)
    return replace(
        frame,
        object_ids=tuple(range(1, places + 1)),
        masks=np.concatenate([frame.masks, empty]),
        iou=np.concatenate([frame.iou, np.zeros(more, np.float32)]),
        presence=np.concatenate([frame.presence, np.full(more, _ABSENT_LOGIT, np.float32)]),
    )


def find_objects(
    model: Sam,
    picture: np.ndarray,
    options: EverythingOptions,
    limit: int,
    followed: Sequence[np.ndarray] = (),
) -> list[np.ndarray]:
    """Different objects in a picture, the surest first; of a whole and its parts only one.

    Args:
        model: is asked for them.
        picture: uint8 (H, W, 3) RGB.
        options: how to look.
        limit: at most so many.
        followed: bool (H, W) masks of objects that are followed already.

    Returns:
        bool (H, W) masks.
    """
    records = find_everything(model, picture, options)
    records.sort(key=lambda record: -record["predicted_iou"] * record["stability_score"])
    objects: list[np.ndarray] = []
    for mask in (rle.decode(record["segmentation"]) for record in records):
        if len(objects) == limit:
            break
        if mask.any() and not any(_same_object(mask, other) for other in (*followed, *objects)):
            objects.append(mask)
    return objects


def _same_object(first: np.ndarray, second: np.ndarray) -> bool:
    shared = np.count_nonzero(first & second)
    smaller = min(np.count_nonzero(first), np.count_nonzero(second))
    return bool(shared > _SAME_OBJECT * smaller)
