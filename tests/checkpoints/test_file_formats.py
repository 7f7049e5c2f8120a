"""A file's format is told by its content, and whatever cannot be read gets one clear error."""

from __future__ import annotations

import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
from safetensors.numpy import save_file

from sam2_mlx.checkpoints.formats import find_file, open_tensors, read_given
from sam2_mlx.checkpoints.tensors import CheckpointError
from tests.checkpoints.torch_files import write_model

VALUES = np.arange(12, dtype=np.float32).reshape(3, 4)
Save = Callable[[Path, dict[str, np.ndarray]], Path]


def read(path: Path) -> dict[str, mx.array]:
    with open_tensors(path) as tensors:
        return {key: tensor.read() for key, tensor in tensors.items()}


@pytest.mark.parametrize("name", ["a.pt", "a.safetensors", "a", "a.bin", "a.zip"])
def test_the_name_does_not_matter(tmp_path: Path, save: Save, name: str) -> None:
    assert np.array_equal(np.array(read(save(tmp_path / name, {"w": VALUES}))["w"]), VALUES)
    assert np.array_equal(np.array(read(write_model(tmp_path / name, {"w": VALUES}))["w"]), VALUES)


def test_element_types_of_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    brain = mx.array(VALUES / 3).astype(mx.bfloat16)
    mx.save_safetensors(str(path), {"bf": brain, "half": mx.array(VALUES).astype(mx.float16)})
    found = read(path)
    assert found["bf"].dtype == mx.bfloat16 and mx.array_equal(found["bf"], brain)
    assert found["half"].dtype == mx.float16
    save_file({"double": VALUES.astype(np.float64), "count": np.arange(3)}, path)
    found = read(path)
    assert found["double"].dtype == mx.float32
    assert np.array_equal(np.array(found["double"]), VALUES)


@pytest.mark.parametrize("keep", [9, 40, -1, -20])
def test_safetensors_cut_short(tmp_path: Path, save: Save, keep: int) -> None:
    path = save(tmp_path / "a.safetensors", {"w": VALUES})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"cut short|not a checkpoint"):
        read(path)


def test_an_element_type_that_is_not_read(tmp_path: Path) -> None:
    header = {"w": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}}
    text = json.dumps(header).encode()
    (tmp_path / "a").write_bytes(struct.pack("<Q", len(text)) + text + bytes(4))
    with pytest.raises(CheckpointError, match="F8_E4M3"):
        read(tmp_path / "a")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"hello world, this is no checkpoint", "begins with"),
        (b"<!DOCTYPE html><html>not found</html>", "web page"),
        (b"\n  <html>not found</html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "Git LFS"),
        (pickle.dumps({"model": {}}), "pickle"),
        (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.", "old format"),
        (b"PK\x03\x04" + bytes(200), "cut short"),
        (b"\x89HDF\r\n\x1a\n" + bytes(60), "begins with"),
    ],
)
def test_other_files(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "model.pt").write_bytes(data)
    with pytest.raises(CheckpointError, match=words) as caught:
        read(tmp_path / "model.pt")
    assert "\n" not in str(caught.value)


def test_the_file_that_a_path_means(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no file or folder .*nowhere"):
        find_file(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        find_file(tmp_path)
    (tmp_path / "readme.txt").touch()
    (tmp_path / "a.pt").touch()
    assert find_file(tmp_path) == tmp_path / "a.pt"
    (tmp_path / "b.pth").touch()
    with pytest.raises(CheckpointError, match=r"several checkpoints \(a.pt, b.pth\)"):
        find_file(tmp_path)
    (tmp_path / "model.safetensors").touch()
    assert find_file(tmp_path) == tmp_path / "model.safetensors"
    assert find_file(tmp_path / "b.pth") == tmp_path / "b.pth"


def test_config_files_beside_a_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    assert read_given(path) is None
    for text, expected in (
        ({"model_type": "sam2_video", "image_size": 1024}, None),
        ({"_class_name": "SomethingElse"}, None),
        ({"image_size": 512}, {"image_size": 512}),
        ({"format_version": 1, "model": {"image_size": 512}}, {"image_size": 512}),
    ):
        path.write_text(json.dumps(text))
        assert read_given(path) == expected
    for bad, words in (("{", "not JSON"), ("[]", "not a JSON object"), ('{"model": 3}', "'model'")):
        path.write_text(bad)
        with pytest.raises(CheckpointError, match=words):
            read_given(path)
    path.write_text('{"format_version": 99, "model": {}}')
    with pytest.raises(CheckpointError, match="format 99"):
        read_given(path)
