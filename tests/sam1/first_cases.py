"""Models, pictures and prompts that both sides of the comparison use. NumPy only."""

from __future__ import annotations

from typing import Any

import numpy as np

SMALL_VIT = {
    "embed_dim": 96,
    "depth": 4,
    "num_heads": 4,
    "global_blocks": (1, 3),
    "window_size": 14,
    "grid": 16,
}
"""Has windows that do not divide the grid, global blocks, and 256 pixels a side."""

MODELS = {
    "small": ("vit", 256),
    "vit_b": ("vit", 1024),
    "vit_b_256": ("vit", 256),
    "mobile": ("tiny_vit", 1024),
}
"""Name of a golden -> kind of encoder, and side of the input."""

LARGER = {"vit_l_256": ("vit", 256), "vit_h_256": ("vit", 256)}
"""Too large to be compared in every run; their goldens are made on request and not kept."""

PROMPTS: dict[str, dict[str, Any]] = {
    "click": {"point_coords": [[70.0, 40.0]], "point_labels": [1]},
    "clicks": {"point_coords": [[70.0, 40.0], [20.5, 90.0]], "point_labels": [1, 0]},
    "box": {"box": [20.0, 15.0, 120.0, 100.0], "multimask_output": False},
    "box_and_click": {
        "box": [20.0, 15.0, 120.0, 100.0],
        "point_coords": [[60.0, 30.0]],
        "point_labels": [0],
    },
}
SIZE = (110, 150)
"""(height, width) of the picture: its long side is across."""


def draw_first() -> np.ndarray:
    """uint8 (110, 150, 3): smooth colours with two shapes."""
    y, x = np.mgrid[0 : SIZE[0], 0 : SIZE[1]]
    picture = np.stack([x + y // 2, 200 - y, 90 + (x * y) // 200], axis=-1)
    picture[20:70, 50:110] = (210, 60, 40)
    picture[(x - 35) ** 2 + (y - 85) ** 2 < 400] = (30, 160, 220)
    return np.clip(picture, 0, 255).astype(np.uint8)


def draw_input(side: int) -> np.ndarray:
    """float32 (side, side, 3): a model's input, normalised already."""
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / np.float32(side)
    waves = [np.sin(9 * x + 4 * y), np.cos(5 * x - 7 * y), np.sin(14 * x * y)]
    values = np.stack(waves, axis=-1)
    values[side // 4 : side // 2, side // 4 : side // 2] *= -1
    return values.astype(np.float32)


def sampled(values: np.ndarray, count: int = 1500) -> np.ndarray:
    """Some of the values, spread evenly, always the same."""
    flat = np.ascontiguousarray(values).reshape(-1)
    if flat.size <= count:
        return flat
    return flat[np.random.PCG64(flat.size).random_raw(count) % np.uint64(flat.size)]
