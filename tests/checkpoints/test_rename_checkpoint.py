"""Every layout ends in the same weights, and every key is accounted for."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

from sam2_mlx.checkpoints.layouts import META, TRANSFORMERS, Layout
from sam2_mlx.checkpoints.read import Weights, read_weights
from sam2_mlx.checkpoints.tensors import CheckpointError
from sam2_mlx.config import ModelConfig
from tests.checkpoints.shapes import expected_shapes
from tests.checkpoints.torch_files import write_model
from tests.edgetam.edge_cases import keys as edge_keys

Arrays = dict[str, np.ndarray]
Save = Callable[[Path, Arrays], Path]
NECK = "image_encoder.neck.convs.1.conv.bias"


@pytest.fixture
def read(tmp_path: Path, config_beside: object) -> Callable[[Arrays], Weights]:
    """Write a `.pt` and read it again."""
    return lambda arrays: read_weights(write_model(tmp_path / "model.pt", arrays))


def differing(a: dict[str, mx.array], b: dict[str, mx.array]) -> list[str]:
    assert a.keys() == b.keys()
    return [key for key in a if not mx.array_equal(a[key], b[key]).item()]


def test_metas_names_fill_the_model(
    read: Callable[[Arrays], Weights], meta: Arrays, config: ModelConfig
) -> None:
    weights = read(meta)
    assert weights.layout == "meta"
    assert weights.config == config
    assert {k: v.shape for k, v in weights.arrays.items()} == expected_shapes(config)


def test_convolutions_become_channels_last(read: Callable[[Arrays], Weights], meta: Arrays) -> None:
    ours = {key: np.array(value) for key, value in read(meta).arrays.items()}
    for key, source, order in (
        ("image_encoder.trunk.patch_embed.proj.weight", "", (0, 2, 3, 1)),
        ("image_encoder.trunk.pos_embed", "", (0, 2, 3, 1)),
        (
            "memory.encoder.fuser.layers.0.dwconv.weight",
            "memory_encoder.fuser.layers.0.dwconv.weight",
            (0, 2, 3, 1),
        ),
        (
            "mask_decoder.upscaling.conv1.weight",
            "sam_mask_decoder.output_upscaling.0.weight",
            (1, 2, 3, 0),
        ),
    ):
        assert np.array_equal(ours[key], meta[source or key].transpose(order)), key
    assert np.array_equal(ours["memory.time_embedding"], meta["maskmem_tpos_enc"][:, 0, 0])
    assert np.array_equal(ours["memory.absent_pointer"], meta["no_obj_ptr"][0])
    assert np.array_equal(
        ours["memory.encoder.mask_downsampler.norm4.bias"],
        meta["memory_encoder.mask_downsampler.encoder.10.bias"],
    )


def test_every_layout_and_format_gives_the_same_weights(
    tmp_path: Path, config_beside: object, meta: Arrays, transformers: Arrays, save: Save
) -> None:
    reference = read_weights(write_model(tmp_path / "a.pt", meta))
    named = read_weights(save(tmp_path / "a.safetensors", meta))
    other = read_weights(save(tmp_path / "b.safetensors", transformers))
    ours = {key: np.array(value) for key, value in reference.arrays.items()}
    again = read_weights(save(tmp_path / "c.safetensors", ours))
    assert (named.layout, other.layout, again.layout) == ("meta", "transformers", "sam2_mlx")
    for weights in (named, other, again):
        assert weights.config == reference.config
        assert not differing(weights.arrays, reference.arrays)


@pytest.mark.parametrize("prefix", ["module.", "sam2_model.", "_orig_mod.", "encoder.sam.", "x.y."])
def test_whatever_stands_before_all_keys(
    read: Callable[[Arrays], Weights], meta: Arrays, prefix: str
) -> None:
    wrapped = {prefix + key: value for key, value in meta.items()}
    # A training module has other parts, and averaged weights, which come first here.
    other = {f"ema.{key}": value + 1 for key, value in meta.items()}
    other |= {"loss_fn.weight": np.zeros(2, np.float32), "head.bias": np.zeros(2, np.float32)}
    assert not differing(read({**other, **wrapped}).arrays, read(meta).arrays)


def test_what_a_loss_keeps_is_left_out(read: Callable[[Arrays], Weights], meta: Arrays) -> None:
    loss = {"loss_fn.weight": np.zeros(2, np.float32), "criterion.w": np.zeros(2, np.float32)}
    assert not differing(read({**meta, **loss}).arrays, read(meta).arrays)


def test_rows_that_are_not_there_are_not_made(tmp_path: Path) -> None:
    header = {
        "vision_encoder.backbone.patch_embed.projection.weight": [0],
        "prompt_encoder.point_embed.weight": [2**31 - 1, 0],
    }
    entry = {"dtype": "F32", "data_offsets": [0, 0]}
    text = json.dumps({key: {**entry, "shape": shape} for key, shape in header.items()}).encode()
    (tmp_path / "a").write_bytes(struct.pack("<Q", len(text)) + text)
    with pytest.raises(CheckpointError, match="cannot be understood"):
        read_weights(tmp_path / "a")


def test_one_of_two_names_of_a_shared_matrix_is_enough(
    read: Callable[[Arrays], Weights], transformers: Arrays
) -> None:
    names = (
        "prompt_encoder.shared_embedding.positional_embedding",
        "shared_image_embedding.positional_embedding",
    )
    whole = read(transformers).arrays
    for left_out in names:
        part = {key: value for key, value in transformers.items() if key != left_out}
        assert not differing(read(part).arrays, whole)
    with pytest.raises(CheckpointError, match="two different values"):
        read({**transformers, names[0]: transformers[names[0]] + 1})


def test_a_model_for_single_images(
    read: Callable[[Arrays], Weights], image_only: Arrays, transformers: Arrays, meta: Arrays
) -> None:
    weights = read(image_only)
    assert weights.config.memory is None
    whole = read(transformers).arrays
    same = {key: value for key, value in whole.items() if not key.startswith("memory.")}
    assert differing(weights.arrays, same) == [NECK]
    folded = meta[NECK] + meta["no_mem_embed"][0, 0]
    assert np.array_equal(np.array(weights.arrays[NECK]), folded)


def test_sam_2_0(read: Callable[[Arrays], Weights], meta: Arrays) -> None:
    later = ("no_obj_embed_spatial", "obj_ptr_tpos_proj.weight", "obj_ptr_tpos_proj.bias")
    weights = read({key: value for key, value in meta.items() if key not in later})
    assert weights.config.memory is not None
    assert not weights.config.memory.absent_embedding
    assert not weights.config.memory.pointer_time
    assert len(weights.arrays) == len(meta) - 1 - len(later)


@pytest.mark.parametrize(
    ("layout", "fixture"), [(META, "meta"), (TRANSFORMERS, "transformers")], ids=["meta", "hf"]
)
def test_every_key_has_exactly_one_rule_and_every_rule_a_key(
    layout: Layout, fixture: str, request: pytest.FixtureRequest
) -> None:
    used: set[str] = set()
    edge = edge_keys()
    of_edge = {"meta": list(edge["meta"]), "transformers": sum(edge["transformers"].values(), [])}
    for key in {*request.getfixturevalue(fixture), *(k.split("[")[0] for k in of_edge[fixture])}:
        rules = [rule.source for rule in layout.rules if re.fullmatch(rule.source, key)]
        ignored = [pattern for pattern in layout.ignored if re.fullmatch(pattern, key)]
        assert len(rules) + len(ignored) == 1, key
        used |= {*rules, *ignored}
    assert used == {*(rule.source for rule in layout.rules), *layout.ignored}


def test_what_does_not_fit_is_listed_in_one_error(
    read: Callable[[Arrays], Weights], meta: Arrays
) -> None:
    arrays = {key: value for key, value in meta.items() if key != "mask_downsample.bias"}
    arrays["obj_ptr_proj.layers.1.weight"] = np.zeros((128, 127), np.float32)
    arrays["no_obj_ptr"] = np.zeros((2, 128), np.float32)
    arrays["sam_mask_decoder.conv_s0.weight"] = np.zeros((16, 128), np.float32)
    arrays["sam_mask_decoder.iou_token.weight"] = np.zeros((1, 128), np.int64)
    arrays |= {f"spatial_perceiver.{i}": np.zeros(2, np.float32) for i in range(12)}
    arrays["image_encoder.trunk.blocks.4.proj.bias"] = np.zeros(2, np.float32)
    with pytest.raises(CheckpointError) as caught:
        read(arrays)
    text = str(caught.value)
    assert "model.pt does not fit" in text and "\n" not in text
    assert "13 unexpected" in text and "spatial_perceiver.9 and 3 more" in text
    assert "1 missing: memory.mask_downsample.bias" in text
    assert "4 wrong shape or type" in text
    assert "obj_ptr_proj.layers.1.weight (128, 127) float32 for" in text
    assert "no_obj_ptr (2, 128)" in text and "iou_token.weight (1, 128) int64" in text


def test_a_checkpoint_of_something_else(read: Callable[[Arrays], Weights]) -> None:
    with pytest.raises(CheckpointError, match=r"not a SAM 2 checkpoint.*conv1.weight"):
        read({"conv1.weight": np.zeros((3, 3), np.float32)})


def test_an_explicit_config_must_fit(tmp_path: Path, meta: Arrays) -> None:
    path = write_model(tmp_path / "model.pt", meta)
    with pytest.raises(CheckpointError, match="does not fit the tiny model"):
        read_weights(path, config=ModelConfig())
