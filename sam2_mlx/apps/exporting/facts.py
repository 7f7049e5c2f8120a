"""What a bundle says of itself."""

from __future__ import annotations

from dataclasses import dataclass

import mlx.core as mx

Arguments = dict[str, mx.array]


@dataclass(frozen=True)
class Facts:
    """What `bundle.json` says; an app reads it before it opens the functions.

    Attributes:
        format: of the bundle.
        mlx: version of MLX that wrote it; major and minor must be those of the reader.
        device: cpu or gpu; the functions run on no other.
        model: name of the model.
        dtype: of weights and activations.
        storage_dtype: of memory tokens.
        image_size: side of the input in pixels.
        mask_size: side of the logits.
        grid: side of the coarse features.
        hidden_dim: channels of the coarse features and of pointers.
        memory_dim: channels of a memory token.
        memory_tokens: tokens that a remembered frame leaves.
        memories: spatial memories that a frame looks at beside further prompted ones.
        max_pointers: frames whose pointers are looked at.
        tiers: (spatial memories, pointers) that there is room for, ascending.
        points: points of a prompt at most.
        tolerance: of the check, relative to the largest value.
        sha256: of the other files.
    """

    format: int
    mlx: str
    device: str
    model: str
    dtype: str
    storage_dtype: str
    image_size: int
    mask_size: int
    grid: int
    hidden_dim: int
    memory_dim: int
    memory_tokens: int
    memories: int
    max_pointers: int
    tiers: list[list[int]]
    points: int
    tolerance: float
    sha256: dict[str, str]


def memory_example(facts: Facts, coarse: mx.array, tier: tuple[int, int]) -> Arguments:
    """Arguments of `Functions.attend` with nothing in them.

    Args:
        facts: of the bundle.
        coarse: features of the frame.
        tier: spatial memories and pointers that there is room for.
    """
    spatial, pointers = tier
    tokens = (1, spatial, facts.memory_tokens, facts.memory_dim)
    return {
        "coarse": coarse,
        "spatial": mx.zeros(tokens, getattr(mx, facts.storage_dtype)),
        "slots": mx.zeros((spatial,), mx.int32),
        "pointers": mx.zeros((1, pointers, facts.hidden_dim), coarse.dtype),
        "distances": mx.zeros((1, pointers)),
        "used": mx.array([spatial, pointers], mx.int32),
    }
