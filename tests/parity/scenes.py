"""Synthetic pictures and clips: textured shapes that move over a textured ground. NumPy only.

Both sides of a comparison draw the same pixels from the same seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tests.parity.seeded_weights import uniform


@dataclass(frozen=True)
class Clip:
    """Frames and the true masks of their shapes.

    Attributes:
        frames: (T, H, W, 3) uint8, RGB.
        masks: (T, 2, H, W) bool; shape 0 is a disc, shape 1 a rectangle in front of it.
    """

    frames: np.ndarray
    masks: np.ndarray


def _texture(name: str, y: np.ndarray, x: np.ndarray, seed: int) -> np.ndarray:
    """Smooth coloured waves at positions y, x (in units of the picture's height)."""
    waves = uniform(f"scene.{name}", (6, 6), seed).astype(np.float64)
    colour = np.zeros((*y.shape, 3))
    for wave in waves:
        phase = 2 * np.pi * (4 * wave[0] * x + 4 * wave[1] * y + wave[2])
        colour += np.sin(phase)[..., None] * wave[3:]
    return colour


def draw_clip(frames: int, height: int, width: int, seed: int = 0) -> Clip:
    """Draw a clip.

    Args:
        frames: number of frames.
        height: rows.
        width: columns.
        seed: other seeds give other textures and paths.

    Returns:
        The clip with its true masks.
    """
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float64) / height
    aspect = width / height
    paths = uniform("scene.paths", (2, 4), seed).astype(np.float64) / 3
    drawn = np.empty((frames, height, width, 3), np.uint8)
    masks = np.zeros((frames, 2, height, width), bool)
    for frame in range(frames):
        turn = 2 * np.pi * frame / 24
        colour = 35 * _texture("ground", rows, columns + 0.01 * frame, seed) + 120
        for shape in range(2):
            centre_x = aspect * (0.35 + 0.3 * shape + 0.12 * np.sin(turn + paths[shape, 0]))
            centre_y = 0.45 + 0.1 * shape + 0.15 * np.sin(turn * 1.3 + paths[shape, 1])
            x, y = columns - centre_x, rows - centre_y
            disc = np.hypot(x, y) < 0.24
            box = (np.abs(x) < 0.2) & (np.abs(y) < 0.14)
            masks[frame, shape] = (disc, box)[shape]
            fill = 45 * _texture(f"shape{shape}", y, x, seed) + (80 + 100 * shape)
            colour = np.where(masks[frame, shape][..., None], fill, colour)
        masks[frame, 0] &= ~masks[frame, 1]
        drawn[frame] = np.clip(np.rint(colour), 0, 255).astype(np.uint8)
    return Clip(drawn, masks)


def draw_picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """One (H, W, 3) uint8 picture: the first frame of the clip with that seed."""
    return draw_clip(1, height, width, seed).frames[0]
