"""A tiny model with random weights that behave: the whole pipeline in a blink."""

from __future__ import annotations

from dataclasses import replace

import mlx.core as mx
import numpy as np
from mlx.utils import tree_map_with_path

from sam2_mlx.config import DecoderConfig, HieraConfig, MemoryConfig, ModelConfig
from sam2_mlx.model.sam import Sam

CONFIG = ModelConfig(
    name="toy",
    image_size=64,
    hidden_dim=64,
    encoder=HieraConfig(16, 1, (1, 1, 2, 1), (3,), (8, 4, 4, 2), (7, 7)),
    decoder=DecoderConfig(mlp_dim=64, iou_hidden_dim=32),
    memory=MemoryConfig(dim=16, num_layers=2, feedforward_dim=64, fuser_layers=1),
)


def tiny_model(dtype: mx.Dtype = mx.float32, *, seed: int = 0, **changes: object) -> Sam:
    """A model of `CONFIG` whose objects count as present and whose masks are not empty."""
    model = Sam(replace(CONFIG, **changes))  # type: ignore[arg-type]
    rng = np.random.default_rng(seed)

    def fill(path: str, value: mx.array) -> mx.array:
        leaf = path.split(".")[-1]
        fan_in = value.size // value.shape[0] if value.ndim > 1 else 1
        noise = rng.standard_normal(value.shape).astype(np.float32)
        if "norm" in path and leaf == "weight":
            noise = 1 + 0.1 * noise
        elif leaf in ("weight", "gamma") and value.ndim > 1:
            noise = 0.8 * noise / np.sqrt(fan_in)
        else:
            noise = 0.1 * noise
        return mx.array(noise).astype(dtype)

    model.update(tree_map_with_path(fill, model.parameters()))
    head = model.mask_decoder.pred_obj_score_head.layers[-1]
    head.bias = mx.full(head.bias.shape, 3.0, dtype)
    model.eval()
    return model


class ToyClip:
    """Frames with a bright square that moves over noise."""

    width, height = 96, 64

    def __init__(self, num_frames: int = 8, seed: int = 0) -> None:
        self.num_frames = num_frames
        self.reads: list[int] = []
        rng = np.random.default_rng(seed)
        self._background = rng.integers(0, 120, (self.height, self.width, 3)).astype(np.uint8)

    def read(self, index: int) -> np.ndarray:
        self.reads.append(index)
        frame = self._background.copy()
        x = 10 + 5 * (index % 10)
        frame[20:44, x : x + 24] = (230, 180, 60)
        return frame
