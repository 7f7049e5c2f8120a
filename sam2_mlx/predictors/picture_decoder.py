"""A picture that is encoded once and answers batches of points."""

from __future__ import annotations

from dataclasses import dataclass

import mlx.core as mx
import numpy as np

from sam2_mlx.model.image_encoder import ImageFeatures
from sam2_mlx.model.sam import Sam
from sam2_mlx.ops.regions import fill_holes, remove_sprinkles
from sam2_mlx.predictors.enlarger import Enlarger
from sam2_mlx.transforms import Framing

_FILL_MARGIN = 10.0


@dataclass(frozen=True)
class PointMasks:
    """What the decoder answers to a batch of points, still on the device.

    Attributes:
        logits: float32 (N, S/4, S/4), all masks of the first point, then of the second, ...
        iou: float32 (N,), predicted IoU.
        points: float32 (N, 2), the point of each mask, in pixels of the picture.
    """

    logits: mx.array
    iou: mx.array
    points: np.ndarray


class PictureDecoder:
    """Masks for points on one picture.

    Args:
        model: the model.
        picture: uint8 (H, W, 3) RGB.

    Attributes:
        enlarger: takes low-resolution masks to the picture's size.

    Source: sam2/sam2_image_predictor.py, SAM2ImagePredictor.set_image and _predict.
    """

    def __init__(self, model: Sam, picture: np.ndarray) -> None:
        self._model = model
        self._framing = Framing.of(picture, model.config)
        features = model.encode_image(self._framing.pixels(picture, model.dtype))
        coarse = features.coarse
        if model.memory is not None:
            coarse = model.memory.without_memory(coarse)
        self._features = ImageFeatures(coarse, features.fine)
        self.enlarger = Enlarger(*self._framing.mask_matrices(model.config.mask_size))
        mx.eval(self._features.arrays())

    def decode(
        self, points: np.ndarray, multimask: bool, mask_logits: mx.array | None = None
    ) -> PointMasks:
        """Ask for the masks of single positive points; nothing is computed yet.

        Args:
            points: float32 (B, 2) as (x, y) in pixels of the picture.
            multimask: three masks a point instead of one.
            mask_logits: float32 (B, S/4, S/4), an earlier answer for each point, or None.
        """
        model, features = self._model, self._features
        coords = self._framing.coords(points)
        labels = mx.ones((len(points), 1), mx.int32)
        prompt = model.prompt_encoder.points(mx.array(coords[:, None]), labels)
        masks = None
        if mask_logits is not None:
            masks = model.mask_decoder.limited(mask_logits)[:, None]
        candidates = model.decode_masks(features.coarse, features.fine, prompt, masks)
        decoder = model.mask_decoder
        chosen = decoder.multimask(candidates) if multimask else decoder.single(candidates)
        answers = chosen.logits.shape[1]
        return PointMasks(
            chosen.logits.astype(mx.float32).flatten(0, 1),
            chosen.iou.astype(mx.float32).flatten(),
            np.repeat(points, answers, axis=0),
        )

    def without_small_regions(self, logits: mx.array, area: float) -> mx.array:
        """Fill holes and remove specks of at most `area` pixels of the logits (N, S/4, S/4).

        Source: sam2/utils/transforms.py, SAM2Transforms.postprocess_masks.
        """
        cleaned = np.array(logits)
        fill_holes(cleaned, area, _FILL_MARGIN)
        remove_sprinkles(cleaned, area, -_FILL_MARGIN)
        return mx.array(cleaned)
