"""Regular grids of points over a picture."""

from __future__ import annotations

import numpy as np


def point_grid(side: int) -> np.ndarray:
    """Points at the centres of a square grid's cells.

    Args:
        side: rows and columns.

    Returns:
        float64 (side*side, 2) as (x, y) in (0, 1), row by row.

    Raises:
        ValueError: if `side` is not above zero.

    Source: sam2/utils/amg.py, build_point_grid.
    """
    if side < 1:
        raise ValueError(f"a grid of points needs at least 1 point a side; got {side}")
    offset = 1 / (2 * side)
    places = np.linspace(offset, 1 - offset, side)
    x, y = np.meshgrid(places, places)
    return np.stack([x, y], axis=-1).reshape(-1, 2)


def layer_grids(side: int, layers: int, downscale: int) -> list[np.ndarray]:
    """A grid for the picture and for the crops of each layer.

    Args:
        side: points a side on the whole picture.
        layers: layers of crops.
        downscale: each layer has this many times fewer points a side.

    Returns:
        `layers` + 1 grids as of `point_grid`.

    Raises:
        ValueError: if a layer is left without points.

    Source: sam2/utils/amg.py, build_all_layer_point_grids.
    """
    if layers < 0 or downscale < 1:
        raise ValueError(
            f"layers must be at least 0 and the downscale factor at least 1; got {layers} and "
            f"{downscale}"
        )
    return [point_grid(int(side / downscale**layer)) for layer in range(layers + 1)]
