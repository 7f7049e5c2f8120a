"""The mask decoder: candidates for a mask, their predicted quality and the object's presence."""

from __future__ import annotations

from dataclasses import dataclass

import mlx.core as mx
import mlx.nn as nn

from sam2_mlx.config import DecoderConfig
from sam2_mlx.model.layers import MLP, Pointwise, SideBySide, Table, Upsample2x, add_norm
from sam2_mlx.model.two_way_transformer import TwoWayTransformer
from sam2_mlx.ops.activations import gelu
from sam2_mlx.ops.derived import Derived
from sam2_mlx.ops.products import matmul

# The presence logit where nothing predicts it.
_SURELY_PRESENT = 10.0


@dataclass(frozen=True)
class MaskCandidates:
    """Masks that the decoder offers for each prompt.

    Attributes:
        logits: (B, M, S/4, S/4) mask logits.
        iou: (B, M) predicted IoU, in [0, 1] where the model bounds it.
        tokens: (B, M, C) output tokens; the object pointer comes from the chosen one.
        presence: (B, 1) logit; above zero the object is in the picture.
    """

    logits: mx.array
    iou: mx.array
    tokens: mx.array
    presence: mx.array

    def __getitem__(self, masks: slice) -> MaskCandidates:
        """Some of the M masks of each prompt."""
        return MaskCandidates(
            self.logits[:, masks], self.iou[:, masks], self.tokens[:, masks], self.presence
        )


class Upscaling(nn.Module):
    """Image tokens at stride 16 to per-pixel features at stride 4.

    Args:
        dims: input channels; the output has an eighth of them.
    """

    def __init__(self, dims: int) -> None:
        super().__init__()
        self.conv1 = Upsample2x(dims, dims // 4)
        self.norm1 = nn.LayerNorm(dims // 4, eps=1e-6)
        self.conv2 = Upsample2x(dims // 4, dims // 8)

    def __call__(self, x: mx.array, fine: tuple[mx.array, ...]) -> mx.array:
        """(B, h, w, C) and fine features at stride 4 and 8, or none, to (B, 4h, 4w, C/8)."""
        x = self.conv1(x)
        x = add_norm(x, fine[1], self.norm1)[1] if fine else self.norm1(x)
        x = self.conv2(gelu(x))
        return gelu(x + fine[0] if fine else x)


class MaskDecoder(nn.Module):
    """Decodes prompts into masks.

    Args:
        dims: channels of the image embedding and the prompts.
        config: widths and the rule for unstable single masks.

    Source: sam2/modeling/sam/mask_decoder.py, MaskDecoder; without fine features and presence,
    segment_anything/modeling/mask_decoder.py.
    """

    def __init__(self, dims: int, config: DecoderConfig) -> None:
        super().__init__()
        self._config = config
        self.stability_threshold = config.stability_threshold
        masks = config.num_multimasks + 1
        self.transformer = TwoWayTransformer(dims, config)
        if config.predicts_presence:
            self.obj_score_token = Table(1, dims)
        self.iou_token = Table(1, dims)
        self.mask_tokens = Table(masks, dims)
        self.upscaling = Upscaling(dims)
        if config.fine_features:
            self.conv_s0 = Pointwise(dims, dims // 8)
            self.conv_s1 = Pointwise(dims, dims // 4)
        self.output_hypernetworks_mlps = [MLP((dims, dims, dims, dims // 8)) for _ in range(masks)]
        hidden = config.iou_hidden_dim
        self.iou_prediction_head = MLP((dims, hidden, hidden, masks))
        if config.predicts_presence:
            self.pred_obj_score_head = MLP((dims, dims, dims, 1))
        self._hypernetworks = SideBySide()
        self._own: Derived[mx.array] = Derived()

    def _own_tokens(self) -> mx.array:
        """The output tokens that every prompt gets, (tokens, C), the masks' last."""
        own = [self.iou_token.weight, self.mask_tokens.weight]
        if self._config.predicts_presence:
            own = [self.obj_score_token.weight, *own]
        return self._own.get(lambda: mx.concatenate(own), *own)

    def project(self, levels: tuple[mx.array, ...]) -> tuple[mx.array, ...]:
        """The encoder's levels at stride 4 and 8, narrowed for the upscaling; none from none."""
        if not self._config.fine_features:
            return ()
        fine, middle = levels
        return self.conv_s0(fine), self.conv_s1(middle)

    def __call__(
        self,
        image: mx.array,
        image_positions: mx.array,
        fine: tuple[mx.array, ...],
        prompt: mx.array,
        dense: mx.array,
    ) -> MaskCandidates:
        """Predict every mask: the single one first, then the multimasks.

        Args:
            image: (B or 1, h, w, C) image embedding, memory included.
            image_positions: (1, h*w, C).
            fine: features at stride 4 and 8, batch B or 1, or none.
            prompt: (B, P, C) prompt tokens.
            dense: dense prompt embedding (B, h, w, C), or (1, C) for all of it.

        Returns:
            Candidates with M = 1 + num_multimasks.
        """
        batch, (height, width, dims) = prompt.shape[0], image.shape[1:]
        own = self._own_tokens()
        tokens = mx.concatenate([mx.broadcast_to(own, (batch, *own.shape)), prompt], axis=1)
        first = len(own) - self._masks
        source = (image + dense).reshape(-1, height * width, dims)
        # One picture and many prompts: the image stays one until the first block makes it differ.
        tokens, source = self.transformer(source, image_positions, tokens)
        pixels = self.upscaling(source.reshape(batch, height, width, dims), fine)
        mask_tokens = tokens[:, first : first + self._masks]
        hypernetworks = self._hypernetworks(self.output_hypernetworks_mlps, mask_tokens)
        flat = pixels.reshape(batch, -1, pixels.shape[-1]).transpose(0, 2, 1)
        logits = matmul(hypernetworks, flat).reshape(batch, self._masks, 4 * height, 4 * width)
        iou = self.iou_prediction_head(tokens[:, first - 1])
        iou = mx.sigmoid(iou) if self._config.bounded_iou else iou
        return MaskCandidates(logits, iou, mask_tokens, self._presence(tokens))

    def _presence(self, tokens: mx.array) -> mx.array:
        if self._config.predicts_presence:
            presence: mx.array = self.pred_obj_score_head(tokens[:, 0])
            return presence
        return mx.full((tokens.shape[0], 1), _SURELY_PRESENT, tokens.dtype)

    @property
    def _masks(self) -> int:
        return self._config.num_multimasks + 1

    def limited(self, logits: mx.array) -> mx.array:
        """Logits as they are handed out, and taken as a prompt again."""
        limit = self._config.logit_limit
        return logits if limit is None else mx.clip(logits, -limit, limit)

    def multimask(self, candidates: MaskCandidates) -> MaskCandidates:
        """Keep the masks for an ambiguous prompt."""
        return candidates[1:]

    def single(self, candidates: MaskCandidates) -> MaskCandidates:
        """Keep the single mask, or the best multimask where the single one is unstable.

        The token stays that of the single mask, as in training. A stability threshold of zero
        keeps the single mask always.

        Source: MaskDecoder._dynamic_multimask_via_stability.
        """
        single = candidates[:1]
        if self.stability_threshold <= 0:
            return single
        best = best_by_iou(self.multimask(candidates))
        stable = self._stability(single.logits) >= self.stability_threshold
        logits = mx.where(stable[..., None, None], single.logits, best.logits)
        iou = mx.where(stable, single.iou, best.iou)
        return MaskCandidates(logits, iou, single.tokens, single.presence)

    def _stability(self, logits: mx.array) -> mx.array:
        # Areas are counted in float32: half precision cannot count to a mask's pixels.
        flat = logits.reshape(*logits.shape[:2], -1)
        delta = self._config.stability_delta
        inner = (flat > delta).astype(mx.float32).sum(axis=-1)
        outer = (flat > -delta).astype(mx.float32).sum(axis=-1)
        return mx.where(outer > 0, inner / mx.maximum(outer, 1), 1.0)


def best_by_iou(candidates: MaskCandidates) -> MaskCandidates:
    """Keep the candidate with the highest predicted IoU; M becomes 1."""
    best = mx.argmax(candidates.iou, axis=1, keepdims=True)
    return MaskCandidates(
        mx.take_along_axis(candidates.logits, best[..., None, None], axis=1),
        mx.take_along_axis(candidates.iou, best, axis=1),
        mx.take_along_axis(candidates.tokens, best[..., None], axis=1),
        candidates.presence,
    )
