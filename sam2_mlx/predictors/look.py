"""A picture that is encoded once and answers prompts: under every predictor of single pictures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import mlx.core as mx
import numpy as np
from PIL import Image

from sam2_mlx.media.pictures import load_picture
from sam2_mlx.model.image_encoder import ImageFeatures
from sam2_mlx.model.sam import Sam
from sam2_mlx.ops.masks import fill_holes, remove_sprinkles
from sam2_mlx.ops.precision import exact_matmul
from sam2_mlx.predictors.torch_like import as_array
from sam2_mlx.prompts import Prompt
from sam2_mlx.transforms import Framing

# How far beyond the threshold the logits of a filled hole or a removed speck are put.
_MARGIN = 10.0


@dataclass(frozen=True)
class Answer:
    """Masks for a prompt, still on the device.

    Attributes:
        logits: float32 (B, M, S/4, S/4).
        iou: float32 (B, M), predicted IoU.
    """

    logits: mx.array
    iou: mx.array


@dataclass(frozen=True)
class Look:
    """What a model sees of one picture.

    Attributes:
        model: the model.
        size: (height, width) of the picture in pixels.
        features: its features, batch 1, as of `encode_pictures`.
    """

    model: Sam
    size: tuple[int, int]
    features: ImageFeatures

    @cached_property
    def framing(self) -> Framing:
        """How the picture lies in the model's input."""
        return Framing.of(self.size, self.model.config)

    def answer(self, prompt: Prompt, multimask: bool) -> Answer:
        """Ask for masks; nothing is computed yet.

        Args:
            prompt: points and boxes, an earlier answer, or both.
            multimask: three masks an object instead of one.

        Source: sam2/sam2_image_predictor.py, SAM2ImagePredictor._predict.
        """
        model, decoder = self.model, self.model.mask_decoder
        if prompt.labels.size:
            coords, labels = mx.array(self.framing.coords(prompt.points)), mx.array(prompt.labels)
            padded = model.config.pad_boxes or not prompt.has_box
            tokens = model.prompt_encoder.points(coords, labels, padded)
        else:
            tokens = mx.zeros((len(prompt.labels), 0, model.config.hidden_dim), model.dtype)
        logits = None if prompt.logits is None else mx.array(prompt.logits)
        candidates = model.decode_masks(self.features.coarse, self.features.fine, tokens, logits)
        chosen = decoder.multimask(candidates) if multimask else decoder.single(candidates)
        return Answer(chosen.logits.astype(mx.float32), chosen.iou.astype(mx.float32))

    @cached_property
    def matrices(self) -> tuple[mx.array, mx.array]:
        """What enlarges masks to the picture's size; see `Framing.mask_matrices`."""
        return self.framing.mask_matrices(self.model.config.mask_size)

    def enlarge(self, logits: mx.array) -> mx.array:
        """Masks (..., S/4, S/4) at the picture's size."""
        rows, columns = self.matrices
        return exact_matmul(exact_matmul(rows, logits), columns.T)


def encode_pictures(model: Sam, pictures: Sequence[np.ndarray]) -> ImageFeatures:
    """Encode pictures, uint8 (H, W, 3) RGB of any sizes, together, as frames without a past.

    Source: sam2/sam2_image_predictor.py, SAM2ImagePredictor.set_image_batch.
    """
    pixels = [
        Framing.of(picture.shape[:2], model.config).pixels(picture, model.dtype)
        for picture in pictures
    ]
    features = model.encode_image(mx.concatenate(pixels))
    if model.memory is not None:
        features = ImageFeatures(model.memory.without_memory(features.coarse), features.fine)
    mx.eval(features.arrays())
    return features


def without_small_regions(
    logits: mx.array, holes: float, specks: float, threshold: float = 0.0
) -> mx.array:
    """Fill small holes of masks and remove small specks.

    Args:
        logits: float32 (..., h, w).
        holes: background of at most this many pixels is filled; 0 leaves all.
        specks: foreground of at most this many pixels is removed; 0 leaves all.
        threshold: logits above it are foreground.

    Source: sam2/utils/transforms.py, SAM2Transforms.postprocess_masks.
    """
    if holes <= 0 and specks <= 0:
        return logits
    cleaned = np.array(logits)
    if holes > 0:
        fill_holes(cleaned, holes, threshold + _MARGIN, threshold)
    if specks > 0:
        remove_sprinkles(cleaned, specks, threshold - _MARGIN, threshold)
    return mx.array(cleaned)


def as_picture(image: Any, upright: bool | None = None) -> np.ndarray:
    """A picture as an array, uint8 (H, W, 3) RGB.

    Args:
        image: an array, a PIL image or the path of a picture; see `load_picture`.
        upright: turn it as its orientation tag says. By default files are turned, as viewers
            show them, and PIL images are not: programs go on with the pixels as they lie.

    Raises:
        TypeError, ValueError: if it is none of these, or no picture.
    """
    image = as_array(image)
    if not isinstance(image, (np.ndarray, Image.Image, str, os.PathLike)):
        if not hasattr(image, "__array__"):
            raise TypeError(
                "a picture is an array uint8 (H, W, 3) of RGB, a PIL image or the path of a "
                f"picture; got {type(image).__name__}"
            )
        image = np.asarray(image)
    turned = not isinstance(image, Image.Image) if upright is None else upright
    return load_picture(image, upright=turned)
