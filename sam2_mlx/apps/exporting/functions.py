"""The functions of a bundle: the network in parts, arrays in and arrays out, fixed shapes.

A memory of any length is padded to one of a few sizes, and what is padding is hidden by a bias on
its scores. The rest is the model's own code.
"""

from __future__ import annotations

from collections.abc import Callable

import mlx.core as mx

from sam2_mlx.model.image_encoder import ImageFeatures
from sam2_mlx.model.layers import add_norm
from sam2_mlx.model.memory import ObjectMask, frame_places, memory_layout
from sam2_mlx.model.memory_attention import MemoryAttentionLayer
from sam2_mlx.model.sam import Sam
from sam2_mlx.ops.positions import grid_encoding, time_frequencies
from sam2_mlx.ops.rope import MemoryLayout, axial_rope
from sam2_mlx.tracking.track_frame import FEEDBACK_LIMIT, MAX_AMBIGUOUS_POINTS
from sam2_mlx.transforms import MEAN, STD

Arrays = tuple[mx.array, ...]

# Added to the score of a key that is padding; far below any score, and finite in float16.
_HIDDEN = -6e4
# Scores held at once.
_SCORES = 2**24


class Functions:
    """The parts of a model that follows objects."""

    def __init__(self, model: Sam) -> None:
        assert model.memory is not None and model.config.memory is not None
        self._model, self._memory = model, model.memory
        self._dim = model.config.memory.dim
        self._theta = model.config.memory.rope_theta

    def __call__(self, **arrays: mx.array) -> Arrays:
        """The function that has an argument of one of these names and no other function has."""
        functions: dict[str, Callable[..., Arrays]] = {
            "image": self.encode,
            "spatial": self.attend,
            "conditioned": self.decode,
            "mask": self.given,
            "shown": self.remember_shown,
            "predicted": self.remember_predicted,
        }
        (name,) = functions.keys() & arrays.keys()
        return functions[name](**arrays)

    def encode(self, image: mx.array) -> Arrays:
        """Encode a picture.

        Args:
            image: (1, S, S, 3) RGB: a frame as uint8, or a picture as float32 in [0, 1].

        Returns:
            coarse (1, h, w, C); fine (1, 4h, 4w, C/8); middle (1, 2h, 2w, C/4); and coarse as that
            of a frame without a past.
        """
        pixels = image.astype(mx.float32)
        if image.dtype == mx.uint8:
            pixels = pixels / 255.0
        pixels = (pixels - mx.array(MEAN)) / mx.array(STD)
        features = self._model.encode_image(pixels)
        bare = self._memory.without_memory(features.coarse)
        return (*features.arrays(), bare)

    def attend(
        self,
        coarse: mx.array,
        spatial: mx.array,
        slots: mx.array,
        pointers: mx.array,
        distances: mx.array,
        used: mx.array,
    ) -> Arrays:
        """Condition a frame on what is remembered.

        Args:
            coarse: (1, h, w, C).
            spatial: (1, F, N, D) memory tokens, padded at the end.
            slots: int32 (F,) index of each one's time embedding.
            pointers: (1, P, C), padded at the end.
            distances: float32 (1, P), in units of the longest.
            used: int32 (2,): how many of F and of P count.

        Returns:
            The conditioned embedding (1, h, w, C).
        """
        count, each = spatial.shape[1:3]
        dtype = coarse.dtype
        tokens, places = self._memory_tokens(spatial, slots, pointers, distances, dtype)
        layout = memory_layout(self._model.config, count, tokens.shape[1] - count * each)
        keys = mx.arange(layout.length)
        limits = mx.where(
            keys < count * each, used[0] * each, count * each + used[1] * self._per_pointer
        )
        bias = mx.where(keys < limits, 0.0, _HIDDEN).astype(dtype)
        rows = coarse.reshape(-1, coarse.shape[-1])
        side = coarse.shape[1]
        update = 0.1 * grid_encoding(side, rows.shape[1]).astype(dtype)
        placed = (tokens + places)[0]
        attention = self._memory.attention
        for layer in attention.layers:
            rows, update = layer.see_itself(rows, update, (side, side))
            attended = (tokens[0], placed)
            rows, update = self._see_memory(layer, (rows, update), attended, layout, bias)
        conditioned = add_norm(rows, update, attention.norm)[1]
        return (conditioned.reshape(coarse.shape),)

    @property
    def _per_pointer(self) -> int:
        return self._model.config.hidden_dim // self._dim

    def _memory_tokens(
        self,
        spatial: mx.array,
        slots: mx.array,
        pointers: mx.array,
        distances: mx.array,
        dtype: mx.Dtype,
    ) -> tuple[mx.array, mx.array]:
        """Tokens and positions (1, K, D), as `Memory.gather` has them."""
        memory, dim, per_pointer = self._memory, self._dim, self._per_pointer
        place = frame_places(self._model.config).astype(dtype)
        times = (memory.time_embedding[slots][:, None] + place).reshape(1, -1, dim)
        count = pointers.shape[1] * per_pointer
        tokens = [spatial.reshape(1, -1, dim).astype(dtype), pointers.reshape(1, count, dim)]
        if "pointer_time_projection" in memory:
            dims = self._model.config.hidden_dim
            angles = distances.reshape(-1, 1) / mx.array(time_frequencies(dims))
            encoded = mx.concatenate([mx.sin(angles), mx.cos(angles)], axis=1).astype(dtype)
            projected = memory.pointer_time_projection(encoded)
            tail = mx.broadcast_to(projected[:, None], (len(projected), per_pointer, dim))
        else:
            tail = mx.zeros((count, dim), dtype)
        places = mx.concatenate([times, tail.reshape(1, count, dim)], axis=1)
        return mx.concatenate([tokens[0], tokens[1].astype(dtype)], axis=1), places

    def _see_memory(
        self,
        layer: MemoryAttentionLayer,
        stream: tuple[mx.array, mx.array],
        memory: tuple[mx.array, mx.array],
        layout: MemoryLayout,
        bias: mx.array,
    ) -> tuple[mx.array, mx.array]:
        """`MemoryAttentionLayer.see_memory`, with a bias (K,) on the scores of the keys."""
        x, normed = add_norm(*stream, layer.norm2)
        cross, (values, keys) = layer.cross_attn_image, memory
        queries, keys = cross.q_proj(normed)[None, None], cross.k_proj(keys)[None, None]
        queries, keys = axial_rope(queries, keys, layout, self._theta)
        attended = _attention(queries[0, 0], keys[0, 0], values, cross.score_scale, bias)
        update = cross.out_proj(cross.v_proj(attended))
        x, normed = add_norm(x, update, layer.norm3)
        return x, layer.linear2(mx.maximum(layer.linear1(normed), 0))

    def decode(
        self,
        conditioned: mx.array,
        fine: mx.array,
        middle: mx.array,
        coords: mx.array | None = None,
        labels: mx.array | None = None,
        previous: mx.array | None = None,
    ) -> Arrays:
        """Masks of one object.

        Args:
            conditioned: (1, h, w, C), with memory or as that of a frame without a past.
            fine: (1, 4h, 4w, C/8).
            middle: (1, 2h, 2w, C/4).
            coords: float32 (1, P, 2) as (x, y) in pixels of the model's input; None to track.
            labels: int32 (1, P): 1 object, 0 background, 2 and 3 the corners of a box.
            previous: float32 (1, 1, 4h, 4w), the mask shown before; None if there was none.

        Returns:
            The chosen mask's logits (1, 1, 4h, 4w), predicted IoU (1, 1), pointer (1, C) and
            presence logit (1, 1); the logits (1, 3, 4h, 4w) and predicted IoU (1, 3) of the masks
            for an ambiguous prompt; all in float32 but the pointer.
        """
        model = self._model
        if previous is not None:
            previous = mx.clip(previous, -FEEDBACK_LIMIT, FEEDBACK_LIMIT)
        tokens = model.embed_points(coords, labels, 1)
        candidates = model.decode_masks(conditioned, (fine, middle), tokens, previous)
        points = 0 if coords is None else coords.shape[1]
        mask = model.choose(candidates, multimask=points <= MAX_AMBIGUOUS_POINTS)
        offered = model.mask_decoder.multimask(candidates)
        return (*_as_arrays(mask), _floats(offered.logits), _floats(offered.iou))

    def given(self, coarse: mx.array, fine: mx.array, middle: mx.array, mask: mx.array) -> Arrays:
        """Take a mask as it is.

        Args:
            coarse: (1, h, w, C).
            fine: (1, 4h, 4w, C/8).
            middle: (1, 2h, 2w, C/4).
            mask: float32 (1, 1, S, S) of zeros and ones.

        Returns:
            Logits, predicted IoU, pointer and presence logit, as `decode` has them.
        """
        features = ImageFeatures(coarse, (fine, middle))
        return _as_arrays(self._model.given_mask(features, mask))

    def remember_shown(self, coarse: mx.array, shown: mx.array, presence: mx.array) -> Arrays:
        """Memory tokens (1, N, D) of a prompted frame: of the mask as it was shown."""
        return (self._memory.encode(coarse, shown, presence, True),)

    def remember_predicted(
        self, coarse: mx.array, predicted: mx.array, presence: mx.array
    ) -> Arrays:
        """Memory tokens (1, N, D) of a tracked frame: of probabilities."""
        return (self._memory.encode(coarse, predicted, presence, False),)


def _as_arrays(mask: ObjectMask) -> Arrays:
    return (_floats(mask.logits), _floats(mask.iou), mask.pointer, _floats(mask.presence))


def _floats(array: mx.array) -> mx.array:
    return array.astype(mx.float32)


def _attention(q: mx.array, k: mx.array, v: mx.array, scale: float, bias: mx.array) -> mx.array:
    """(Nq, Dv) from queries (Nq, D), keys (K, D) and values (K, Dv), some queries at a time."""
    step = max(_SCORES // len(k) // 64 * 64, 64)
    keys = k.T
    parts = []
    for start in range(0, len(q), step):
        scores = (q[start : start + step] * scale) @ keys + bias
        parts.append(mx.softmax(scores, axis=-1, precise=True) @ v)
    return parts[0] if len(parts) == 1 else mx.concatenate(parts)
