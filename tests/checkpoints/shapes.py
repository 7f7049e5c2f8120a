"""The parameters of a model, as its checkpoint must have them."""

from __future__ import annotations

from mlx.utils import tree_flatten

from sam2_mlx.config import ModelConfig
from sam2_mlx.model.sam import Sam


def expected_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Shape of every parameter that a model of these dimensions has, by name."""
    return {key: value.shape for key, value in tree_flatten(Sam(config).parameters())}
