"""Checkpoints of the first Segment Anything: layouts, dimensions, names, files."""

from __future__ import annotations

import json
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
from safetensors.numpy import save_file

from sam2_mlx.checkpoints.convert import convert_checkpoint
from sam2_mlx.checkpoints.infer import infer_config
from sam2_mlx.checkpoints.load import load
from sam2_mlx.checkpoints.names import PUBLISHED, model_name
from sam2_mlx.checkpoints.rename import rename
from sam2_mlx.checkpoints.tensors import CheckpointError, StoredTensor
from sam2_mlx.config import MODELS, ModelConfig, TinyViTConfig, ViTConfig
from tests.checkpoints.shapes import expected_shapes
from tests.sam1.first_cases import draw_input, sampled
from tests.sam1.first_models import build, read_golden, stored
from tests.sam1.seeded_first import seeded_first

FIRST = ("sam1-vit-b", "sam1-vit-l", "sam1-vit-h", "mobile-sam")


def _write(path: Path, name: str, prefix: str = "") -> Path:
    _, shapes = read_golden(name)
    save_file({prefix + key: seeded_first(key, shape) for key, shape in shapes.items()}, path)
    return path


@pytest.mark.parametrize(
    ("name", "layout", "expected"),
    [
        ("vit_b", "meta-sam1", MODELS["sam1-vit-b"]),
        ("mobile", "mobile-sam", MODELS["mobile-sam"]),
    ],
)
def test_the_references_own_parameters_are_all_known(name, layout, expected) -> None:
    renamed = rename(stored(read_golden(name)[1]))
    assert renamed.layout.name == layout
    assert renamed.unexpected == []
    shapes = {key: value.shape for key, value in renamed.tensors.items()}
    assert shapes == expected_shapes(expected)
    assert infer_config(shapes) == expected


@pytest.mark.parametrize("name", FIRST)
def test_dimensions_need_nothing_but_the_tensors(name) -> None:
    assert infer_config(expected_shapes(MODELS[name])) == MODELS[name]


def test_dimensions_of_a_model_of_ones_own() -> None:
    config = build(read_golden("small")[1]).config
    assert (config.name, config.image_size, config.hidden_dim) == ("custom", 256, 256)
    assert config.encoder == ViTConfig(96, 4, 4, (1, 3), 14, 16)
    assert config.memory is None


def test_leftovers_of_training_are_ignored() -> None:
    tensors = stored(read_golden("mobile")[1])
    for key, shape in (
        ("image_encoder.layers.0.blocks.0.conv1.bn.num_batches_tracked", ()),
        ("image_encoder.norm_head.weight", (320,)),
        ("image_encoder.head.bias", (1000,)),
        ("pixel_mean", (3, 1, 1)),
    ):
        tensors[key] = StoredTensor(shape, "int64", lambda: mx.zeros(()))
    assert rename(tensors).unexpected == []


def test_the_transformers_model_says_the_same() -> None:
    expected, shapes = read_golden("transformers")
    tensors = stored(shapes)
    assert rename(tensors).layout.name == "transformers-sam1"
    model = build(shapes)
    features = model.encode_image(mx.array(draw_input(256))[None])
    off = np.abs(sampled(np.array(features.coarse[0])) - expected["embedding"]).max()
    # Values reach 3.9 here: 2e-6 of that, and some for another BLAS.
    assert off < 1e-5
    prompt = model.prompt_encoder.points(mx.array([[[90.0, 60.0]]]), mx.array([[1]]))
    found = model.decode_masks(features.coarse, features.fine, prompt)
    found = model.mask_decoder.multimask(found)
    # That library's decoder norms have an epsilon of 1e-6; Meta's, and ours, have 1e-5.
    off = np.abs(sampled(np.array(found.logits[0])) - expected["low"]).max()
    assert off < 1e-4 * np.abs(expected["low"]).max()
    assert np.abs(np.array(found.iou[0]) - expected["iou"]).max() < 5e-5


@pytest.mark.parametrize("prefix", ["", "module.", "model."])
def test_files_load_and_convert(tmp_path, prefix) -> None:
    source = _write(tmp_path / "sam_vit_custom.safetensors", "small", prefix)
    model = load(source, dtype="float32")
    assert model.config.image_size == 256
    assert convert_checkpoint(source, tmp_path / "ours") == model.config
    again = load(tmp_path / "ours", dtype="float32")
    assert again.config == model.config
    pixels = mx.array(draw_input(256))[None]
    assert mx.array_equal(again.encode_image(pixels).coarse, model.encode_image(pixels).coarse)


def test_a_missing_parameter_is_named(tmp_path) -> None:
    _, shapes = read_golden("small")
    shapes.pop("image_encoder.neck.2.weight")
    path = tmp_path / "cut.safetensors"
    save_file({key: seeded_first(key, shape) for key, shape in shapes.items()}, path)
    with pytest.raises(CheckpointError, match=r"1 missing: image_encoder\.neck\.conv2\.weight"):
        load(path)


def test_another_image_size_resizes_what_is_learned_for_places(tmp_path) -> None:
    source = _write(tmp_path / "small.safetensors", "small")
    model = load(source, dtype="float32", image_size=384)
    embedding = model.encode_image(mx.array(draw_input(384))[None]).coarse
    assert embedding.shape == (1, 24, 24, 256)
    small = load(source, dtype="float32").encode_image(mx.array(draw_input(256))[None])
    # The same picture at another size: the same features, roughly, at the same places.
    both = np.corrcoef(
        np.array(embedding)[0, 1::3, 1::3].ravel(), np.array(small.coarse)[0, ::2, ::2].ravel()
    )
    assert both[0, 1] > 0.5


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("sam1-vit-b", "sam1-vit-b"),
        ("sam_vit_l_0b3195", "sam1-vit-l"),
        ("facebook/sam-vit-huge", "sam1-vit-h"),
        ("vit_h", "sam1-vit-h"),
        ("mobile_sam", "mobile-sam"),
        ("configs/sam2.1/sam2.1_hiera_b+.yaml", "base_plus"),
        ("sam2_hiera_tiny", "2.0-tiny"),
        ("model.safetensors", None),
    ],
)
def test_names(text, name) -> None:
    assert model_name(text) == name


def test_every_first_model_is_published_somewhere() -> None:
    assert set(FIRST) < set(PUBLISHED)


@pytest.mark.parametrize("name", [*FIRST, "tiny"])
def test_configs_survive_json(name) -> None:
    config = MODELS[name]
    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_an_unknown_kind_of_encoder_is_an_error() -> None:
    values = MODELS["mobile-sam"].to_dict()
    values["encoder"]["kind"] = "resnet"
    with pytest.raises(ValueError, match="kind is hiera, vit, tiny_vit, repvit; got 'resnet'"):
        ModelConfig.from_dict(values)
    assert isinstance(MODELS["mobile-sam"].encoder, TinyViTConfig)
