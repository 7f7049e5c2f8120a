"""Names that people use for models: ours, the reference's config files, Hugging Face ids."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from sam2_mlx.config import MODELS, ModelConfig

BUNDLED = "nano"
"""The model that comes with the package."""

_SIZES = {"tiny": "t", "small": "s", "base_plus": "b+", "large": "l"}


@dataclass(frozen=True)
class Published:
    """Where Meta publishes a model.

    Attributes:
        repository: Hugging Face id.
        filename: the checkpoint in it.
        config_file: the reference's config file.
    """

    repository: str
    filename: str
    config_file: str


def _published(name: str) -> Published:
    version, size = ("2", name.removeprefix("2.0-")) if name.startswith("2.0-") else ("2.1", name)
    stem = f"sam{version}_hiera"
    return Published(
        repository=f"facebook/sam{version}-hiera-{size.replace('_', '-')}",
        filename=f"{stem}_{size}.pt",
        config_file=f"configs/sam{version}/{stem}_{_SIZES[size]}.yaml",
    )


PUBLISHED: dict[str, Published] = {name: _published(name) for name in MODELS if name != BUNDLED}
"""Our name -> where to get it.

Source: sam2/build_sam.py, HF_MODEL_ID_TO_FILENAMES.
"""


def model_name(text: str) -> str | None:
    """Our name for what somebody typed, or None.

    Args:
        text: `tiny`, `2.0-large`, `base-plus`, `sam2.1_hiera_t`, `sam2.1_hiera_tiny`,
            `configs/sam2.1/sam2.1_hiera_b+.yaml`, `facebook/sam2.1-hiera-small`; case is ignored.
    """
    text = text.strip().lower()
    for name, published in PUBLISHED.items():
        stems = {PurePosixPath(published.config_file).stem, published.filename.removesuffix(".pt")}
        known = {published.repository, published.config_file, *stems}
        if text in known | {f"{stem}.yaml" for stem in stems}:
            return name
    plain = re.sub(r"^(?:sam)?2\.1[-_]", "", text)
    plain = re.sub(r"base(?:-plus|\+)$", "base_plus", plain)
    return plain if plain in MODELS else None


def config_for(name: str) -> ModelConfig:
    """The config of a published model.

    Args:
        name: any form that `model_name` knows, such as the reference's config names.

    Raises:
        ValueError: no such model; the message lists the names.
    """
    known = model_name(name)
    if known is None:
        raise ValueError(unknown_model(name))
    return MODELS[known]


def unknown_model(name: str) -> str:
    """The message for a name that is no model's."""
    return (
        f"unknown model {name!r}; choose one of {', '.join(MODELS)}, a Hugging Face id such as "
        "facebook/sam2.1-hiera-tiny, or the path of a .pt file, a .safetensors file or a folder"
    )
