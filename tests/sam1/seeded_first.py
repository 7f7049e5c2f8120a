"""Weights of the first Segment Anything that depend only on a name and a seed. NumPy only.

Both sides of a comparison use Meta's (or MobileSAM's) key names, so nothing has to be stored.
"""

from __future__ import annotations

import numpy as np

from tests.parity.seeded_weights import uniform

TABLES = {
    "positional_encoding_gaussian_matrix": 1.0,
    "positional_embedding": 1.0,
    "pos_embed": 0.3,
    "rel_pos_h": 0.15,
    "rel_pos_w": 0.15,
    "attention_biases": 0.5,
}
EMBEDDINGS = ("_token.weight", "_tokens.weight", "_embed.weight", "point_embed")
TRANSPOSED = (
    "output_upscaling.0.weight",
    "output_upscaling.3.weight",
    "upscale_conv1.weight",
    "upscale_conv2.weight",
)
GAINS = (
    ("q_proj.weight", 0.5),
    ("k_proj.weight", 0.5),
    ("attn.proj.weight", 0.5),
    ("mlp.lin2.weight", 0.5),
    ("mlp.fc2.weight", 0.5),
    ("out_proj.weight", 0.5),
    ("output_hypernetworks_mlps", 0.8),
    ("output_upscaling", 0.8),
    ("upscale_conv", 0.8),
)
"""Factor on 1/sqrt(fan_in) by part of a name; the first that fits counts, else 1."""


def seeded_first(name: str, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """One parameter, float32 in Meta's layout.

    Args:
        name: Meta's or MobileSAM's key name.
        shape: its shape there.
        seed: another seed gives another model.
    """
    leaf = name.rsplit(".", 1)[-1]
    noise = uniform(name, tuple(shape), seed)
    if leaf in TABLES:
        return noise * np.float32(TABLES[leaf])
    if leaf == "running_var":
        return np.float32(1) + np.float32(0.2) * noise
    if any(part in name for part in EMBEDDINGS):
        return noise * np.float32(0.5)
    if len(shape) == 1:
        return np.float32(leaf == "weight") + np.float32(0.1) * noise
    up = name.endswith(TRANSPOSED)
    fan_in = shape[0] if up else int(np.prod(shape[1:]))
    gain = next((value for part, value in GAINS if part in name), 1.0)
    return noise * np.float32(gain / np.sqrt(fan_in))
