"""Dimensions are read off the tensors; what tensors do not show is asked for by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sam2_mlx.checkpoints.infer import infer_config
from sam2_mlx.checkpoints.load import BUNDLED_FOLDER
from sam2_mlx.checkpoints.names import PUBLISHED
from sam2_mlx.checkpoints.read import read_weights
from sam2_mlx.checkpoints.tensors import CheckpointError
from sam2_mlx.config import MODELS, DecoderConfig, MemoryConfig, ModelConfig
from tests.checkpoints.conftest import UNSEEN
from tests.checkpoints.shapes import expected_shapes
from tests.checkpoints.torch_files import write_model


@pytest.mark.parametrize("name", MODELS)
def test_published_models_need_nothing_but_their_tensors(name: str) -> None:
    assert infer_config(expected_shapes(MODELS[name])) == MODELS[name]


@pytest.mark.parametrize(
    "changed",
    [
        {"hidden_dim": 128},
        {"memory": MemoryConfig(dim=32, num_frames=5, num_layers=2, feedforward_dim=96)},
        {"memory": MemoryConfig(fuser_layers=3, pointer_time=False)},
        {"memory": None},
        {"decoder": DecoderConfig(num_layers=3, mlp_dim=64, iou_hidden_dim=32, num_multimasks=4)},
    ],
    ids=lambda changed: ",".join(changed),
)
def test_other_dimensions_on_a_published_encoder(changed: dict[str, object]) -> None:
    config = replace(MODELS["tiny"], **changed)  # type: ignore[arg-type]
    assert replace(infer_config(expected_shapes(config)), name="tiny") == config


def test_an_encoder_of_its_own_needs_a_config_file(
    tmp_path: Path, meta: dict[str, np.ndarray], config: ModelConfig
) -> None:
    path = write_model(tmp_path / "model.pt", meta)
    with pytest.raises(CheckpointError) as caught:
        read_weights(path)
    text = str(caught.value)
    for name in ("num_heads", "global_blocks", "window_sizes", "image_size"):
        assert name in text
    assert "embed_dim 8, stages [1, 2, 3, 1]" in text
    # The example in the message has the right form.
    example = json.loads(text[text.index("{") :])
    assert infer_config(expected_shapes(config), example).image_size == 1024
    (tmp_path / "config.json").write_text(json.dumps(UNSEEN))
    assert read_weights(path).config == config
    (tmp_path / "config.json").unlink()
    assert read_weights(path, config=config).config == config


def test_the_image_size_can_be_chosen(meta_file: Path) -> None:
    assert read_weights(meta_file, image_size=96).config.image_size == 96
    with pytest.raises(ValueError, match="multiple of 32"):
        read_weights(meta_file, image_size=100)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({**UNSEEN, "image_sise": 3}, "image_sise"),
        ({**UNSEEN, "image_size": "big"}, "a whole number from 32 to 4096; got 'big'"),
        ({**UNSEEN, "image_size": 100}, "multiple of 32"),
        ({"encoder": 3}, "encoder is an object; got 3"),
        ({"encoder": {"heads": 3}, "image_size": 64}, "num_heads"),
    ],
)
def test_config_files_that_cannot_be_used(
    meta_file: Path, given: dict[str, object], words: str
) -> None:
    (meta_file.parent / "config.json").write_text(json.dumps(given))
    with pytest.raises(CheckpointError, match=words):
        read_weights(meta_file)


@pytest.mark.parametrize(
    "lost",
    [
        "image_encoder.trunk.pos_embed",
        "sam_mask_decoder.mask_tokens.weight",
        "memory_attention.layers.0.linear1.bias",
        "image_encoder.neck.convs.0.conv.bias",
    ],
)
def test_a_parameter_that_the_dimensions_hang_on(
    tmp_path: Path,
    config_beside: object,
    meta: dict[str, np.ndarray],
    lost: str,
    save: Callable[[Path, dict[str, np.ndarray]], Path],
) -> None:
    part = {key: value for key, value in meta.items() if key != lost}
    with pytest.raises(CheckpointError, match="is missing"):
        read_weights(write_model(tmp_path / "model.pt", part))
    odd = {**meta, lost: np.zeros(0, np.float32)}
    with pytest.raises(CheckpointError):
        read_weights(save(tmp_path / "odd.safetensors", odd))


def test_an_input_size_that_is_guessed_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    official = replace(PUBLISHED["tiny"], filename="nano.safetensors")
    monkeypatch.setitem(PUBLISHED, "nano", official)
    weights = (BUNDLED_FOLDER / "model.safetensors").read_bytes()
    for name in ("nano.safetensors", "tuned.safetensors"):
        (tmp_path / name).write_bytes(weights)
    read_weights(tmp_path / "nano.safetensors")
    tuned = tmp_path / "tuned.safetensors"
    with pytest.warns(UserWarning, match="nothing in tuned.safetensors tells its input size"):
        assert read_weights(tuned).config.image_size == 256
    assert read_weights(tuned, image_size=512).config.image_size == 512
    (tmp_path / "config.json").write_text('{"model_type": "sam2_video", "image_size": 512}')
    assert read_weights(tuned).config.image_size == 512
