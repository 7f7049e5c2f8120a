"""One video frame, top to bottom: from memory alone, or with a prompt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import mlx.core as mx
import numpy as np

from sam2_mlx.model.image_encoder import ImageFeatures
from sam2_mlx.model.memory import FrameMemory, Memory, MemoryTokens, ObjectMask
from sam2_mlx.model.sam import Sam
from sam2_mlx.ops.resize import resize_maps
from sam2_mlx.prompts import Prompt
from sam2_mlx.tracking.memory_bank import FrameRecord, MemoryBank
from sam2_mlx.tracking.memory_policy import ObjectMemory
from sam2_mlx.tracking.memory_schedule import MemoryPlan

# Bounds what a frame takes on top of the objects' memory, however many objects there are.
MAX_BATCH = 16

FEEDBACK_LIMIT = 32.0
"""Earlier logits that are fed back are kept in the range the decoder saw in training."""

MAX_AMBIGUOUS_POINTS = 1
"""An ambiguous prompt (nothing, or one click) is answered by the best of several masks."""

Answers = dict[int, tuple[ObjectMask, mx.array]]
"""Of each object its mask as predicted, batch 1; logits (1, M, S/4, S/4) of all masks offered."""


def track_frame(
    model: Sam,
    features: ImageFeatures,
    frame: int,
    memories: Mapping[int, ObjectMemory],
    reverse: bool,
) -> Answers:
    """Segment objects on a frame nobody prompted, and remember them; starts the work only.

    Args:
        model: the model.
        features: the frame's features, batch 1.
        frame: index of the frame.
        memories: what is remembered of each object, by id; written.
        reverse: whether the video is followed backwards.

    Returns:
        The answers of all objects that have something to look at.
    """
    assert model.memory is not None
    answers: Answers = {}
    pending: list[mx.array] = []
    plans = {object_id: memory.plan(frame, reverse) for object_id, memory in memories.items()}
    for ids in _alike(plans):
        banks = [memories[object_id] for object_id in ids]
        past = gather_memory(model.memory, banks, [plans[object_id] for object_id in ids])
        masks, offered = model.track_candidates(features, past)
        tokens = model.remember(features, masks, binarise=False)
        for bank, *parts in zip(banks, _split(tokens), _split(masks.pointer), strict=True):
            bank.write(frame, FrameRecord(FrameMemory(*parts)), prompted=False)
            pending += parts
        pending += [*masks.arrays(), *([offered] if banks[0].watches else [])]
        answers.update({i: (masks[row], offered[row : row + 1]) for row, i in enumerate(ids)})
    # The one evaluation of the frame, whatever the number of objects.
    mx.async_eval(pending)
    return answers


def _alike(plans: Mapping[int, MemoryPlan]) -> Iterator[tuple[int, ...]]:
    """Objects whose plans have one shape, so many at a time; without those that see nothing."""
    groups: dict[object, list[int]] = {}
    for object_id, plan in plans.items():
        if plan.spatial:
            groups.setdefault(plan.shape, []).append(object_id)
    for group in groups.values():
        for start in range(0, len(group), MAX_BATCH):
            yield tuple(group[start : start + MAX_BATCH])


def gather_memory(
    memory: Memory, banks: Sequence[MemoryBank], plans: Sequence[MemoryPlan]
) -> MemoryTokens:
    """Read what each of several objects looks at as one batch.

    Args:
        memory: the model's memory.
        banks: the objects' memories.
        plans: a plan for each; all of one shape, though of different frames.
    """
    read = [bank.read(plan) for bank, plan in zip(banks, plans, strict=True)]
    tokens = [_joined(rows) for rows in zip(*(spatial for spatial, _ in read), strict=True)]
    pointers = [_joined(rows) for rows in zip(*(pointers for _, pointers in read), strict=True)]
    slots = [slot for _, slot in plans[0].spatial]
    distances = zip(*([float(d) for _, d in plan.pointers] for plan in plans), strict=True)
    return memory.gather(
        list(zip(tokens, slots, strict=True)),
        list(zip(pointers, distances, strict=True)),
        plans[0].pointer_span,
    )


def _joined(rows: Sequence[mx.array]) -> mx.array:
    return rows[0] if len(rows) == 1 else mx.concatenate(list(rows))


def _split(batch: mx.array) -> list[mx.array]:
    """A batch by object, batch 1 each; none of them keeps the others alive."""
    if len(batch) == 1:
        return [batch]
    return [mx.contiguous(batch[row : row + 1]) for row in range(len(batch))]


def remember_prompts(
    model: Sam, features: ImageFeatures, masks: Sequence[ObjectMask], binarise: bool
) -> list[FrameRecord]:
    """Encode the masks of prompted objects on one frame as one batch; does not wait for it.

    Args:
        model: does it.
        features: the frame's, batch 1.
        masks: as they were shown, batch 1 each.
        binarise: remember the masks as the user saw them.
    """
    batch = _split(model.remember(features, ObjectMask.joined(masks), binarise))
    mx.async_eval(batch)
    return [
        FrameRecord(FrameMemory(tokens, mask.pointer), mask)
        for tokens, mask in zip(batch, masks, strict=True)
    ]


def prompt_object(
    model: Sam,
    features: ImageFeatures,
    prompt: Prompt,
    memory: MemoryTokens | None,
    previous: mx.array | None,
) -> ObjectMask:
    """Segment one object on a frame with a prompt.

    Args:
        model: the model.
        features: the frame's features, batch 1.
        prompt: points or a mask.
        memory: what the object looks at, or None on a frame that is not being corrected.
        previous: (1, 1, S/4, S/4) logits that were shown for this frame, or None.
    """
    assert model.memory is not None
    size = model.config.image_size
    if prompt.mask is not None:
        return model.given_mask(features, _model_mask(prompt, size))
    if memory is None:
        image = model.memory.without_memory(features.coarse)
    else:
        image = model.memory.attend(features.coarse, memory)
    coords = mx.array(prompt.points.astype(np.float32) * size)
    labels = mx.array(prompt.labels)
    if previous is not None:
        previous = mx.clip(previous, -FEEDBACK_LIMIT, FEEDBACK_LIMIT)
    tokens = model.embed_points(coords, labels, 1)
    candidates = model.decode_masks(image, features.fine, tokens, previous)
    return model.choose(candidates, multimask=labels.size <= MAX_AMBIGUOUS_POINTS)


def _model_mask(prompt: Prompt, size: int) -> mx.array:
    assert prompt.mask is not None
    mask = mx.array(prompt.mask)[None, None].astype(mx.float32)
    if prompt.mask.shape == (size, size):
        return mask
    return (resize_maps(mask, (size, size), "antialias") >= 0.5).astype(mx.float32)
