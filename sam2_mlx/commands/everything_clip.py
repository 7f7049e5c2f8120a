"""Everything in a clip: found on its first frame, and on later ones what is new, and followed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np

from sam2_mlx.media.errors import MediaError
from sam2_mlx.media.frame_source import FrameSource
from sam2_mlx.media.mask_writer import MaskRecord
from sam2_mlx.media.prefetch import Prefetch
from sam2_mlx.ops import rle

from .clip_masks import ShownFrame, Stretch
from .everything_options import EverythingOptions, find_everything
from .stop import StopSignals

if TYPE_CHECKING:
    from sam2_mlx.model.sam import Sam

DEFAULT_MAX_OBJECTS = 16
# Two masks are of one object if the smaller of them lies in the other by more than this share.
_SAME_OBJECT = 0.5
_ABSENT_LOGIT = -10.0


class EverythingClip:
    """Finds objects in a stretch of a clip and follows them, forward, all as one batch.

    Args:
        model: a model with a memory.
        source: the clip.
        stretch: which frames; the prompted one is the first.
        options: how objects are looked for.
        stop: asks to end after the frame at hand.
        max_objects: at most so many are followed; ids are 1 to this number in every record,
            and an object that is not found yet has an empty mask.
        every: new objects are looked for every so many frames; 0 for the first frame only.

    Attributes:
        problem: why the clip could not be read to its end, or None.
        progress: called after each frame that the model has worked on.
        num_objects: how many objects were found so far.

    Raises:
        ValueError: if `max_objects` or `every` is out of range.
    """

    def __init__(  # noqa: PLR0913 - what `ClipMasks` takes, and how many and how often
        self,
        model: Sam,
        source: FrameSource,
        stretch: Stretch,
        options: EverythingOptions,
        stop: StopSignals,
        *,
        max_objects: int = DEFAULT_MAX_OBJECTS,
        every: int = 0,
    ) -> None:
        if not 1 <= max_objects <= 255 or every < 0:
            raise ValueError(
                "between 1 and 255 objects can be followed, and new ones looked for every 0 or "
                f"more frames; got {max_objects} and {every}"
            )
        self._model = model
        self._source = source
        self._stretch = stretch
        self._options = options
        self._stop = stop
        self._max_objects = max_objects
        self._every = every
        self.problem: MediaError | None = None
        self.progress: Any = lambda: None
        self.num_objects = 0

    def __iter__(self) -> Iterator[ShownFrame]:
        """Frames with masks in their order; fewer if asked to stop, or on damage.

        Raises:
            ValueError: if there is nothing on the first frame and it is the only one searched.
        """
        from sam2_mlx.tracking.session import TrackingSession

        first, last = self._stretch.first, self._stretch.last
        order = range(first, last + 1)
        with closing(Prefetch(self._source, order)) as ahead:
            session = TrackingSession(self._model, memory="rolling", num_frames=len(order))
            try:
                for frame in order:
                    image = ahead.read(frame)
                    masks = session.step(image)
                    if frame == first or (self._every and (frame - first) % self._every == 0):
                        masks = self._add_new(session, image, masks)
                    yield ShownFrame(image, self._record(frame, ahead.name(frame), masks))
                    self.progress()
                    if self._stop.received:
                        return
            except MediaError as problem:
                self.problem = problem

    def _add_new(self, session: Any, image: np.ndarray, masks: Any) -> Any:
        """Prompt the session with what it does not follow yet; returns all masks."""
        room = self._max_objects - self.num_objects
        if not room:
            return masks
        known = [mask for mask in np.array(masks.logits[:, 0] > 0) if mask.any()]
        found = find_objects(self._model, image, self._options, room, known)
        if not found and not self.num_objects and not self._every:
            raise ValueError(
                "nothing was found on the first frame; lower --min-iou and --min-stability, or "
                "point at an object with --point X,Y"
            )
        for mask in found:
            self.num_objects += 1
            masks = session.prompt(self.num_objects, mask=mask)
        return masks

    def _record(self, frame: int, name: str, masks: Any) -> MaskRecord:
        height, width = self._source.height, self._source.width
        shapes = np.zeros((self._max_objects, height, width), bool)
        iou = np.zeros(self._max_objects, np.float32)
        presence = np.full(self._max_objects, _ABSENT_LOGIT, np.float32)
        count = len(masks.object_ids)
        if count:
            shapes[:count] = np.array(masks.logits[:, 0] > 0)
            iou[:count] = np.array(masks.iou)
            presence[:count] = np.array(masks.presence)
        return MaskRecord(frame, name, shapes, iou, presence)


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
