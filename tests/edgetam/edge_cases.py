"""Seeded weights, drawn inputs and goldens of EdgeTAM. NumPy only.

The goldens were made by the torch reference (edgetam-dimos 1.0.1, timm 1.0.31, torch 2.13.0) with
the weights of `seeded_edge`; record.json has all versions, the calls, and how far the reference
moves when pixels move by 1e-6.
"""

from __future__ import annotations

import gzip
import json
import math
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from tests.parity.seeded_weights import seeded, uniform

GOLDENS = Path(__file__).parent / "goldens"
BORROWED = Path(__file__).parent / "borrowed"
"""Not in the repository: video.npz and frames/00000.jpg, ... of a clip that is not ours."""

_GAINS = {
    "token_mixer.conv.c.weight": 0.5,
    "token_mixer.conv1.c.weight": 0.3,
    "channel_mixer.conv2.c.weight": 0.35,
    "ffn.conv2.c.weight": 0.35,
    "spatial_downsample.c.weight": 1.0,
    "channel_downsample.c.weight": 0.8,
    "stem.conv1.c.weight": 1.0,
    "stem.conv2.c.weight": 1.2,
    "neck.convs.": 1.5,
    "se.fc1.weight": 2.0,
    "se.fc2.weight": 2.0,
    "attn.to_q.weight": 4.0,
    "attn.to_kv.weight": 1.0,
    "attn.to_out.weight": 1.5,
    "ff.1.weight": 1.0,
    "ff.3.weight": 0.5,
    "cross_attn_image.q_proj.weight": 2.5,
    "cross_attn_image.k_proj.weight": 2.5,
    "cross_attn_image.v_proj.weight": 1.0,
    "cross_attn_image.out_proj.weight": 1.5,
    "mask_downsampler.encoder.12.weight": 4.0,
}
# Of the matrices and convolutions that have a rule here; all others are SAM 2's, as they are there.
_EDGE_PARTS = ("image_encoder.", "spatial_perceiver.")
_EDGE_INNER = ("cross_attn_image.", "mask_downsampler.encoder.12.")

MEMORY_CASES = {
    "two": (2, (0,), (1,), 12, False),
    "seven": (9, (0,), tuple(range(1, 9)), 20, False),
    "reverse": (2, (6, 1), (3, 4, 5), 12, True),
}
"""The tracked frame, prompted frames, frames tracked before, frames of the clip, and direction."""


@lru_cache(maxsize=1)
def record() -> dict[str, Any]:
    """What is known of the goldens."""
    known: dict[str, Any] = json.loads((GOLDENS / "record.json").read_text())
    return known


@lru_cache(maxsize=1)
def keys() -> dict[str, Any]:
    """`meta`: the reference's keys and shapes; `transformers`: for each, that library's keys."""
    with gzip.open(GOLDENS / "keys.json.gz") as file:
        known: dict[str, Any] = json.load(file)
    return known


def golden(name: str) -> dict[str, np.ndarray]:
    """A file of goldens."""
    with np.load(GOLDENS / f"{name}.npz") as arrays:
        return dict(arrays)


def seeded_edge(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """One tensor of the reference's state, a pure function of its key, shape and seed."""
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    offset, deviation = 0.0, None
    if name.endswith("running_var"):
        offset, deviation = 1.0, 0.3
    elif name.endswith(("running_mean", "bn.bias")):
        deviation = 0.1
    elif name.endswith("se.fc2.bias"):
        offset, deviation = 1.5, 0.3
    elif name.startswith("spatial_perceiver.latents"):
        deviation = 0.4
    elif len(shape) > 1 and (
        name.startswith(_EDGE_PARTS) or any(part in name for part in _EDGE_INNER)
    ):
        gain = next((value for part, value in _GAINS.items() if part in name), 1.0)
        deviation = gain / math.sqrt(math.prod(shape[1:]))
    if deviation is None:
        return seeded(name, shape, seed)
    return np.float32(offset) + np.float32(deviation) * uniform(name, shape, seed)


def seeded_state(seed: int) -> dict[str, np.ndarray]:
    """The reference's whole state."""
    return {name: seeded_edge(name, tuple(shape), seed) for name, shape in keys()["meta"].items()}


def transformers_state(state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same under the transformers library's names."""
    renamed: dict[str, np.ndarray] = {}
    points: dict[int, np.ndarray] = {}
    for name, value in state.items():
        targets = keys()["transformers"][name]
        halves = np.split(value, 2) if "to_kv" in name else [value] * len(targets)
        for target, part in zip(targets, halves, strict=True):
            if target.endswith("]"):
                target, row = target[:-1].split("[")
                points[int(row)] = part
                part = np.concatenate([points[i] for i in sorted(points)])
            renamed[target] = part
    return renamed


def drawn_picture(side: int) -> np.ndarray:
    """A (side, side, 3) uint8 picture, in whole numbers only, so alike on every machine."""
    y, x = np.mgrid[0:side, 0:side].astype(np.int64)

    def wave(v: np.ndarray, period: int) -> np.ndarray:
        return np.abs((v % period) * 510 // period - 255)

    def inside(share: int) -> int:
        return side * share // 100

    red = (2 * wave(3 * x + y, 700) + wave(x * y // 97, 530)) // 3
    green = (wave(2 * y - x + 5000, 610) + wave(x, 230)) // 2
    blue = (wave(x + 2 * y, 830) + wave(y * y // 300 + x, 450)) // 2
    stripes = (200 + wave(x - y + 4 * side, 90) // 5, 60 + wave(y, 70) // 4, 40 + wave(x, 110) // 3)
    sheet = (30 + wave(x, 160) // 6, 90 + wave(y, 120) // 5, 210 + 0 * x)
    disc = (x - inside(36)) ** 2 + (y - inside(44)) ** 2 < inside(21) ** 2
    box = (abs(x - inside(70)) < inside(15)) & (abs(y - inside(62)) < inside(11))
    image = np.stack([red, green, blue], -1)
    image = np.where(disc[..., None], np.stack(stripes, -1), image)
    image = np.where(box[..., None], np.stack(sheet, -1), image)
    return image.clip(0, 255).astype(np.uint8)


def normalised(image: np.ndarray) -> np.ndarray:
    """(S, S, 3) uint8 to float32 as the network reads it."""
    mean = np.array([0.485, 0.456, 0.406], np.float32)
    deviation = np.array([0.229, 0.224, 0.225], np.float32)
    return (image.astype(np.float32) / np.float32(255) - mean) / deviation


def soft_disc(side: int) -> np.ndarray:
    """(1, 1, side, side) float32 mask logits, 12 inside and -12 outside."""
    y, x = np.mgrid[0:side, 0:side].astype(np.float64) / side
    logits = 40 * (0.27 - np.sqrt((x - 0.4) ** 2 + (y - 0.45) ** 2))
    return np.clip(logits, -12, 12).astype(np.float32)[None, None]


def memory_tokens(frame: int) -> np.ndarray:
    """(1, 512, 64) memory of one frame, exact in bfloat16."""
    values = uniform(f"memory.{frame}", (1, 512, 64), 0)
    return (values.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)


def memory_pointer(frame: int) -> np.ndarray:
    """(1, 256) object pointer of one frame."""
    return uniform(f"pointer.{frame}", (1, 256), 0)


def thin(values: np.ndarray) -> np.ndarray:
    """What a golden keeps of a stage without its leading axis: all, or about 16 of every axis."""
    kept = np.asarray(values, np.float32)[0]
    if kept.size <= 16384:
        return kept
    counts = {3: (16, 16, 16), 2: (128, 32)}.get(kept.ndim, (64,))
    for axis, count in enumerate(counts):
        step = max(1, kept.shape[axis] // count)
        places = np.arange(step // 2, kept.shape[axis], step)
        if axis == kept.ndim - 1 and kept.shape[axis] > count:
            # Of channels every second one is moved, so that sines and cosines are both there.
            places = np.minimum(places + np.arange(len(places)) % 2, kept.shape[axis] - 1)
        kept = kept.take(places, axis)
    return kept
