"""EdgeTAM's checkpoints: every layout gives one model, and what does not fit is refused."""

from __future__ import annotations

import json
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_flatten
from safetensors.numpy import save_file

import sam2_mlx
from sam2_mlx.checkpoints.convert import convert_checkpoint
from sam2_mlx.checkpoints.names import config_for, model_name
from sam2_mlx.checkpoints.tensors import CheckpointError
from sam2_mlx.cli.model import ModelChoice, load_model
from sam2_mlx.config import MODELS
from sam2_mlx.tracking.session import TrackingSession
from tests.checkpoints.torch_files import write_model
from tests.edgetam.edge_cases import seeded_state, transformers_state
from tests.tiny import ToyClip

State = dict[str, np.ndarray]
CONFIG = MODELS["edgetam"]


@pytest.fixture(scope="module")
def state() -> State:
    return seeded_state(5)


@pytest.fixture(scope="module")
def file(state: State, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _saved(state, tmp_path_factory.mktemp("edgetam") / "edgetam.safetensors")


def _saved(state: State, path: Path) -> Path:
    save_file({name: np.ascontiguousarray(value) for name, value in state.items()}, path)
    return path


def _arrays(path: Path) -> dict[str, mx.array]:
    return dict(tree_flatten(sam2_mlx.load(path, dtype="float32").parameters()))


def _same(one: dict[str, mx.array], other: dict[str, mx.array]) -> bool:
    return one.keys() == other.keys() and all(mx.array_equal(one[k], other[k]) for k in one)


def test_every_layout_and_format_gives_the_same_model(
    state: State, file: Path, tmp_path: Path
) -> None:
    known = _arrays(file)
    write_model(tmp_path / "edgetam.pt", state)
    assert _same(_arrays(tmp_path / "edgetam.pt"), known)
    assert _same(_arrays(_saved(transformers_state(state), tmp_path / "hf.safetensors")), known)
    assert convert_checkpoint(file, tmp_path / "folder") == CONFIG
    assert _same(_arrays(tmp_path / "folder"), known)
    assert not any("bn" in name or "conv1.c" in name for name in known)


def test_a_converted_folder_tells_its_dimensions(file: Path, tmp_path: Path) -> None:
    convert_checkpoint(file, tmp_path / "half", dtype="float16", image_size=512)
    config = json.loads((tmp_path / "half" / "config.json").read_text())["model"]
    assert config["encoder"]["kind"] == "repvit"
    assert config["memory"]["perceiver"] == {
        "latents": 256,
        "side": 16,
        "num_layers": 2,
        "expansion": 4,
    }
    model = sam2_mlx.load(tmp_path / "half")
    assert model.config == CONFIG.with_image_size(512)


def test_norms_are_folded_before_they_are_rounded(state: State, tmp_path: Path) -> None:
    # The variance of a dead channel is zero in half precision, and its square root no divisor.
    name = "image_encoder.trunk.body.stages_3.blocks.1.channel_mixer.conv1"
    small = dict(state)
    small[f"{name}.bn.running_var"] = np.full((768,), 1e-9, np.float32)
    small[f"{name}.c.weight"] = 1e-4 * state[f"{name}.c.weight"]
    convert_checkpoint(
        _saved(small, tmp_path / "m.safetensors"), tmp_path / "half", dtype="float16"
    )
    layer = sam2_mlx.load(tmp_path / "half").image_encoder.trunk.stages[3].blocks[1]
    scale = state[f"{name}.bn.weight"] / np.sqrt(1e-9 + 1e-5)
    expected = 1e-4 * state[f"{name}.c.weight"][:, :, 0, 0] * scale[:, None]
    np.testing.assert_allclose(
        np.array(layer.channel_mixer.conv1.weight[:, 0, 0]), expected, rtol=2e-3, atol=1e-6
    )


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        ({"image_encoder.trunk.body.stem.conv1.bn.running_var": None}, "missing: image_encoder"),
        ({"spatial_perceiver.layers.1.attn.to_kv.weight": None}, "attn.to_kv"),
        ({"spatial_perceiver.latents_2d": np.zeros((250, 64), np.float32)}, "latents_2d"),
        ({"image_encoder.trunk.body.stages_4.blocks.0.se.fc1.bias": np.zeros(3)}, "unexpected"),
        (
            {"image_encoder.trunk.body.stem.conv1.bn.running_var": np.zeros(7, np.float32)},
            "stem.conv1",
        ),
    ],
)
def test_what_does_not_fit_is_refused(
    state: State, tmp_path: Path, spoil: dict[str, np.ndarray | None], message: str
) -> None:
    changed = {name: value for name, value in {**state, **spoil}.items() if value is not None}
    with pytest.raises(CheckpointError, match=message) as caught:
        sam2_mlx.load(_saved(changed, tmp_path / "m.safetensors"))
    assert "\n" not in str(caught.value)


def test_names() -> None:
    for name in ("edgetam", "EdgeTAM", "yonigozlan/EdgeTAM-hf", "configs/edgetam.yaml"):
        assert model_name(name) == "edgetam"
        assert config_for(name) == CONFIG


def test_sizes(file: Path) -> None:
    model = sam2_mlx.load(file, image_size=224)
    predictor = sam2_mlx.SAM2ImagePredictor(model)
    predictor.set_image(ToyClip().read(0))
    masks, _, _ = predictor.predict(point_coords=[[20, 30]], point_labels=[1])
    assert masks.shape == (3, 64, 96)
    says = r"multiples of 256 \(256, 512, 768, 1024\); got 224"
    assert not model.config.follows and CONFIG.follows
    with pytest.raises(ValueError, match=says):
        TrackingSession(model)
    # A command that follows says so before it does anything else.
    with pytest.raises(ValueError, match=says):
        load_model(ModelChoice(str(file), image_size=224, follow=True))


def test_memory_is_an_eighth(file: Path) -> None:
    assert CONFIG.memory_tokens * CONFIG.memory.dim * 2 == 64 * 1024
    session = TrackingSession(sam2_mlx.load(file, image_size=256, dtype="float32"))
    clip = ToyClip(20)
    session.step(clip.read(0))
    session.prompt(1, points=[[20, 30]], labels=[1])
    for index in range(1, 3):
        session.step(clip.read(index))
    tokens = session.state().objects[1].bank.get(2).memory.tokens
    assert tokens.shape == (1, 512, 64) and tokens.nbytes == 64 * 1024
