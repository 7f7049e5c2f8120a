"""Many objects on one frame: those that look at equally much are one batch."""

from __future__ import annotations

from dataclasses import dataclass, field

import mlx.core as mx
import numpy as np

from sam2_mlx.model.image_encoder import ImageFeatures
from sam2_mlx.model.memory import FrameMemory, ObjectMask
from sam2_mlx.model.sam import Sam
from sam2_mlx.tracking.frame_masks import absent_mask
from sam2_mlx.tracking.memory_bank import FrameRecord
from sam2_mlx.tracking.memory_policy import MemoryPolicy
from sam2_mlx.tracking.memory_schedule import MemoryPlan
from sam2_mlx.tracking.track_frame import gather_memory, track_objects
from sam2_mlx.tracking.tracked_object import TrackedObject

# Bounds what a frame takes on top of the objects' memory, however many objects there are.
MAX_BATCH = 16


@dataclass
class SubmittedFrame:
    """A frame that the device is working on.

    Attributes:
        frame: index of the frame.
        masks: mask by object id, in the order of the objects; not evaluated yet.
        tracked: ids of the objects that were tracked; the others were prompted here or have
            nothing to be followed by.
        offered: logits (1, M, S/4, S/4) of all masks offered for each tracked object.
    """

    frame: int
    masks: dict[int, ObjectMask]
    tracked: list[int] = field(default_factory=list)
    offered: dict[int, mx.array] = field(default_factory=dict)


class ObjectTracker:
    """Tracks all objects of a video on one frame, and remembers what it finds.

    Args:
        model: the model.
        policy: what each frame looks at.
    """

    def __init__(self, model: Sam, policy: MemoryPolicy) -> None:
        self._model = model
        self._policy = policy

    def submit(
        self, frame: int, features: ImageFeatures, objects: dict[int, TrackedObject], reverse: bool
    ) -> SubmittedFrame:
        """Start the work on a frame; does not wait for it.

        Args:
            frame: index of the frame.
            features: its features.
            objects: what to follow; their banks are written.
            reverse: whether the video is followed backwards.
        """
        found: dict[int, ObjectMask] = {}
        groups: dict[object, list[tuple[int, MemoryPlan]]] = {}
        for object_id, tracked in objects.items():
            record = tracked.bank.prompted.get(frame)
            if record is not None and record.mask is not None:
                found[object_id] = record.mask
                continue
            plan = self._policy.plan(tracked.bank, frame, reverse)
            if plan.spatial:
                groups.setdefault(plan.shape, []).append((object_id, plan))
            else:
                # Its prompts were cleared before anything was remembered.
                found[object_id] = absent_mask(self._model.config)
        result = SubmittedFrame(frame, found)
        pending: list[mx.array] = []
        for group in groups.values():
            for i in range(0, len(group), MAX_BATCH):
                pending += self._track(result, features, objects, group[i : i + MAX_BATCH])
        # The one evaluation of the frame, whatever the number of objects.
        if pending:
            mx.async_eval(pending)
        result.masks = {object_id: found[object_id] for object_id in objects}
        return result

    def _track(
        self,
        result: SubmittedFrame,
        features: ImageFeatures,
        objects: dict[int, TrackedObject],
        group: list[tuple[int, MemoryPlan]],
    ) -> list[mx.array]:
        """Build the work on one batch; returns what is to be evaluated."""
        banks = [objects[object_id].bank for object_id, _ in group]
        memory = gather_memory(self._model, banks, [plan for _, plan in group])
        batch, tokens, offered = track_objects(self._model, features, memory)
        pending: list[mx.array] = []
        for i, (object_id, _) in enumerate(group):
            mask = batch[i]
            record = FrameRecord(FrameMemory(tokens[i : i + 1], mask.pointer), mask)
            banks[i].write(result.frame, record, prompted=False)
            pending += record.arrays()
            result.masks[object_id] = mask
            result.tracked.append(object_id)
            if self._policy.watches:
                result.offered[object_id] = offered[i : i + 1]
                pending.append(result.offered[object_id])
        return pending

    def watch(self, done: SubmittedFrame, objects: dict[int, TrackedObject]) -> None:
        """Let the policy see what was found, where it wants to; waits for the masks."""
        if not self._policy.watches:
            return
        for object_id in done.tracked:
            if object_id in objects:
                mask = done.masks[object_id]
                logits = mx.concatenate([mask.logits, done.offered[object_id]], axis=1)
                self._policy.watch(
                    objects[object_id].bank,
                    done.frame,
                    float(np.array(mask.iou).item()),
                    np.array(logits[0] > 0),
                )


def remember_prompts(
    model: Sam,
    features: ImageFeatures,
    masks: list[ObjectMask],
    binarise: bool,
) -> list[FrameRecord]:
    """Encode the masks of prompted objects on one frame as one batch; does not wait for it.

    Args:
        model: the model.
        features: the frame's features.
        masks: masks as they were shown, batch 1 each.
        binarise: remember the masks as the user saw them.
    """
    batch = ObjectMask(
        mx.concatenate([mask.logits for mask in masks]),
        mx.concatenate([mask.iou for mask in masks]),
        mx.concatenate([mask.pointer for mask in masks]),
        mx.concatenate([mask.presence for mask in masks]),
    )
    tokens = model.remember(features, batch, binarise)
    records = [
        FrameRecord(FrameMemory(tokens[i : i + 1], mask.pointer), mask)
        for i, mask in enumerate(masks)
    ]
    mx.async_eval([record.memory.tokens for record in records])
    return records
