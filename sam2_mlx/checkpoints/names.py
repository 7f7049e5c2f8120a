"""Names that people use for models: ours, the reference's config files, Hugging Face ids."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from sam2_mlx.config import MODELS, ModelConfig

BUNDLED = "nano"
"""The model that comes with the package."""

_SIZES = {"tiny": "t", "small": "s", "base_plus": "b+", "large": "l"}


@dataclass(frozen=True)
class Published:
    """Where a model is published.

    Attributes:
        repository: Hugging Face id.
        filename: the checkpoint in it.
        config_file: the reference's config file; the first SAM has none.
        aliases: other names for it.
    """

    repository: str
    filename: str
    config_file: str
    aliases: frozenset[str]


_FIRST = {
    "sam1-vit-b": ("facebook/sam-vit-base", "model.safetensors", "sam_vit_b_01ec64", "vit_b"),
    "sam1-vit-l": ("facebook/sam-vit-large", "model.safetensors", "sam_vit_l_0b3195", "vit_l"),
    "sam1-vit-h": ("facebook/sam-vit-huge", "model.safetensors", "sam_vit_h_4b8939", "vit_h"),
    "mobile-sam": ("dhkim2810/MobileSAM", "mobile_sam.pt", "mobile_sam", "vit_t"),
}
"""The first Segment Anything and MobileSAM: repository, file, and other names."""

_EDGE = Published(
    "yonigozlan/EdgeTAM-hf",
    "model.safetensors",
    "configs/edgetam.yaml",
    frozenset({"configs/edgetam.yaml", "edgetam.yaml"}),
)


def _published(name: str) -> Published:
    if name in _FIRST:
        repository, filename, *aliases = _FIRST[name]
        return Published(repository, filename, "", frozenset(aliases))
    if name == "edgetam":
        return _EDGE
    version, size = ("2", name.removeprefix("2.0-")) if name.startswith("2.0-") else ("2.1", name)
    stem = f"sam{version}_hiera"
    stems = (f"{stem}_{_SIZES[size]}", f"{stem}_{size}")
    config_file = f"configs/sam{version}/{stems[0]}.yaml"
    return Published(
        repository=f"facebook/sam{version}-hiera-{size.replace('_', '-')}",
        filename=f"{stem}_{size}.pt",
        config_file=config_file,
        aliases=frozenset({config_file, *stems, *(f"{spelling}.yaml" for spelling in stems)}),
    )


PUBLISHED: dict[str, Published] = {name: _published(name) for name in MODELS if name != BUNDLED}
"""Our name -> where to get it.

Source: sam2/build_sam.py, HF_MODEL_ID_TO_FILENAMES.
"""


_VARIANT = re.compile(
    r"(sam2(?:\.1)?_hiera_(?:t|s|b\+|l|tiny|small|base_plus|large))(\d{3,4})?(?:[_-].*)?"
)
"""What a fine-tune may call its config: the reference's name, the input's side, a word more."""

_MAX_CONFIG_BYTES = 2**20


def model_name(text: str) -> str | None:
    """Our name for what somebody typed, or None.

    Args:
        text: `tiny`, `2.0-large`, `base-plus`, `sam2.1_hiera_t`, `sam2.1_hiera_tiny`,
            `configs/sam2.1/sam2.1_hiera_b+.yaml`, `facebook/sam2.1-hiera-small`,
            `sam_vit_b_01ec64`; case is ignored.
    """
    text = text.strip().lower()
    for name, published in PUBLISHED.items():
        if text == published.repository.lower() or text in published.aliases:
            return name
    plain = re.sub(r"^(?:sam)?2\.1[-_]", "", text)
    plain = re.sub(r"base(?:-plus|\+)$", "base_plus", plain)
    return plain if plain in MODELS else None


def config_for(name: str) -> ModelConfig:
    """The config of a published model, or of one that has its dimensions.

    Args:
        name: any form that `model_name` knows, or the reference's name of a config file with
            whatever stands before and after it: `./configs/sam2.1_hiera_t512.yaml` is `tiny` for
            pictures of 512. In a file that is there, `image_size` is looked up.

    Raises:
        ValueError: no such model; the message lists the names.
    """
    stem = re.split(r"[/\\]", name.strip().lower())[-1].removesuffix(".yaml")
    variant = _VARIANT.fullmatch(stem)
    model = model_name(name) or model_name(variant.group(1) if variant else stem)
    if model is None:
        raise ValueError(unknown_model(name))
    side = variant.group(2) if variant else None
    file = Path(name)
    if file.suffix == ".yaml" and file.is_file() and file.stat().st_size < _MAX_CONFIG_BYTES:
        written = re.search(rb"^ *image_size: *(\d{2,5}) *$", file.read_bytes(), re.MULTILINE)
        side = written.group(1).decode() if written else side
    return MODELS[model].with_image_size(int(side) if side else None)


def unknown_model(name: str) -> str:
    """The message for a name that is no model's."""
    return (
        f"unknown model {name!r}; choose one of {', '.join(MODELS)}, a Hugging Face id such as "
        "facebook/sam2.1-hiera-tiny, or the path of a .pt file, a .safetensors file or a folder"
    )
