"""Everything in a clip: found on its first frame, and on later ones what is new, and followed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sam2_mlx.cli.clip_masks import (
    Following,
    ShownFrame,
    Stretch,
    keep_session,
    open_session,
    to_record,
)
from sam2_mlx.cli.everything_options import ClipSearch, EverythingOptions, find_everything
from sam2_mlx.cli.stop import StopSignals
from sam2_mlx.media.errors import MediaError
from sam2_mlx.media.frame_source import FrameSource
from sam2_mlx.media.mask_writer import MaskRecord
from sam2_mlx.ops import rle

if TYPE_CHECKING:
    from sam2_mlx.model.sam import Sam

# Two masks are of one object if the smaller of them lies in the other by more than this share.
_SAME_OBJECT = 0.5
_ABSENT_LOGIT = -10.0


class EverythingClip:
    """Finds objects in a stretch of a clip and follows them, forward, all as one batch.

    Objects that were lost for good keep their place among the `max_objects`.

    Args:
        model: a model with a memory.
        source: the clip.
        stretch: which frames; the prompted one is the first.
        stop: asks to end after the frame at hand.
        following: which memory, where the session is saved, and how objects are found.

    Attributes:
        problem: why the clip could not be read to its end, or None.
        progress: called after each frame that the model has worked on.
        num_objects: how many objects were found so far.
        object_ids: ids of the masks of every record, known from the first frame on: of the
            objects found there; where new ones may join them, 1 to `max_objects`, and an object
            that is not found yet has an empty mask.
    """

    def __init__(
        self,
        model: Sam,
        source: FrameSource,
        stretch: Stretch,
        stop: StopSignals,
        following: Following,
    ) -> None:
        self._model = model
        self._source = source
        self._stretch = stretch
        self._stop = stop
        self._following = following
        self._search = following.search or ClipSearch()
        self.problem: MediaError | None = None
        self.progress: Any = lambda: None
        self.num_objects = 0
        self.object_ids: tuple[int, ...] = ()

    def __iter__(self) -> Iterator[ShownFrame]:
        """Frames with masks in their order; fewer if asked to stop, or on damage.

        Raises:
            ValueError: if there is nothing on the first frame and it is the only one searched.
        """
        session = open_session(self._model, self._source, self._following)
        try:
            for shown in self._frames(session):
                yield shown
                self.progress()
                if self._stop.received:
                    break
        except MediaError as problem:
            self.problem = problem
        keep_session(session, self._following)

    def _frames(self, session: Any) -> Iterator[ShownFrame]:
        """All frames: nothing is followed before the first one with an object."""
        frame, last = self._stretch.first, self._stretch.last
        while not self.num_objects and frame <= last:
            image = self._source.read(frame)
            self._add_new(session, frame, image)
            if not self.num_objects:
                yield ShownFrame(image, self._empty_record(frame))
                frame += 1
        if frame > last:
            return
        for masks in session.propagate(start=frame, length=last - frame):
            if masks.frame > frame and self._add_new(session, masks.frame, session.image, masks):
                masks = session.masks_on(masks.frame)
                # What is new is remembered before the next frame is followed.
                session.commit()
            yield ShownFrame(session.image, self._padded(to_record(masks, self._source)))

    def _add_new(
        self, session: Any, frame: int, image: np.ndarray, masks: Any | None = None
    ) -> bool:
        """Prompt the session with what it does not follow yet; whether there was something."""
        search, passed = self._search, frame - self._stretch.first
        room = search.max_objects - self.num_objects
        if not room or (passed and (not search.every or passed % search.every)):
            return False
        known = [] if masks is None else [m for m in masks.masks if m.any()]
        found = find_objects(self._model, image, search.options, room, known)
        if not found and not self.num_objects and not search.every:
            raise ValueError(
                "nothing was found on the first frame; lower --min-iou and --min-stability, or "
                "point at an object with --point X,Y"
            )
        for mask in found:
            self.num_objects += 1
            session.prompt(self.num_objects, frame=frame, mask=mask)
        if not passed:
            places = search.max_objects if search.every else self.num_objects
            self.object_ids = tuple(range(1, places + 1))
        return bool(found)

    def _empty_record(self, frame: int) -> MaskRecord:
        height, width = self._source.height, self._source.width
        none = np.zeros(0, np.float32)
        masks = np.zeros((0, height, width), bool)
        return self._padded(MaskRecord(frame, self._source.name(frame), masks, none, none))

    def _padded(self, record: MaskRecord) -> MaskRecord:
        """The same with empty masks for the objects that are not found yet."""
        more = len(self.object_ids) - len(record.masks)
        if not more:
            return record
        empty = np.zeros((more, *record.masks.shape[1:]), bool)
        return MaskRecord(
            record.frame,
            record.name,
            np.concatenate([record.masks, empty]),
            np.concatenate([record.iou, np.zeros(more, np.float32)]),
            np.concatenate([record.presence, np.full(more, _ABSENT_LOGIT, np.float32)]),
        )


def find_objects(
    model: Sam,
    picture: np.ndarray,
    options: EverythingOptions,
    limit: int,
    known: Sequence[np.ndarray] = (),
) -> list[np.ndarray]:
    """Different objects in a picture, the surest first; of a whole and its parts only one.

    Args:
        model: the model.
        picture: uint8 (H, W, 3) RGB.
        options: how to look.
        limit: at most so many.
        known: bool (H, W) masks of objects that are known already.

    Returns:
        bool (H, W) masks.
    """
    records = find_everything(model, picture, options)
    records.sort(key=lambda record: -record["predicted_iou"] * record["stability_score"])
    taken = list(known)
    found: list[np.ndarray] = []
    for record in records:
        if len(found) == limit:
            break
        mask = rle.decode(record["segmentation"])
        if mask.any() and not any(_same_object(mask, other) for other in taken):
            found.append(mask)
            taken.append(mask)
    return found


def _same_object(first: np.ndarray, second: np.ndarray) -> bool:
    shared = np.count_nonzero(first & second)
    smaller = min(np.count_nonzero(first), np.count_nonzero(second))
    return bool(shared > _SAME_OBJECT * smaller)
