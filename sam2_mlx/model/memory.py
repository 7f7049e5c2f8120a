"""Everything the network does with the past: gather, attend, encode, point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from sam2_mlx.config import ModelConfig
from sam2_mlx.model.layers import MLP, Conv2d, Linear
from sam2_mlx.model.mask_decoder import MaskCandidates
from sam2_mlx.model.memory_attention import MemoryAttention
from sam2_mlx.model.memory_encoder import MemoryEncoder
from sam2_mlx.model.perceiver import Perceiver
from sam2_mlx.ops.derived import constant
from sam2_mlx.ops.positions import grid_encoding, time_encoding
from sam2_mlx.ops.rope import MemoryLayout
from sam2_mlx.ops.upsample import upsample_for_memory

ABSENT_LOGIT = -1024.0
"""Mask logit everywhere of an object that is not in the picture."""


@dataclass(frozen=True)
class ObjectMask:
    """The chosen mask of each object on one frame.

    Attributes:
        logits: float32 (B, 1, S/4, S/4); -1024 everywhere where the object is absent.
        iou: (B, 1) predicted IoU in [0, 1].
        pointer: (B, C) object pointer.
        presence: (B, 1) logit; above zero the object is in the picture.
    """

    logits: mx.array
    iou: mx.array
    pointer: mx.array
    presence: mx.array

    @classmethod
    def joined(cls, masks: Sequence[ObjectMask]) -> ObjectMask:
        """Several batches as one."""
        if len(masks) == 1:
            return masks[0]
        parts = zip(*(mask.arrays() for mask in masks), strict=True)
        return cls(*(mx.concatenate(list(part)) for part in parts))

    def __getitem__(self, rows: int | mx.array) -> ObjectMask:
        """One object of the batch, with batch size 1, or several in the order asked for."""
        pick = slice(rows, rows + 1) if isinstance(rows, int) else rows
        return ObjectMask(*(array[pick] for array in self.arrays()))

    def arrays(self) -> list[mx.array]:
        """Logits, iou, pointer, presence."""
        return [self.logits, self.iou, self.pointer, self.presence]


@dataclass(frozen=True)
class FrameMemory:
    """What is kept of one object on one frame.

    Attributes:
        tokens: (1, N, D) memory tokens, or None once only the pointer is needed.
        pointer: (1, C) object pointer.
    """

    tokens: mx.array | None
    pointer: mx.array


@dataclass(frozen=True)
class MemoryTokens:
    """One token sequence for memory attention.

    Attributes:
        tokens: (B, K, D).
        positions: (1, K, D), or (B, K, D) where the objects' distances in time differ.
        layout: which tokens are rotated.
    """

    tokens: mx.array
    positions: mx.array
    layout: MemoryLayout


@constant
def frame_places(config: ModelConfig) -> mx.array:
    """float32 (tokens, D): where in the picture each token of a remembered frame is."""
    assert config.memory is not None
    grid = grid_encoding(config.memory_side, config.memory.dim)
    return mx.pad(grid, [(config.memory_tokens - len(grid), 0), (0, 0)])


def memory_layout(config: ModelConfig, frames: int, tail: int) -> MemoryLayout:
    """How a sequence of so many remembered frames and further tokens is composed."""
    side = config.memory_side
    return MemoryLayout(frames, side, config.memory_tokens - side**2, tail)


class Memory(nn.Module):
    """The memory of a video model.

    Parameters with plain names, and their names in the reference: `time_embedding`
    (maskmem_tpos_enc), `no_memory_embedding` (no_mem_embed), `absent_pointer` (no_obj_ptr),
    `absent_embedding` (no_obj_embed_spatial), `pointer_projection` (obj_ptr_proj),
    `pointer_time_projection` (obj_ptr_tpos_proj).

    Args:
        config: the model's dimensions; `config.memory` must not be None.

    Source: sam2/modeling/sam2_base.py, SAM2Base.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        assert config.memory is not None
        self._config, memory, dims = config, config.memory, config.hidden_dim
        self.attention = MemoryAttention(dims, memory)
        self.encoder = MemoryEncoder(dims, memory.dim, memory.fuser_layers)
        self.mask_downsample = Conv2d(1, 1, kernel_size=4, stride=4)
        self.pointer_projection = MLP((dims, dims, dims, dims))
        self.time_embedding = mx.zeros((memory.num_frames, memory.dim))
        self.no_memory_embedding = mx.zeros((dims,))
        self.absent_pointer = mx.zeros((dims,))
        if memory.perceiver is not None:
            self.perceiver = Perceiver(memory.dim, memory.perceiver)
        if memory.pointer_time:
            self.pointer_time_projection = Linear(dims, memory.dim)
        if memory.absent_embedding:
            self.absent_embedding = mx.zeros((memory.dim,))

    @property
    def _dtype(self) -> mx.Dtype:
        return self.no_memory_embedding.dtype

    @property
    def storage_dtype(self) -> mx.Dtype:
        """What memory tokens are kept in: bfloat16 as in the reference, float16 for float16."""
        return mx.float16 if self._dtype == mx.float16 else mx.bfloat16

    def without_memory(self, coarse: mx.array) -> mx.array:
        """Mark features (B, h, w, C) as those of a frame without a past."""
        return coarse + self.no_memory_embedding

    def gather(
        self,
        spatial: Sequence[tuple[mx.array, int]],
        pointers: Sequence[tuple[mx.array, float | Sequence[float]]],
        pointer_span: int,
    ) -> MemoryTokens:
        """Join memories and pointers into one sequence.

        Args:
            spatial: per remembered frame, tokens (B, N, D) and the index of its time embedding.
            pointers: per pointer, (B, C) and its signed distance in frames: one number, or one
                for each of the batch.
            pointer_span: distance that counts as one in the pointers' time encoding.

        Returns:
            Tokens, positions and layout: frames first, pointers as the tail.

        Source: SAM2Base._prepare_memory_conditioned_features.
        """
        config = self._config
        assert config.memory is not None
        dim, dtype = config.memory.dim, self._dtype
        place = frame_places(config).astype(dtype)
        times = self.time_embedding[mx.array([slot for _, slot in spatial])]
        tokens = [mx.concatenate([frame for frame, _ in spatial], axis=1).astype(dtype)]
        positions = [(times[:, None] + place).reshape(1, -1, dim)]
        tail = 0
        if pointers:
            batch, per_pointer = pointers[0][0].shape[0], config.hidden_dim // dim
            joined = mx.concatenate([pointer for pointer, _ in pointers], axis=1).astype(dtype)
            tail = len(pointers) * per_pointer
            tokens.append(joined.reshape(batch, tail, dim))
            rows_of = [np.atleast_1d(np.asarray(d, np.float64)) for _, d in pointers]
            distances = np.stack(np.broadcast_arrays(*rows_of), axis=1)
            if (distances == distances[0]).all():
                distances = distances[:1]
            positions.append(self._pointer_positions(distances / pointer_span))
            # Where distances differ between objects, so do the positions of the whole sequence.
            rows = len(distances)
            positions = [mx.broadcast_to(p, (rows, *p.shape[1:])) for p in positions]
        return MemoryTokens(
            mx.concatenate(tokens, axis=1),
            mx.concatenate(positions, axis=1),
            memory_layout(config, len(spatial), tail),
        )

    def _pointer_positions(self, distances: np.ndarray) -> mx.array:
        """(R, P) distances to (R, P * tokens of a pointer, D)."""
        dims, dim = self._config.hidden_dim, self.time_embedding.shape[1]
        rows, count = distances.shape
        per_pointer = dims // dim
        if "pointer_time_projection" not in self:
            return mx.zeros((rows, count * per_pointer, dim), self._dtype)
        encoded = time_encoding(distances.reshape(-1), dims).astype(self._dtype)
        projected = self.pointer_time_projection(encoded).reshape(rows, count, 1, dim)
        every = mx.broadcast_to(projected, (rows, count, per_pointer, dim))
        return every.reshape(rows, count * per_pointer, dim)

    def attend(self, coarse: mx.array, memory: MemoryTokens) -> mx.array:
        """Condition a frame on its memory.

        Args:
            coarse: (B or 1, h, w, C) image embedding.
            memory: what to look at, batch B.

        Returns:
            (B, h, w, C).
        """
        _, height, width, dims = coarse.shape
        places = grid_encoding(height, dims).astype(coarse.dtype)
        x = coarse.reshape(-1, dims)
        grid = (height, width)
        x = self.attention(x, places, memory.tokens, memory.positions, memory.layout, grid)
        return x.reshape(-1, height, width, dims)

    def with_pointer(self, candidates: MaskCandidates) -> ObjectMask:
        """Turn chosen candidates (M = 1) into object masks.

        Source: SAM2Base._forward_sam_heads.
        """
        present = candidates.presence > 0
        logits = candidates.logits.astype(mx.float32)
        logits = mx.where(present[..., None, None], logits, ABSENT_LOGIT)
        pointer = self.pointer_projection(candidates.tokens[:, 0])
        pointer = mx.where(present, pointer, self.absent_pointer)
        return ObjectMask(logits, candidates.iou, pointer, candidates.presence)

    def encode(
        self, coarse: mx.array, logits: mx.array, presence: mx.array, binarise: bool
    ) -> mx.array:
        """Encode masks into memory tokens.

        Args:
            coarse: (B or 1, h, w, C) image embedding without memory.
            logits: (B, 1, S/4, S/4) mask logits.
            presence: (B, 1) presence logits.
            binarise: use the mask as the user saw it (prompted frames) instead of probabilities.

        Returns:
            (B, `config.memory_tokens`, D) in `storage_dtype`.

        Source: SAM2Base._encode_new_memory.
        """
        assert self._config.memory is not None
        size, batch = self._config.image_size, logits.shape[0]
        mask = upsample_for_memory(logits, (size, size), binarise, self._dtype)
        tokens = self.encoder(coarse, mask.reshape(batch, size, size, 1))
        if "perceiver" in self:
            tokens = self.perceiver(tokens)
        tokens = tokens.reshape(batch, -1, self._config.memory.dim)
        if "absent_embedding" in self:
            absent = (presence <= 0)[..., None]
            tokens = mx.where(absent, tokens + self.absent_embedding, tokens)
        return tokens.astype(self.storage_dtype)
