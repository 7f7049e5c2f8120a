"""A picture that is encoded once and answers batches of points."""

from __future__ import annotations

from dataclasses import dataclass

import mlx.core as mx
import numpy as np

from sam2_mlx.generation.enlarger import Enlarger
from sam2_mlx.model.image_encoder import ImageFeatures
from sam2_mlx.model.sam import Sam
from sam2_mlx.ops.regions import fill_holes, remove_sprinkles
from sam2_mlx.ops.resize import resize_matrix
from sam2_mlx.transforms import normalise, resize_image

_LOGIT_LIMIT = 32.0
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
        size: (height, width) of the picture.
        enlarger: takes low-resolution masks to the picture's size.

    Source: sam2/sam2_image_predictor.py, SAM2ImagePredictor.set_image and _predict.
    """

    def __init__(self, model: Sam, picture: np.ndarray) -> None:
        self._model = model
        self.size = (picture.shape[0], picture.shape[1])
        side = model.config.image_size
        features = model.encode_image(normalise(resize_image(picture, side)[None], model.dtype))
        coarse = features.coarse
        if model.memory is not None:
            coarse = model.memory.without_memory(coarse)
        self._features = ImageFeatures(coarse, features.fine)
        low = model.config.mask_size
        self.enlarger = Enlarger(
            resize_matrix(low, self.size[0], "bilinear"),
            resize_matrix(low, self.size[1], "bilinear"),
        )
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
        height, width = self.size
        side = np.float32(model.config.image_size)
        coords = points / np.array([width, height], np.float32) * side
        labels = mx.ones((len(points), 1), mx.int32)
        prompt = model.prompt_encoder.points(mx.array(coords[:, None]), labels)
        masks = None
        if mask_logits is not None:
            masks = mx.clip(mask_logits, -_LOGIT_LIMIT, _LOGIT_LIMIT)[:, None]
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
