"""Every number of a config.json has a type and a range, and both are checked."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sam2_mlx.checkpoints.bounds import check_values
from sam2_mlx.checkpoints.load import BUNDLED_FOLDER, load
from sam2_mlx.checkpoints.tensors import CheckpointError
from sam2_mlx.config import MODELS

NONSENSE = [-1, 2**40, 1e300, float("nan"), "\x1b[2J", {}, [[1]], [2**40], [0] * 100]


def places(values: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """Every value of a nested dict: the dict that holds it, and its key."""
    for key, value in values.items():
        yield values, key
        if isinstance(value, dict):
            yield from places(value)


@pytest.mark.parametrize("name", MODELS)
def test_published_models_pass(name: str) -> None:
    check_values(json.loads(json.dumps(MODELS[name].to_dict())), "a config.json")


@pytest.mark.parametrize("name", ["nano", "sam1-vit-b", "mobile-sam"])
def test_every_value_is_looked_at(name: str) -> None:
    values = copy.deepcopy(MODELS[name].to_dict())
    for holder, key in list(places(values)):
        right = holder[key]
        for wrong in NONSENSE:
            if key in ("encoder", "decoder", "memory") and wrong == {}:
                continue  # some of the dimensions, or all, may be left out
            holder[key] = wrong
            with pytest.raises(CheckpointError, match="cannot be used") as caught:
                check_values(values, "a config.json")
            assert str(caught.value).isprintable() and len(str(caught.value)) < 400
        holder[key] = right


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"encoder": {"stages": [10**9, -(10**9), 3, 1]}}, "encoder.stages"),
        ({"encoder": {"window_sizes": [255, 255, 255, 255]}}, "encoder.window_sizes"),
        ({"encoder": {"window_sizes": [8]}}, "impossible"),
        ({"encoder": {"embed_dim": True}}, "encoder.embed_dim"),
        ({"encoder": {"kind": "resnet"}}, "encoder.kind is one of hiera, vit, tiny_vit"),
        ({"pad_boxes": 1}, "pad_boxes is true or false"),
        ({"name": "\x1b]0;owned\x07"}, "name is a text"),
        ({"image_size": 2**20}, "image_size"),
        ({"image_size": 100}, "multiple of 32"),
        ({"decoder": {"num_layers": 60}}, "2088 missing"),
        ({"hidden_dim": 127}, "does not fit|impossible"),
        ({"memory": 3}, "memory is an object"),
        ({"memory": {"rope_theta": 0}}, "memory.rope_theta"),
    ],
)
def test_a_config_that_cannot_be(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    record = json.loads((BUNDLED_FOLDER / "config.json").read_text())
    for key, value in change.items():
        if isinstance(value, dict):
            record["model"][key] |= value
        else:
            record["model"][key] = value
    (tmp_path / "config.json").write_text(json.dumps(record))
    (tmp_path / "model.safetensors").symlink_to(BUNDLED_FOLDER / "model.safetensors")
    with pytest.raises(CheckpointError, match=words):
        load(tmp_path)
