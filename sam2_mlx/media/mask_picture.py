"""An object's mask from a picture, whoever made it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import ImageOps

from sam2_mlx.media.errors import MediaError
from sam2_mlx.media.pictures import open_picture, picture_size


def read_mask(path: Path, object_id: int, width: int, height: int) -> np.ndarray:
    """An object's mask from a picture.

    Args:
        path: the picture: a palette PNG with ids, one with alpha, or light on black.
        object_id: which value of a palette PNG.
        width: that it must have, in pixels.
        height: that it must have, in pixels.

    Returns:
        bool (height, width).

    Raises:
        MediaError: if it has another size, is empty or no picture.
        FileNotFoundError: if there is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no mask file {path}; check the path")
    size = picture_size(path)
    if size != (width, height):
        raise MediaError(
            f"the mask {path} has {size[0]}x{size[1]} pixels, the picture {width}x{height}; "
            "save the mask with the picture's size"
        )
    try:
        with open_picture(path) as image:
            upright = ImageOps.exif_transpose(image)
            if upright.mode == "P" and not upright.has_transparency_data:
                values = np.asarray(upright)
                mask = values == object_id if (values == object_id).any() else values != 0
            else:
                band = "A" if upright.mode in ("RGBA", "LA") else None
                grey = upright.getchannel(band) if band else upright.convert("L")
                values = np.asarray(grey)
                if band and values.min() == 255:
                    values = np.asarray(upright.convert("L"))
                # Half of the lightest: masks are written with 1 as well as with 255.
                mask = values > values.max() / 2
    except (OSError, SyntaxError, ValueError, RuntimeError) as problem:
        raise MediaError(
            f"the mask {path} cannot be decoded ({problem}); save it again"
        ) from problem
    if not mask.any():
        raise MediaError(f"the mask {path} is empty; draw the object in white on black")
    return mask
