"""The names that people know a model by."""

from __future__ import annotations

from pathlib import Path

import pytest

from sam2_mlx.checkpoints.names import PUBLISHED, config_for, model_name
from sam2_mlx.config import MODELS


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("tiny", "tiny"),
        (" Tiny ", "tiny"),
        ("2.1-tiny", "tiny"),
        ("base_plus", "base_plus"),
        ("base-plus", "base_plus"),
        ("base+", "base_plus"),
        ("2.0-base-plus", "2.0-base_plus"),
        ("configs/sam2.1/sam2.1_hiera_t.yaml", "tiny"),
        ("configs/sam2.1/sam2.1_hiera_b+.yaml", "base_plus"),
        ("sam2.1_hiera_l.yaml", "large"),
        ("sam2.1_hiera_s", "small"),
        ("configs/sam2/sam2_hiera_s.yaml", "2.0-small"),
        ("sam2_hiera_b+.yaml", "2.0-base_plus"),
        ("sam2.1_hiera_base_plus", "base_plus"),
        ("sam2_hiera_tiny.pt", None),
        ("facebook/sam2.1-hiera-base-plus", "base_plus"),
        ("facebook/sam2-hiera-large", "2.0-large"),
        ("nano", "nano"),
        ("huge", None),
        ("", None),
        ("configs/sam2/sam2.1_hiera_t.yaml", None),
    ],
)
def test_names(text: str, name: str | None) -> None:
    assert model_name(text) == name


def test_published_places() -> None:
    assert set(PUBLISHED) == set(MODELS) - {"nano"}
    places = {(p.repository, p.filename, p.config_file) for p in PUBLISHED.values()}
    assert (
        "facebook/sam2.1-hiera-base-plus",
        "sam2.1_hiera_base_plus.pt",
        "configs/sam2.1/sam2.1_hiera_b+.yaml",
    ) in places
    assert (
        "facebook/sam2-hiera-tiny",
        "sam2_hiera_tiny.pt",
        "configs/sam2/sam2_hiera_t.yaml",
    ) in places


def test_configs_by_name() -> None:
    assert config_for("configs/sam2/sam2_hiera_l.yaml") is MODELS["2.0-large"]
    with pytest.raises(ValueError, match=r"unknown model 'sam3'.*2\.0-large, nano"):
        config_for("sam3")


@pytest.mark.parametrize(
    ("name", "model", "side"),
    [
        ("configs/sam2.1/sam2.1_hiera_b+", "base_plus", 1024),
        ("./sam2_hiera_s.yaml", "2.0-small", 1024),
        ("../sam2/configs/sam2.1/sam2.1_hiera_t.yaml", "tiny", 1024),
        ("/home/user/sam2/sam2.1_hiera_large.yaml", "large", 1024),
        ("C:\\models\\SAM2.1_hiera_l.yaml", "large", 1024),
        ("configs/sam2.1_hiera_t512.yaml", "tiny", 512),
        ("sam2.1_hiera_tiny512_FLARE_RECIST.yaml", "tiny", 512),
        ("configs/sam2.1_training/sam2.1_hiera_b+_MOSE_finetune.yaml", "base_plus", 1024),
    ],
)
def test_config_names_in_all_spellings(name: str, model: str, side: int) -> None:
    assert config_for(name) == MODELS[model].with_image_size(side)


def test_a_config_file_says_the_side(tmp_path: Path) -> None:
    file = tmp_path / "sam2.1_hiera_s.yaml"
    file.write_text("model:\n  _target_: x\n  image_size: 768\n")
    assert config_for(str(file)).image_size == 768
