"""Mask logits enlarged to a picture's size, as a mask or as the memory encoder's input.

Both compute in float32 what `resize_maps` and the step after it compute, without keeping the
enlarged logits where a custom kernel can be used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import mlx.core as mx
import numpy as np

from sam2_mlx.ops.derived import constant
from sam2_mlx.ops.metal.kernel import FLOATS, Kernel, MetalFunction, Variant, dtype_name
from sam2_mlx.ops.metal.upsample import BINARISE, SIGMOID, SOURCE, THRESHOLD, launch
from sam2_mlx.ops.resize import resize_maps, resize_matrix

_OUTPUTS = {**FLOATS, "uint8": mx.uint8}
Size = tuple[int, int]


@constant
def bilinear_taps(n_in: int, n_out: int) -> tuple[mx.array, mx.array]:
    """The two entries of each row of `resize_matrix(n_in, n_out, "bilinear")`.

    Returns:
        The index of the first entry, int32 (n_out,), and the weights of that one and of the
        next, float32 (n_out, 2).
    """
    matrix = np.array(resize_matrix(n_in, n_out, "bilinear"))
    padded = np.pad(matrix, ((0, 0), (0, 1)))
    first = np.minimum((matrix != 0).argmax(axis=1), max(n_in - 2, 0))
    rows = np.arange(n_out)
    weights = np.stack([padded[rows, first], padded[rows, first + 1]], axis=1)
    return mx.array(first.astype(np.int32)), mx.array(weights)


def _upsample_plain(maps: mx.array, size: Size, mode: int, dtype: mx.Dtype) -> tuple[mx.array, ...]:
    logits = resize_maps(maps, size)
    if mode == THRESHOLD:
        return ((logits > 0).astype(dtype),)
    mask = (logits > 0).astype(mx.float32) if mode == BINARISE else mx.sigmoid(logits)
    return ((mask * 20.0 - 10.0).astype(dtype),)


def _launch(
    function: MetalFunction, maps: mx.array, size: Size, mode: int, dtype: mx.Dtype
) -> tuple[mx.array, ...]:
    rows = bilinear_taps(maps.shape[1], size[0])
    columns = bilinear_taps(maps.shape[2], size[1])
    return launch(function, maps, rows, columns, mode, dtype)


def _variant(maps: mx.array, size: Size, mode: int, dtype: mx.Dtype) -> Variant | None:
    read, written = dtype_name(maps.dtype), dtype_name(dtype)
    # A handful of values is passed in another address space, which nobody needs.
    fits = read in FLOATS and written in _OUTPUTS and maps.size >= 8 and min(size) >= 8
    return (read, written, mode) if fits else None


def _trials(variant: Variant) -> Iterator[tuple[Any, ...]]:
    read, written, mode = FLOATS[str(variant[0])], _OUTPUTS[str(variant[1])], int(variant[2])
    random = np.random.default_rng(5)
    for (height, width), size in (((16, 16), (64, 128)), ((12, 10), (12, 80))):
        # Odd quarters and power-of-two factors: exact in any order of summing, so that kernel
        # and twin take the same side of zero.
        maps = random.integers(-40, 40, (2, height, width)) / 4 + 0.125
        yield mx.array(maps.astype(np.float32)).astype(read), size, mode, written


KERNEL = Kernel(SOURCE, _launch, _upsample_plain, _variant, _trials)


def _upsample(maps: mx.array, size: Size, mode: int, dtype: mx.Dtype) -> mx.array:
    height, width = maps.shape[-2:]
    result = KERNEL(maps.reshape(-1, height, width), size, mode, dtype)[0]
    return result.reshape(*maps.shape[:-2], *size)


def upsample_threshold(logits: mx.array, size: Size) -> mx.array:
    """Masks at the size of the picture: where the enlarged logits are above zero.

    Args:
        logits: (..., h, w) mask logits of a float dtype.
        size: (height, width) wanted, in pixels.

    Returns:
        uint8 (..., height, width), 1 inside and 0 outside.

    Source: sam2/utils/transforms.py, SAM2Transforms.postprocess_masks, and the threshold of
    sam2/sam2_image_predictor.py.
    """
    return _upsample(logits, size, THRESHOLD, mx.uint8)


def upsample_for_memory(logits: mx.array, size: Size, binarise: bool, dtype: mx.Dtype) -> mx.array:
    """The mask that the memory encoder reads.

    Args:
        logits: (..., h, w) mask logits of a float dtype.
        size: (height, width) of the model input, in pixels.
        binarise: use the mask as it was shown, instead of probabilities.
        dtype: of the result.

    Returns:
        (..., height, width) in [-10, 10].

    Source: sam2/modeling/sam2_base.py, SAM2Base._encode_new_memory.
    """
    return _upsample(logits, size, BINARISE if binarise else SIGMOID, dtype)
