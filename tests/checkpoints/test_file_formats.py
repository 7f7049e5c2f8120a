"""A file's format is told by its content, and whatever cannot be read gets one clear error."""

from __future__ import annotations

import json
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
from safetensors.numpy import save_file

from sam2_mlx.checkpoints.files import find_file, open_tensors, read_given
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


def test_a_checkpoint_in_parts(tmp_path: Path, save: Save) -> None:
    parts = [save(tmp_path / f"m-0000{n}-of-00002.safetensors", {f"w{n}": VALUES}) for n in (1, 2)]
    assert find_file(tmp_path) == parts[0]
    for part in parts:
        assert sorted(read(part)) == ["w1", "w2"]
    parts[1].unlink()
    with pytest.raises(CheckpointError, match="one of 2 parts, and m-00002-of-00002.safetensors"):
        read(parts[0])


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (3, "its entry 'w'"),
        ({"dtype": "F32"}, "its entry 'w'"),
        ({"dtype": "F32", "shape": [3], "data_offsets": [0]}, "its entry 'w'"),
        ({"dtype": ["F32"], "shape": [3], "data_offsets": [0, 12]}, "convert it"),
        ({"dtype": "F32", "shape": [3.0], "data_offsets": [0, 12]}, "sizes of 'w'"),
        ({"dtype": "F32", "shape": [-3], "data_offsets": [0, 12]}, "sizes of 'w'"),
        ({"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 12]}, "sizes of 'w'"),
        ({"dtype": "F32", "shape": [1] * 40 + [3], "data_offsets": [0, 12]}, "sizes of 'w'"),
        ({"dtype": "F32", "shape": [3], "data_offsets": [12, 24]}, "gaps"),
        ({"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "8 bytes of values announced, 12"),
        ({"dtype": "F32", "shape": "abc", "data_offsets": [0, 12]}, "sizes of 'w'"),
    ],
)
def test_headers_that_lie(tmp_path: Path, entry: object, words: str) -> None:
    text = json.dumps({"w": entry}).encode()
    (tmp_path / "a").write_bytes(struct.pack("<Q", len(text)) + text + bytes(12))
    with pytest.raises(CheckpointError, match=words):
        read(tmp_path / "a")


def test_nothing_but_files_is_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(ValueError, match="a device or a pipe"):
            read(path)
    (tmp_path / "config.json").symlink_to("/dev/zero")
    with pytest.raises(CheckpointError, match=r"config.json that cannot be used.*a device"):
        read_given(tmp_path / "config.json")


def test_names_that_cannot_be_printed_are_refused(tmp_path: Path) -> None:
    for name in ("\x1b[2Jw", "w" * 600, "w\u202e"):
        path = write_model(tmp_path / "a.pt", {name: VALUES})
        with pytest.raises(CheckpointError, match="no parameter's name") as caught:
            read(path)
        assert str(caught.value).isprintable() and len(str(caught.value)) < 300


def test_config_files_beside_a_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    assert read_given(path) is None
    for text, expected in (
        ({"model_type": "vit", "image_size": 224}, None),
        ({"model_type": "sam2_video"}, None),
        ({"model_type": "sam2_video", "image_size": 512}, {"image_size": 512}),
        (
            {"model_type": "sam2", "vision_config": {"backbone_config": {"image_size": [64, 64]}}},
            {"image_size": 64},
        ),
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
