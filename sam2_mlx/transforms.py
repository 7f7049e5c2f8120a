"""Pictures to model input.

The reference resizes single images and video frames differently, and so does this: masks
depend on it visibly.
"""

from __future__ import annotations

import mlx.core as mx
import numpy as np
from PIL import Image

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
        ValueError: if its shape is not (H, W, 3).
    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        kind = image.dtype if isinstance(image, np.ndarray) else type(image).__name__
        raise TypeError(f"a picture is a uint8 array of RGB values from 0 to 255; got {kind}")
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(f"a picture has shape (height, width, 3); got {image.shape}")
    return image


def resize_image(image: np.ndarray, size: int) -> np.ndarray:
    """Resize a single picture for the model: bilinear with antialiasing, in float32.

    Args:
        image: uint8 (H, W, 3) RGB.
        size: side of the square model input.

    Returns:
        float32 (size, size, 3) in [0, 1].

    Source: sam2/utils/transforms.py, SAM2Transforms (torchvision's Resize on a float tensor).
    """
    scaled = check_picture(image).astype(np.float32) / np.float32(255)
    channels = [
        Image.fromarray(np.ascontiguousarray(scaled[..., c])).resize(
            (size, size), Image.Resampling.BILINEAR
        )
        for c in range(3)
    ]
    return np.stack([np.asarray(channel) for channel in channels], axis=-1)


def resize_frame(image: np.ndarray, size: int) -> np.ndarray:
    """Resize a video frame for the model: bicubic, rounded to 8 bits after each pass.

    Args:
        image: uint8 (H, W, 3) RGB.
        size: side of the square model input.

    Returns:
        uint8 (size, size, 3).

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
