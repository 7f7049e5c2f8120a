"""A video being segmented: frames and prompts in, masks out. All of its state is here."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import mlx.core as mx
import numpy as np

from sam2_mlx.media.frame_source import Frames
from sam2_mlx.model.memory import ObjectMask
from sam2_mlx.model.sam import Sam
from sam2_mlx.ops.device import at_home
from sam2_mlx.prompts import Prompt, whole_number
from sam2_mlx.tracking.frame_masks import joined_masks, without_holes
from sam2_mlx.tracking.frames import CurrentFrame, Resize
from sam2_mlx.tracking.options import TrackingOptions
from sam2_mlx.tracking.policies import MemoryKind, policy_named
from sam2_mlx.tracking.results import FrameMasks
from sam2_mlx.tracking.track_frame import (
    Answers,
    gather_memory,
    prompt_object,
    remember_prompts,
    track_frame,
)
from sam2_mlx.tracking.tracked_object import Draft, SessionState, TrackedObject
from sam2_mlx.transforms import check_picture, resize_frame


class TrackingSession:
    """Follows objects through a video file or a stream.

    A stream has no source: hand frames to `step`, and prompt objects on the frame shown last.
    A file has one: prompt objects on any frame, then `propagate`.

    Args:
        model: a model with a memory.
        source: frames by number, or None for a stream.
        memory: name of the memory policy; docs/memory.md compares them. "full" keeps every
            frame; the others are bounded for any length and follow one direction.
        num_frames: length of a stream where it is known; a source knows its own.
        options: how to follow.
        resize: makes a square of a frame; `transforms.resize_image` is how the transformers
            library does it.

    Attributes:
        model: the model.
        source: the source, or None.
        options: how objects are followed.
        memory: the name of the memory policy.
        num_frames: length of the video where known.
        frame: index of the frame shown last, or None.
        held: ids of objects that keep their masks while the others are followed.

    Raises:
        ValueError: if the model cannot follow objects, or an option is out of range.
    """

    def __init__(
        self,
        model: Sam,
        source: Frames | None = None,
        *,
        memory: MemoryKind = "rolling",
        num_frames: int | None = None,
        options: TrackingOptions | None = None,
        resize: Resize = resize_frame,
    ) -> None:
        self.model = model
        self.source = source
        self.memory = memory
        self.num_frames = source.num_frames if source else num_frames
        self.frame: int | None = None
        self.held: frozenset[int] = frozenset()
        self._policy = policy_named(memory)
        self._reverse: bool | None = None
        self._objects: dict[int, TrackedObject] = {}
        self._current = CurrentFrame(model, source, resize)
        self.options = options or TrackingOptions()

    def __deepcopy__(self, memo: dict[int, Any]) -> TrackingSession:
        """A session that goes its own way from here; both share the model's weights."""
        memo[id(self.model)] = self.model
        memo[id(self)] = twin = object.__new__(type(self))
        twin.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return twin

    @property
    def options(self) -> TrackingOptions:
        """How objects are followed from here on."""
        return self._options

    @options.setter
    def options(self, options: TrackingOptions) -> None:
        self._schedule = options.schedule(self.model.config.require_memory(), self.num_frames)
        for tracked in self._objects.values():
            tracked.bank.schedule = self._schedule
        self._options = options

    @property
    def object_ids(self) -> tuple[int, ...]:
        """Ids of the objects, in the order they were added."""
        return tuple(self._objects)

    @property
    def frame_size(self) -> tuple[int, int]:
        """(height, width) of the frame shown last, or of the source's frames, in pixels."""
        return self._current.size(self.frame)

    @property
    def image(self) -> np.ndarray | None:
        """The frame shown last, uint8 (H, W, 3) RGB, or None before the first one."""
        return None if self.frame is None else self._current.image(self.frame)

    @property
    def nbytes(self) -> int:
        """Bytes held in memory banks."""
        return sum(tracked.bank.nbytes for tracked in self._objects.values())

    @at_home
    def step(self, image: np.ndarray) -> FrameMasks:
        """Show the next frame of a stream, uint8 (H, W, 3) RGB.

        Frames may change their size; masks have the size of their own frame.

        Returns:
            The masks of all objects on it; none before the first prompt.

        Raises:
            RuntimeError: if the session reads from a source.
            TypeError, ValueError: if the image is not a picture; the session stays usable.
        """
        if self.source is not None:
            raise RuntimeError("this session reads its own frames; use propagate()")
        check_picture(image)
        # Drafts are remembered with the features of the frame they were made on.
        self.commit()
        frame = 0 if self.frame is None else self.frame + 1
        self._current.show(frame, image)
        self.frame = frame
        return self._show(frame, self._track(frame, reverse=False))

    @at_home
    def propagate(
        self, start: int | None = None, length: int | None = None, reverse: bool = False
    ) -> Iterator[FrameMasks]:
        """Follow all objects through the source.

        While a frame's masks are looked at, the next frame is being encoded already.

        Args:
            start: first frame; the earliest prompted one by default.
            length: how many frames to follow after the first; to the end by default.
            reverse: go backwards from the first frame.

        Yields:
            Masks of each frame, the first included.

        Raises:
            RuntimeError: if nothing was prompted, the session is a stream, or a rolling memory
                is asked to turn round.
        """
        if self.source is None or self.num_frames is None:
            raise RuntimeError("a stream is followed with step(); only a source can be propagated")
        self.commit()
        self.require_prompts()
        if start is None:
            start = min(t for tracked in self._objects.values() for t in tracked.bank.prompted)
        start = self._current.check(start)
        count = self.num_frames if length is None else whole_number("length", length)
        if count < 0:
            raise ValueError(f"length must be the number of frames to follow; got {count}")
        if reverse:
            # As in the reference, there is nothing behind the first frame.
            frames = range(start, max(start - count, 0) - 1, -1) if start > 0 else range(0)
        else:
            frames = range(start, min(start + count, self.num_frames - 1) + 1)
        with self._current.reading_ahead(frames, self.options.read_ahead):
            for frame in frames:
                self.frame = frame
                answers = self._track(frame, reverse)
                problem = None
                if frame != frames[-1]:
                    try:
                        self._current.features(frame + frames.step)
                    except (OSError, ValueError, IndexError) as caught:
                        problem = caught  # this frame is still good
                yield self._show(frame, answers)
                if problem is not None:
                    raise problem

    def prompt(
        self,
        object_id: int,
        *,
        points: Any = None,
        labels: Any = None,
        box: Any = None,
        mask: Any = None,
        frame: int | None = None,
    ) -> FrameMasks:
        """Point at an object: a new one, or a correction of one that is followed.

        Args:
            object_id: any integer.
            points: (P, 2) as (x, y) in pixels of the frame.
            labels: (P,), 1 on the object and 0 not on it.
            box: (x0, y0, x1, y1) in pixels.
            mask: (H, W) of any size; see `Prompt.from_mask`.
            frame: which frame; the last one shown by default.

        Returns:
            The masks of all objects on that frame.

        Raises:
            ValueError: on malformed prompts, or a mask together with points.
            TypeError: if the id is not an integer.
            RuntimeError: if there is no frame yet.
        """
        frame = (self.frame or 0) if frame is None else frame
        if mask is not None:
            if points is not None or box is not None:
                raise ValueError("give either a mask or points and a box, not both")
            return self.add(object_id, frame, Prompt.from_mask(mask))
        self._current.check(frame)
        size = self._current.size(frame)
        return self.add(object_id, frame, Prompt.from_points(points, labels, box, size))

    @at_home
    def add(
        self, object_id: int, frame: int, prompt: Prompt, *, keep_points: bool = False
    ) -> FrameMasks:
        """Add a checked prompt; returns the masks of all objects on that frame.

        Args:
            object_id: any integer.
            frame: index of the frame.
            prompt: what was pointed at.
            keep_points: add to the points given for this frame before, instead of replacing.

        Source: sam2/sam2_video_predictor.py, add_new_points_or_box and add_new_mask.
        """
        if len(prompt.labels) != 1:
            raise ValueError(f"prompt one object at a time; got {len(prompt.labels)} together")
        object_id, frame = whole_number("object_id", object_id), self._current.check(frame)
        features = self._current.features(frame)
        tracked = self._objects.get(object_id) or self.new_object()
        if keep_points and frame in tracked.prompts and tracked.prompts[frame].mask is None:
            prompt = tracked.prompts[frame].extended(prompt)
        # The first prompt on a frame that tracking has not passed needs no memory. Neither has
        # an object whose prompts were all cleared any to look at.
        initial = frame not in tracked.tracked or not tracked.bank.prompted
        memory = None
        if not initial:
            assert self.model.memory is not None
            plan = tracked.bank.plan(frame, reverse=tracked.tracked[frame])
            memory = gather_memory(self.model.memory, [tracked.bank], [plan])
        last = tracked.mask_on(frame)
        previous = last.logits if last is not None and prompt.mask is None else None
        answer = prompt_object(self.model, features, prompt, memory, previous)
        answer = without_holes(answer, [0], self.options.fill_hole_area)
        mx.eval(answer.arrays())
        tracked.prompts[frame] = prompt
        prompted = initial or self.options.corrections_become_prompts
        tracked.drafts[frame] = Draft(answer, prompted or frame in tracked.bank.prompted)
        self._objects[object_id] = tracked
        return self.masks_on(frame)

    def clear(self, object_id: int, frame: int) -> None:
        """Forget an object's prompts on a frame; unknown ids and frames are ignored."""
        if object_id in self._objects:
            self._objects[object_id].clear(frame)

    def remove(self, object_id: int) -> bool:
        """Forget an object; the others are not touched. Returns whether it existed."""
        return self._objects.pop(object_id, None) is not None

    def prompted_frames(self, object_id: int) -> list[int]:
        """Frames on which an object has prompts, in the order they were given.

        A stream only knows those of the frame shown last.
        """
        return list(self._objects[object_id].prompts)

    def reset(self) -> None:
        """Forget all objects; the frames stay where they are."""
        self._objects.clear()
        self._reverse = None

    def state(self) -> SessionState:
        """Everything the session knows, prompts committed; the objects are its own, not copies."""
        self.commit()
        return SessionState(self.frame, self._reverse, self._objects)

    def snapshot(self) -> SessionState:
        """What the session knows now, drafts too, whatever is done later; for `restore`."""
        return SessionState(self.frame, self._reverse, self._objects).copy()

    def restore(self, state: SessionState) -> None:
        """Take over the state of another session of the same model."""
        self.frame, self._reverse, self._objects = state.frame, state.reverse, state.objects

    def new_object(self) -> TrackedObject:
        """An object of which nothing is known yet; the session does not follow it."""
        return TrackedObject(self._policy(self._schedule, stream=self.source is None))

    @at_home
    def masks_on(self, frame: int) -> FrameMasks:
        """The masks last shown on a frame; an object not seen there is absent."""
        frame = self._current.check(frame)
        masks = [tracked.mask_on(frame) for tracked in self._objects.values()]
        return self._frame_masks(frame, joined_masks(masks, self.model.config))

    def _frame_masks(self, frame: int, masks: ObjectMask) -> FrameMasks:
        """What callers receive of a frame; does not wait for it."""
        iou, presence = (x[:, 0].astype(mx.float32) for x in (masks.iou, masks.presence))
        mx.async_eval(masks.logits, iou, presence)
        size, apart = self._current.size(frame), self.options.non_overlap_masks
        return FrameMasks(frame, self.object_ids, masks.logits, iou, presence, size, apart)

    def _track(self, frame: int, reverse: bool) -> Answers:
        """Start the work on a frame; objects that were prompted there are left alone."""
        if not self._objects:
            return {}
        if self._policy.one_way and self._reverse not in (None, reverse):
            raise RuntimeError(
                "a rolling memory follows one direction only; "
                "use memory='full' or a second session for the other"
            )
        self._reverse = reverse
        followed = {i: t for i, t in self._objects.items() if i not in self.held}
        banks = {i: t.bank for i, t in followed.items() if not t.bank.prompted_mask(frame)}
        answers = track_frame(self.model, self._current.features(frame), frame, banks, reverse)
        for object_id, tracked in followed.items():
            tracked.tracked[frame] = reverse
            if object_id not in answers:
                self._clear_around(tracked, frame)
            if self._policy.one_way:
                tracked.bank.tidy(frame, reverse)
                tracked.passed(frame, stream=self.source is None)
        return answers

    def _show(self, frame: int, answers: Answers) -> FrameMasks:
        """Wait for a frame where that is needed, note its masks, and show them."""
        if self._policy.watches:
            for object_id, (mask, offered) in answers.items():
                self._objects[object_id].bank.watch(frame, mask, offered)
        objects = self._objects.items()
        chosen = (answers[i][0] if i in answers else t.mask_on(frame) for i, t in objects)
        masks = joined_masks(chosen, self.model.config)
        rows = {row: t for row, (i, t) in enumerate(objects) if i in answers}
        masks = without_holes(masks, rows, self.options.fill_hole_area)
        for row, tracked in rows.items():
            tracked.bank.set_mask(frame, masks[row])
        return self._frame_masks(frame, masks)

    @at_home
    def commit(self) -> None:
        """Remember all prompts given so far, as their masks were shown."""
        for frame in sorted({t for tracked in self._objects.values() for t in tracked.drafts}):
            drafts = [
                (tracked, tracked.drafts.pop(frame))
                for tracked in self._objects.values()
                if frame in tracked.drafts
            ]
            records = remember_prompts(
                self.model,
                self._current.features(frame),
                [draft.mask for _, draft in drafts],
                self.options.binarise_prompted_masks,
            )
            for (tracked, draft), record in zip(drafts, records, strict=True):
                tracked.bank.write(frame, record, prompted=draft.prompted)
                if not draft.prompted:
                    tracked.bank.corrected(frame)
                self._clear_around(tracked, frame)

    def _clear_around(self, tracked: TrackedObject, frame: int) -> None:
        if self.options.clear_memory_around_prompts:
            tracked.bank.forget_around(frame)

    def require_prompts(self) -> None:
        """Check that every object has something to be followed by.

        Raises:
            RuntimeError: if there is no object, or one whose prompts were all cleared.
        """
        if not self._objects:
            raise RuntimeError("nothing to follow: prompt an object first")
        for object_id, tracked in self._objects.items():
            if not tracked.bank.prompted and object_id not in self.held:
                raise RuntimeError(
                    f"object {object_id} has no prompt left; prompt it again or remove it"
                )
