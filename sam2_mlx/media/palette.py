"""Pictures whose values are objects: palette PNGs as DAVIS has them, and grey ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from sam2_mlx.media.errors import MediaError
from sam2_mlx.media.overlay import object_color
from sam2_mlx.media.pictures import DAMAGE, damaged, open_picture

MAX_VALUE = 255
"""Object ids of a palette; 16-bit grey pictures are read, but may not have more."""

_MODES = ("P", "L", "1", "I;16")


def palette_image(
    masks: np.ndarray, values: Sequence[int], ranks: Sequence[int] | None = None
) -> Image.Image:
    """Masks as one picture of mode P; later masks lie on top.

    Args:
        masks: bool (O, H, W).
        values: the pixel value of each mask, 1 to 255.
        ranks: places of the objects' colours; one below their values by default.
    """
    index = np.zeros(masks.shape[1:], np.uint8)
    palette = np.zeros((256, 3), np.uint8)
    ranks = [value - 1 for value in values] if ranks is None else ranks
    for mask, value, rank in zip(masks, values, ranks, strict=True):
        index[mask] = value
        palette[value] = object_color(rank)
    image = Image.fromarray(index)
    image.putpalette(palette.tobytes())
    return image


def read_values(path: Path, size: tuple[int, int]) -> np.ndarray:
    """The values of a palette, grey or black-and-white picture.

    Args:
        path: the picture; its pixels are only decoded if the size is right.
        size: (height, width) of the frames that it belongs to.

    Returns:
        uint8 (height, width).

    Raises:
        MediaError: if it is no picture, damaged, in colour, of another size, or has values that
            are no object ids.
        FileNotFoundError: if there is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no picture {path}; check the path")
    with open_picture(path) as image:
        if image.mode not in _MODES:
            raise MediaError(
                f"{path} has colours (mode {image.mode}); it needs to be a palette or grey PNG "
                "whose values are the objects' ids"
            )
        width, height = image.size
        if (height, width) != size:
            raise MediaError(
                f"{path} has {width}x{height} pixels, the frames {size[1]}x{size[0]}; "
                "save it with the size of the frames"
            )
        try:
            values = np.asarray(image)
        except DAMAGE as problem:
            raise damaged(path, problem) from problem
    if values.max(initial=0) > MAX_VALUE:
        raise MediaError(
            f"{path} has values up to {values.max()}; object ids go from 1 to {MAX_VALUE}"
        )
    return values.astype(np.uint8)
