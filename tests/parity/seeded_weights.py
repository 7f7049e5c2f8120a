"""Weights that depend only on a parameter's name and a seed, so that nothing has to be stored.

Both sides of a comparison call `seeded` with Meta's key names. The gains are a compromise, found
by measuring. Larger ones make the network chaotic: a rounding error grows from frame to frame, and
two correct implementations disagree after ten frames. Smaller ones in the memory make it deaf:
attention to the past turns into a plain mean, and a wrong order, time or pointer moves no mask.
`mistakes.py` shows that common mistakes stand out. NumPy only.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping

import numpy as np

EMBEDDINGS = ("_token.weight", "_tokens.weight", "_embed.weight", "point_embeddings.")
STANDARD_DEVIATIONS = {
    "positional_encoding_gaussian_matrix": 1.0,
    "pos_embed": 0.3,
    "pos_embed_window": 0.3,
    "maskmem_tpos_enc": 1.0,
    "no_mem_embed": 0.3,
    "no_mem_pos_enc": 0.3,
    "no_obj_ptr": 0.5,
    "no_obj_embed_spatial": 0.5,
}
"""Parameters that are tables, by the last part of their name."""

PRESENCE_BIAS_KEY = "sam_mask_decoder.pred_obj_score_head.layers.2.bias"
PRESENT = 6.0
"""Added to the last bias of the object-score head, so that objects are usually present."""


def uniform(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Numbers of mean 0 and variance 1, a pure function of name, shape and seed.

    The raw stream of a bit generator is used because NumPy promises it never changes.

    Args:
        name: any text, usually a parameter's name.
        shape: shape of the result.
        seed: another seed gives other numbers.

    Returns:
        float32 array, uniform in +-sqrt(3).
    """
    digest = hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=16).digest()
    count = math.prod(shape)
    bits = np.random.PCG64(int.from_bytes(digest, "little")).random_raw((count + 1) // 2)
    words = np.asarray(bits, dtype="<u8").view("<u4")[:count]
    centred = words.astype(np.float32)
    centred *= np.float32(2 * math.sqrt(3) / 2**32)
    centred -= np.float32(math.sqrt(3))
    return centred.reshape(shape)


GAINS = (
    ("cross_attn_image.q_proj.weight", 2.0),
    ("cross_attn_image.k_proj.weight", 2.0),
    ("cross_attn_image.out_proj.weight", 0.7),
    ("q_proj.weight", 0.5),
    ("k_proj.weight", 0.5),
    ("mask_downsampler.encoder.12.weight", 2.0),
    ("obj_ptr_proj.layers.2.weight", 3.0),
    ("obj_ptr_proj.", 1.4),
    ("obj_ptr_tpos_proj.", 2.0),
    ("mask_downsample.weight", 0.7),
    ("pred_obj_score_head.layers.2.weight", 4.0),
    ("output_hypernetworks_mlps", 0.8),
    ("output_upscaling", 0.8),
    ("attn.proj.weight", 0.5),
    ("mlp.layers.1.weight", 0.5),
    ("out_proj.weight", 0.5),
    ("linear2.weight", 0.5),
)
"""Factor on 1/sqrt(fan_in) by part of a name; the first that fits counts, else 1."""


def gain(name: str) -> float:
    """Factor on 1/sqrt(fan_in) for one matrix or convolution."""
    if name.startswith("memory_encoder.") and "encoder.12" not in name:
        return 1.0
    return next((value for part, value in GAINS if part in name), 1.0)


def seeded(name: str, shape: Iterable[int], seed: int, present: float = PRESENT) -> np.ndarray:
    """One parameter.

    Args:
        name: Meta's key name.
        shape: Meta's shape (torch layout).
        seed: the seed of the whole model.
        present: raises the object score; lower it for objects that come and go.

    Returns:
        float32 array in Meta's layout.
    """
    shape = tuple(shape)
    noise = uniform(name, shape, seed)
    table = STANDARD_DEVIATIONS.get(name.rsplit(".", 1)[-1])
    if table is not None:
        return noise * np.float32(table)
    if name.endswith("gamma"):
        return np.float32(0.3) + np.float32(0.05) * noise
    if any(part in name for part in EMBEDDINGS):
        return noise * np.float32(0.5)
    if len(shape) == 1:
        offset = present if name == PRESENCE_BIAS_KEY else float(name.endswith("weight"))
        return np.float32(offset) + np.float32(0.1) * noise
    transposed = name in ("sam_mask_decoder.output_upscaling.0.weight",) or (
        name == "sam_mask_decoder.output_upscaling.3.weight"
    )
    fan_in = shape[0] if transposed else math.prod(shape[1:])
    return noise * np.float32(gain(name) / math.sqrt(fan_in))


def seeded_state(
    shapes: Mapping[str, tuple[int, ...]], seed: int, present: float = PRESENT
) -> dict[str, np.ndarray]:
    """Every parameter of a model, by Meta's key name."""
    return {name: seeded(name, shape, seed, present) for name, shape in shapes.items()}
