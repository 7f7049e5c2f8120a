"""Pictures to model input.

The reference resizes single images and video frames differently, and so does this: masks
depend on it visibly.
"""

from __future__ import annotations

from dataclasses import dataclass

import mlx.core as mx
import numpy as np
from PIL import Image

from sam2_mlx.config import ModelConfig
from sam2_mlx.media.frame_source import check_area
from sam2_mlx.ops.derived import constant
from sam2_mlx.ops.resize import resize_matrix

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def check_picture(image: np.ndarray) -> np.ndarray:
    """Check that an array is an RGB picture.

    Args:
        image: uint8 (H, W, 3) in RGB order; C-contiguous or not.

    Returns:
        The array itself.

    Raises:
        TypeError: if it is not a uint8 array.
        ValueError: if its shape is not (H, W, 3), or it has more than 2**27 pixels.
    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        kind = image.dtype if isinstance(image, np.ndarray) else type(image).__name__
        raise TypeError(f"a picture is a uint8 array of RGB values from 0 to 255; got {kind}")
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(f"a picture has shape (height, width, 3); got {image.shape}")
    check_area("the picture", (image.shape[1], image.shape[0]))
    return image


def resize_image(image: np.ndarray, size: int) -> np.ndarray:
    """Resize a picture, uint8 (H, W, 3), antialiased: float32 (size, size, 3) in [0, 1].

    Source: sam2/utils/transforms.py, SAM2Transforms (torchvision's Resize on a float tensor).
    """
    check_picture(image)
    # One channel after the other: a large picture fills the memory as floats.
    channels = [
        Image.fromarray(image[..., c] / np.float32(255)).resize(
            (size, size), Image.Resampling.BILINEAR
        )
        for c in range(3)
    ]
    return np.stack([np.asarray(channel) for channel in channels], axis=-1)


def resize_frame(image: np.ndarray, size: int) -> np.ndarray:
    """Resize a frame, uint8 (H, W, 3), bicubic, rounded after each pass: uint8 (size, size, 3).

    Source: sam2/utils/misc.py, _load_img_as_tensor.
    """
    check_picture(image)
    if image.shape[:2] == (size, size):
        return image
    resized = Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(resized)


def normalise(pixels: np.ndarray, dtype: mx.Dtype) -> mx.array:
    """Put resized pixels on the device and normalise them by mean and deviation.

    Args:
        pixels: (B, S, S, 3), uint8 from 0 to 255 or float32 in [0, 1].
        dtype: the model's dtype.

    Returns:
        (B, S, S, 3) in `dtype`; computed in float32.
    """
    # Eight-bit pixels are uploaded as they are: a quarter of the bytes.
    x = mx.array(pixels).astype(mx.float32)
    if pixels.dtype == np.uint8:
        x = x / 255.0
    return ((x - mx.array(MEAN)) / mx.array(STD)).astype(dtype)


@dataclass(frozen=True)
class Framing:
    """How a picture lies in the model's square input, and how its masks come back.

    Attributes:
        size: (height, width) of the picture.
        side: of the model's input, in pixels.
        inner: (height, width) of the part of the input that the picture fills, from its corner.
        stretched: the picture fills the whole input; else it keeps its proportions.
    """

    size: tuple[int, int]
    side: int
    inner: tuple[int, int]
    stretched: bool

    @classmethod
    def of(cls, size: tuple[int, int], config: ModelConfig) -> Framing:
        """The framing of a picture of some (height, width) for a model."""
        side = config.image_size
        if not config.keep_aspect:
            return cls(size, side, (side, side), stretched=True)
        scale = side / max(size)
        height, width = (max(1, int(length * scale + 0.5)) for length in size)
        return cls(size, side, (height, width), stretched=False)

    def pixels(self, picture: np.ndarray, dtype: mx.Dtype) -> mx.array:
        """The model's input.

        Args:
            picture: uint8 (H, W, 3) RGB.
            dtype: the model's.

        Returns:
            (1, side, side, 3), normalised; zeros beside the picture.

        Source: sam2/utils/transforms.py, SAM2Transforms; segment_anything/utils/transforms.py,
        ResizeLongestSide, and segment_anything/modeling/sam.py, Sam.preprocess.
        """
        if self.stretched:
            return normalise(resize_image(picture, self.side)[None], dtype)
        height, width = self.inner
        image = Image.fromarray(check_picture(picture))
        image = image.resize((width, height), Image.Resampling.BILINEAR)
        mean, deviation = (mx.array(255 * np.array(values), mx.float32) for values in (MEAN, STD))
        x = (mx.array(np.asarray(image)).astype(mx.float32) - mean) / deviation
        x = mx.pad(x, [(0, self.side - height), (0, self.side - width), (0, 0)])
        return x[None].astype(dtype)

    def coords(self, points: np.ndarray) -> np.ndarray:
        """Places in the picture as places in the model's input.

        Args:
            points: float64 (..., 2) as (x, y) in fractions of the picture's width and height.

        Returns:
            float32 (..., 2) as (x, y) in pixels of the input, each rounded as in the reference.

        Source: sam2/utils/transforms.py, SAM2Transforms.transform_coords;
        segment_anything/utils/transforms.py, ResizeLongestSide.apply_coords.
        """
        if self.stretched:
            return points.astype(np.float32) * np.float32(self.side)
        return (points * self.inner[::-1]).astype(np.float32)

    def mask_matrices(self, low: int) -> tuple[mx.array, mx.array]:
        """How masks of low resolution become masks of the picture.

        Args:
            low: side of the low-resolution masks.

        Returns:
            float32 (H, low) and (W, low): a mask of the picture is the first, times the mask,
            times the second transposed.

        Source: sam2/utils/transforms.py, SAM2Transforms.postprocess_masks;
        segment_anything/modeling/sam.py, Sam.postprocess_masks.
        """
        rows, columns = (
            resize_matrix(low, length, "bilinear")
            if self.stretched
            else _padded_mask_matrix(low, self.side, inner, length)
            for length, inner in zip(self.size, self.inner, strict=True)
        )
        return rows, columns


@constant
def _padded_mask_matrix(low: int, side: int, inner: int, length: int) -> mx.array:
    """From low resolution to the input's, without the padding, and on to the picture's.

    Both steps are linear, so together they are one matrix.
    """
    whole = np.array(resize_matrix(low, side, "bilinear")).astype(np.float64)[:inner]
    back = np.array(resize_matrix(inner, length, "bilinear")).astype(np.float64)
    return mx.array((back @ whole).astype(np.float32))
