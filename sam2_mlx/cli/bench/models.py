"""Models to measure: published ones where they are at hand, seeded ones elsewhere."""

from __future__ import annotations

from pathlib import Path

import mlx.core as mx
from mlx.utils import tree_map

from sam2_mlx.checkpoints import hub
from sam2_mlx.checkpoints.load import load
from sam2_mlx.checkpoints.names import BUNDLED, PUBLISHED, model_name, unknown_model
from sam2_mlx.config import MODELS, ModelConfig
from sam2_mlx.model.folding import fold, folding_wanted, lay_out
from sam2_mlx.model.sam import Sam
from sam2_mlx.ops.dtypes import resolve_dtype
from sam2_mlx.ops.profile import Profile, use

SEEDED = "seeded random weights"
"""What is said of a model without weights; speed does not depend on them."""


def model_names(text: str) -> list[str]:
    """The models that `--model` means.

    Args:
        text: a name, a folder or a file, or "all" for every published model with a memory.
    """
    if text != "all":
        return [text]
    return [name for name, config in MODELS.items() if config.memory and "2.0" not in name]


def find_model(text: str, dtype: str, image_size: int | None) -> tuple[Sam, str]:
    """A model to measure; nothing is downloaded.

    Args:
        text: a name, a folder or a file.
        dtype: as for `sam2_mlx.load`.
        image_size: input size in pixels, or None.

    Returns:
        The model, and where its weights are from.

    Raises:
        ValueError: an unknown name, dtype or image size.
        FileNotFoundError: a path with nothing there.
    """
    name = model_name(text)
    if name is None and not Path(text).expanduser().exists():
        if "/" in text or text.endswith((".pt", ".safetensors")):
            raise FileNotFoundError(f"no file or folder {text}; check the path")
        raise ValueError(unknown_model(text))
    if name in PUBLISHED and hub.cached(PUBLISHED[name].repository) is None:
        config = MODELS[name].with_image_size(image_size)
        use(Profile())
        return seeded_model(config, resolve_dtype(dtype)), SEEDED
    origin = "bundled weights" if name == BUNDLED else "published weights" if name else text
    return load(text, dtype=dtype, image_size=image_size), origin


def seeded_model(config: ModelConfig, dtype: mx.Dtype) -> Sam:
    """A model with small random weights, the same at every call."""
    mx.random.seed(0)
    model = Sam(config)

    def fill(value: mx.array) -> mx.array:
        return (0.02 * mx.random.normal(value.shape)).astype(dtype)

    model.update(tree_map(fill, model.parameters()))
    model = fold(model) if folding_wanted() else model
    lay_out(model)
    mx.eval(model.parameters())
    model.eval()
    return model
