"""Several objects in one picture: a palette PNG with one value for each."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sam2_mlx.cli.errors import UsageError
from sam2_mlx.media.palette import read_values


def read_object_masks(path: Path, width: int, height: int) -> dict[int, np.ndarray]:
    """The mask of each object in a palette or grey PNG, such as `--save-masks` writes.

    Args:
        path: the picture; 0 is background, any other value an object's id.
        width: that it must have, in pixels.
        height: that it must have, in pixels.

    Returns:
        bool (height, width) by id, in the order of the ids.

    Raises:
        UsageError: if it shows no object.
        MediaError: as of `read_values`.
        FileNotFoundError: if there is no such file.
    """
    values = read_values(path, (height, width))
    masks = {int(number): values == number for number in np.unique(values) if number > 0}
    if not masks:
        raise UsageError(f"{path} has no object: all its values are 0")
    return masks
