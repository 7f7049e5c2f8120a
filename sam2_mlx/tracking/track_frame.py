"""One video frame, top to bottom: with a prompt, or from memory alone."""

from __future__ import annotations

from collections.abc import Sequence

import mlx.core as mx
import numpy as np

from sam2_mlx.model.image_encoder import ImageFeatures
from sam2_mlx.model.memory import MemoryTokens, ObjectMask
from sam2_mlx.model.sam import Sam
from sam2_mlx.ops.resize import resize_maps
from sam2_mlx.prompts import Prompt
from sam2_mlx.tracking.memory_bank import MemoryBank
from sam2_mlx.tracking.memory_schedule import MemoryPlan

# Earlier logits that are fed back are kept in the range the decoder saw in training.
_FEEDBACK_LIMIT = 32.0

# An ambiguous prompt (nothing, or one click) is answered by the best of several masks.
_MAX_AMBIGUOUS_POINTS = 1


def gather_memory(
    model: Sam, banks: Sequence[MemoryBank], plans: Sequence[MemoryPlan]
) -> MemoryTokens:
    """Read what each of several objects looks at as one batch.

    Args:
        model: the model.
        banks: the objects' memories.
        plans: a plan for each; all of one shape, though of different frames.
    """
    assert model.memory is not None
    read = [bank.read(plan) for bank, plan in zip(banks, plans, strict=True)]
    first = plans[0]
    spatial = [
        (_stack([tokens[i] for tokens, _ in read]), slot)
        for i, (_, slot) in enumerate(first.spatial)
    ]
    pointers = [
        (_stack([found[i] for _, found in read]), _distances(plans, i))
        for i in range(len(first.pointers))
    ]
    return model.memory.gather(spatial, pointers, first.pointer_span)


def _distances(plans: Sequence[MemoryPlan], index: int) -> float | list[float]:
    """Distance of one pointer: a number, or a list where the objects differ."""
    distances = [float(plan.pointers[index][1]) for plan in plans]
    return distances[0] if len(set(distances)) == 1 else distances


def _stack(arrays: list[mx.array]) -> mx.array:
    return arrays[0] if len(arrays) == 1 else mx.concatenate(arrays, axis=0)


def track_objects(
    model: Sam, features: ImageFeatures, memory: MemoryTokens
) -> tuple[ObjectMask, mx.array, mx.array]:
    """Segment objects on a frame nobody prompted, and encode what to remember.

    Args:
        model: the model.
        features: the frame's features, batch 1.
        memory: what each object looks at, batch B.

    Returns:
        Masks (B), memory tokens (B, N, D) made from the masks as predicted, and the logits
        (B, M, S/4, S/4) of all masks that were offered.
    """
    mask, offered = model.track_candidates(features, memory)
    return mask, model.remember(features, mask, binarise=False), offered


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
        previous = mx.clip(previous, -_FEEDBACK_LIMIT, _FEEDBACK_LIMIT)
    tokens = model.embed_points(coords, labels, 1)
    candidates = model.decode_masks(image, features.fine, tokens, previous)
    return model.choose(candidates, multimask=labels.size <= _MAX_AMBIGUOUS_POINTS)


def _model_mask(prompt: Prompt, size: int) -> mx.array:
    assert prompt.mask is not None
    mask = mx.array(prompt.mask)[None, None].astype(mx.float32)
    if prompt.mask.shape == (size, size):
        return mask
    return (resize_maps(mask, (size, size), "antialias") >= 0.5).astype(mx.float32)
