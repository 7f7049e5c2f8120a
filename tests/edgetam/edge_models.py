"""Seeded EdgeTAMs, by way of our converter."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import mlx.core as mx
import numpy as np

from sam2_mlx.checkpoints.read import fitting_model
from sam2_mlx.checkpoints.rename import rename
from sam2_mlx.checkpoints.tensors import StoredTensor
from sam2_mlx.config import MODELS
from sam2_mlx.model.folding import fold
from sam2_mlx.model.sam import Sam
from tests.edgetam.edge_cases import seeded_state


def stored(state: Mapping[str, np.ndarray]) -> dict[str, StoredTensor]:
    """Arrays as a checkpoint's reader hands them on."""
    return {
        name: StoredTensor(value.shape, str(value.dtype), lambda v=value: mx.array(v))
        for name, value in state.items()
    }


@lru_cache(maxsize=2)
def seeded_edge_model(
    seed: int, image_size: int, dtype: mx.Dtype = mx.float32, folded: bool = True
) -> Sam:
    """A model with the weights that the goldens were made with."""
    renamed = rename(stored(seeded_state(seed)))
    model = fitting_model(renamed, MODELS["edgetam"].with_image_size(image_size))
    arrays = {name: tensor.read().astype(dtype) for name, tensor in renamed.tensors.items()}
    model.load_weights(list(arrays.items()), strict=True)
    mx.eval(model.parameters())
    model.eval()
    return fold(model) if folded else model
