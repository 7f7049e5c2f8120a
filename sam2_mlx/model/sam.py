"""Sam: encoder, prompt encoder, decoder and memory as one stateless model."""

from __future__ import annotations

import mlx.core as mx
import mlx.nn as nn

from sam2_mlx.config import ModelConfig
from sam2_mlx.model.image_encoder import ImageEncoder, ImageFeatures
from sam2_mlx.model.mask_decoder import MaskCandidates, MaskDecoder, best_by_iou
from sam2_mlx.model.memory import Memory, MemoryTokens, ObjectMask
from sam2_mlx.model.prompt_encoder import PromptEncoder
from sam2_mlx.ops.resize import resize_maps
from sam2_mlx.ops.traces import Traces

# A mask that was handed in counts as certain: logits of +-10 on both sides.
_GIVEN_SCALE, _GIVEN_BIAS = 20.0, -10.0


class Sam(nn.Module):
    """Segment Anything 2: arrays in, records out, no state between calls.

    Attributes:
        home: the backend it was loaded for, "cpu" or "gpu"; None is MLX's default.

    Source: Ravi et al., "SAM 2" (arXiv 2408.00714); sam2/modeling/sam2_base.py, SAM2Base.
    """

    home: str | None = None

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self._config = config
        self.image_encoder = ImageEncoder(config)
        self.prompt_encoder = PromptEncoder(config.hidden_dim, config.image_size)
        self.mask_decoder = MaskDecoder(config.hidden_dim, config.decoder)
        self.memory = Memory(config) if config.memory else None
        self._traces = Traces()

    @property
    def config(self) -> ModelConfig:
        """The model's dimensions."""
        return self._config

    @property
    def dtype(self) -> mx.Dtype:
        """The dtype of weights and activations."""
        return self.prompt_encoder.no_mask_embed.weight.dtype

    @property
    def traces(self) -> Traces:
        """The compiled steps."""
        return self._traces

    def encode_image(self, pixels: mx.array) -> ImageFeatures:
        """Encode pictures.

        Args:
            pixels: (B, S, S, 3) normalised pixels (see `transforms.normalise`).

        Returns:
            Features at stride 16, and at stride 4 and 8 if the decoder reads them.

        Source: SAM2Base.forward_image.
        """

        def encode(pixels: mx.array) -> tuple[mx.array, ...]:
            *fine, coarse = self.image_encoder(pixels)
            return coarse, *self.mask_decoder.project(tuple(fine))

        coarse, *fine = self._traces.run("encode", encode, pixels.astype(self.dtype))
        return ImageFeatures(coarse, tuple(fine))

    def embed_points(
        self, coords: mx.array | None, labels: mx.array | None, batch: int
    ) -> mx.array:
        """Tokens (B, P+1, C) of points (B, P, 2) in model pixels and labels (B, P), or of none."""
        if coords is None or labels is None:
            return self.prompt_encoder.nothing(batch)
        return self.prompt_encoder.points(coords, labels)

    def decode_masks(
        self,
        image: mx.array,
        fine: tuple[mx.array, ...],
        prompt: mx.array,
        mask_logits: mx.array | None = None,
    ) -> MaskCandidates:
        """Run the mask decoder.

        Args:
            image: (B or 1, h, w, C) embedding, with memory or marked as without.
            fine: fine features, batch B or 1, or none.
            prompt: (B, P, C) prompt tokens.
            mask_logits: (B, 1, S/4, S/4) mask prompt, or None.

        Returns:
            All candidates, the single mask first.
        """
        last = 2 + len(fine)

        def decode(*arrays: mx.array) -> tuple[mx.array, ...]:
            image, *fine, prompt = arrays[:last]
            dense = self.prompt_encoder.dense(arrays[last] if arrays[last:] else None)
            places = self.prompt_encoder.grid_positions()
            masks = self.mask_decoder(image, places, tuple(fine), prompt, dense)
            return masks.logits, masks.iou, masks.tokens, masks.presence

        inputs = [image, *fine, prompt, *([] if mask_logits is None else [mask_logits])]
        return MaskCandidates(*self._traces.run("decode", decode, *inputs))

    def choose(self, candidates: MaskCandidates, multimask: bool) -> ObjectMask:
        """Pick one mask per object and make its pointer.

        Args:
            candidates: all candidates of the decoder.
            multimask: take the best multimask by predicted IoU; else the single mask.
        """
        assert self.memory is not None
        decoder = self.mask_decoder
        if multimask:
            chosen = best_by_iou(decoder.multimask(candidates))
        else:
            chosen = decoder.single(candidates)
        return self.memory.with_pointer(chosen)

    def track(self, features: ImageFeatures, memory: MemoryTokens) -> ObjectMask:
        """Segment objects from memory alone: attend, decode, choose.

        Args:
            features: the frame's features, batch 1.
            memory: what each object looks at, batch B.

        Returns:
            One mask per object.
        """
        return self.track_candidates(features, memory)[0]

    def track_candidates(
        self, features: ImageFeatures, memory: MemoryTokens
    ) -> tuple[ObjectMask, mx.array]:
        """As `track`, with the logits (B, M, S/4, S/4) of all masks that were offered."""
        assert self.memory is not None

        def follow(
            coarse: mx.array, fine: mx.array, middle: mx.array, tokens: mx.array, places: mx.array
        ) -> tuple[mx.array, ...]:
            assert self.memory is not None
            conditioned = self.memory.attend(coarse, MemoryTokens(tokens, places, memory.layout))
            candidates = self.mask_decoder(
                conditioned,
                self.prompt_encoder.grid_positions(),
                (fine, middle),
                self.embed_points(None, None, tokens.shape[0]),
                self.prompt_encoder.dense(None),
            )
            offered = self.mask_decoder.multimask(candidates)
            mask = self.memory.with_pointer(best_by_iou(offered))
            return mask.logits, mask.iou, mask.pointer, mask.presence, offered.logits

        arrays = (features.coarse, *features.fine, memory.tokens, memory.positions)
        *mask, offered = self._traces.run(("track", memory.layout), follow, *arrays)
        return ObjectMask(*mask), offered

    def remember(self, features: ImageFeatures, mask: ObjectMask, binarise: bool) -> mx.array:
        """Encode masks into memory tokens; see `Memory.encode`.

        Args:
            features: the frame's features, batch 1.
            mask: masks to remember, batch B.
            binarise: remember the mask as it was shown.

        Returns:
            (B, N, D) in the memory's storage dtype.
        """

        def encode(coarse: mx.array, logits: mx.array, presence: mx.array) -> tuple[mx.array, ...]:
            assert self.memory is not None
            return (self.memory.encode(coarse, logits, presence, binarise),)

        arrays = (features.coarse, mask.logits, mask.presence)
        return self._traces.run(("remember", binarise), encode, *arrays)[0]

    def given_mask(self, features: ImageFeatures, mask: mx.array) -> ObjectMask:
        """Take a mask as it is, and ask the decoder only for its pointer.

        Args:
            features: the frame's features.
            mask: (B, 1, S, S) of zeros and ones.

        Returns:
            Logits of +-10 at low resolution; presence from the mask itself.

        Source: SAM2Base._use_mask_as_output.
        """
        memory = self.memory
        assert memory is not None
        batch, _, size, _ = mask.shape
        mask = mask.astype(mx.float32)
        low = (size // 4, size // 4)
        logits = resize_maps(mask * _GIVEN_SCALE + _GIVEN_BIAS, low, "antialias")
        small = memory.mask_downsample(mask.reshape(batch, size, size, 1).astype(self.dtype))
        prompt = self.embed_points(None, None, batch)
        # The reference decodes this pointer from features without the no-memory embedding.
        small = small.reshape(batch, 1, *low)
        candidates = self.decode_masks(features.coarse, features.fine, prompt, small)
        pointer = self.choose(candidates, multimask=False).pointer
        present = mask.reshape(batch, -1).max(axis=1, keepdims=True) > 0
        pointer = mx.where(present, pointer, memory.absent_pointer)
        presence = present.astype(mx.float32) * _GIVEN_SCALE + _GIVEN_BIAS
        return ObjectMask(logits, mx.ones((batch, 1)), pointer, presence)
