"""What the stage comparison feeds to both sides, and how a large result is sampled. NumPy only.

Layouts: maps (B, h, w, C), masks (B, M, h, w), tokens (B, N, C).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tests.parity.scenes import draw_clip
from tests.parity.seeded_weights import uniform

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)
SAMPLES = 384
"""Values kept of each stage in a golden."""


@dataclass(frozen=True)
class MemoryCase:
    """A tracked frame and the frames it may look at.

    Attributes:
        frame: the tracked frame.
        prompted: frames with a prompt.
        tracked: frames already tracked without one.
        num_frames: length of the clip.
        reverse: direction of tracking.
    """

    frame: int
    prompted: tuple[int, ...]
    tracked: tuple[int, ...]
    num_frames: int = 20
    reverse: bool = False


MEMORY_CASES = {
    "two": MemoryCase(2, (0,), (1,), num_frames=12),
    "seven": MemoryCase(9, (0,), tuple(range(1, 9))),
    "reverse": MemoryCase(2, (6, 1), (3, 4, 5), num_frames=12, reverse=True),
}


@dataclass(frozen=True)
class StageInputs:
    """Seeded inputs of one stage comparison.

    Attributes:
        pixels: (1, S, S, 3) normalised float32.
        points: (1, 3, 2) pixels of the model's input.
        labels: (1, 3) int32; two clicks on the object and one off it.
        box: (1, 4) pixels of the model's input.
        mask_logits: (1, 1, S/4, S/4) smooth mask logits.
        mask: (1, 1, S, S) bool.
    """

    pixels: np.ndarray
    points: np.ndarray
    labels: np.ndarray
    box: np.ndarray
    mask_logits: np.ndarray
    mask: np.ndarray


def normalise(frame: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 to normalised float32 of the same layout."""
    return (frame.astype(np.float32) / np.float32(255) - MEAN) / STD


def make_inputs(image_size: int, seed: int = 0, perturb: float = 0.0) -> StageInputs:
    """Draw the inputs.

    Args:
        image_size: side S of the model's input.
        seed: seed of the picture.
        perturb: noise of this size is added to the normalised pixels.
    """
    clip = draw_clip(1, image_size, image_size, seed)
    pixels = normalise(clip.frames[0])[None]
    if perturb:
        noise = uniform("perturbation", pixels.shape, seed)
        pixels = pixels + np.float32(perturb) * np.sign(noise)
    low = image_size // 4
    rows, columns = np.mgrid[0:low, 0:low].astype(np.float32) / low
    distance = np.hypot(columns - 0.4, rows - 0.45, dtype=np.float32)
    logits = np.clip(40 * (0.27 - distance), -12, 12).astype(np.float32)
    scale = np.float32(image_size)
    points = np.array([[[0.35, 0.45], [0.42, 0.5], [0.9, 0.1]]], np.float32) * scale
    box = np.array([[0.12, 0.2, 0.6, 0.7]], np.float32) * scale
    labels = np.array([[1, 1, 0]], np.int32)
    return StageInputs(pixels, points, labels, box, logits[None, None], clip.masks[:1, :1])


def memory_tokens(frame: int, grid: int, dim: int) -> np.ndarray:
    """(1, grid, grid, dim) memory of one frame, exact in bfloat16."""
    values = uniform(f"memory.{frame}", (1, grid, grid, dim), 0)
    return (values.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)


def memory_pointer(frame: int, dim: int) -> np.ndarray:
    """(1, dim) object pointer of one frame."""
    return uniform(f"pointer.{frame}", (1, dim), 0)


def sample_positions(name: str, count: int) -> np.ndarray:
    """Which values of a flattened stage a golden keeps: all, or a seeded choice."""
    if count <= SAMPLES:
        return np.arange(count)
    spread = uniform(f"sample.{name}", (SAMPLES,), count).astype(np.float64)
    return ((spread / np.sqrt(12) + 0.5) * count).astype(np.int64).clip(0, count - 1)


def sampled(name: str, values: np.ndarray) -> np.ndarray:
    """The kept values of one stage, float32."""
    flat = np.asarray(values, np.float32).reshape(-1)
    return flat[sample_positions(name, flat.size)]
