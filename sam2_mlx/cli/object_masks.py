"""Several objects in one picture: a palette PNG with one value for each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from sam2_mlx.cli.errors import UsageError
from sam2_mlx.media.errors import MediaError


def read_object_masks(path: Path, width: int, height: int) -> dict[int, np.ndarray]:
    """The mask of each object in a palette or grey PNG, such as `--save-masks` writes.

    Args:
        path: the picture; 0 is background, any other value an object's id.
        width: that it must have, in pixels.
        height: that it must have, in pixels.

    Returns:
        bool (height, width) by id, in the order of the ids.

    Raises:
        UsageError: if it has colours instead of values, another size, or no object.
        MediaError: if it is no picture.
        FileNotFoundError: if there is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no picture {path}; check the path")
    try:
        with Image.open(path) as image:
            if image.mode not in ("P", "L", "1", "I;16"):
                raise UsageError(
                    f"{path} has colours ({image.mode}); --objects-from needs a palette or grey "
                    "picture whose values are the objects' ids"
                )
            values = np.asarray(image).astype(np.int64)
    except (OSError, SyntaxError) as problem:
        raise MediaError(f"{path} cannot be decoded ({problem}); save it again") from problem
    if values.shape != (height, width):
        raise UsageError(
            f"{path} has {values.shape[1]}x{values.shape[0]} pixels, the clip {width}x{height}; "
            "save it with the clip's size"
        )
    masks = {int(number): values == number for number in np.unique(values) if number > 0}
    if not masks:
        raise UsageError(f"{path} has no object: all its values are 0")
    return masks
