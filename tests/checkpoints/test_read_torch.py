"""PyTorch files are read without PyTorch, and nothing in them is ever run."""

from __future__ import annotations

import os
import pickle
import re
import zipfile
from argparse import Namespace
from collections import Counter, OrderedDict, defaultdict
from dataclasses import replace
from datetime import datetime
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from sam2_mlx.checkpoints.files import open_tensors
from sam2_mlx.checkpoints.tensors import CheckpointError
from tests.checkpoints.torch_files import (
    Archive,
    Raw,
    Tensor,
    call,
    named,
    pickled,
    state_dict,
    write_model,
)

FROM_TORCH = Path(__file__).parent / "data" / "from_torch.pt"
VALUES = np.arange(12, dtype=np.float32).reshape(3, 4)


def read(path: Path) -> dict[str, mx.array]:
    with open_tensors(path) as tensors:
        return {key: tensor.read() for key, tensor in tensors.items()}


def refused(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught, open_tensors(path) as tensors:
        for tensor in tensors.values():
            tensor.read()
    return str(caught.value)


def test_every_element_type_that_torch_wrote() -> None:
    ramp = (np.arange(12, dtype=np.float32) * 0.3125 - 2).reshape(3, 4)
    found = read(FROM_TORCH)
    assert np.array_equal(np.array(found["float32"]), ramp)
    assert found["float16"].dtype == mx.float16
    assert np.array_equal(np.array(found["float16"]), ramp.astype(np.float16))
    assert found["bfloat16"].dtype == mx.bfloat16
    assert mx.array_equal(found["bfloat16"], mx.array(ramp).astype(mx.bfloat16))
    assert found["float64"].dtype == mx.float32
    assert np.array_equal(np.array(found["float64"]), ramp.ravel())
    assert found["int64"].tolist() == [-3, -2, -1, 0, 1, 2]
    assert found["uint8"].tolist() == [0, 1, 2, 3, 4]
    assert found["bool"].tolist() == [True, False, True]
    assert found["scalar"].shape == () and found["scalar"].item() == 1.5
    assert found["empty"].shape == (0, 4)
    assert found["parameter"].tolist() == [[0.25, 0.25], [0.25, 0.25]]


def test_views_with_strides_and_offsets_that_torch_wrote() -> None:
    whole = np.arange(24, dtype=np.float32).reshape(4, 6)
    found = read(FROM_TORCH)
    assert np.array_equal(np.array(found["whole"]), whole)
    assert np.array_equal(np.array(found["rows"]), whole[1:3])
    assert np.array_equal(np.array(found["columns"]), whole[:, 1::2])
    assert np.array_equal(np.array(found["transposed"]), whole.T)


def test_shapes_and_types_are_known_before_anything_is_read() -> None:
    with open_tensors(FROM_TORCH) as tensors:
        assert tensors["columns"].shape == (4, 3)
        assert tensors["bfloat16"].dtype == "bfloat16"
        assert tensors["float64"].dtype == "float32"
        assert "momentum" not in tensors and "epoch" not in tensors


@pytest.mark.parametrize(
    "root",
    [
        {"model": {"w": Tensor(VALUES, "0")}},
        {"state_dict": {"w": Tensor(VALUES, "0")}, "epoch": 3},
        {"w": Tensor(VALUES, "0")},
        {"w": Tensor(VALUES, "0"), "epoch": 3, "note": "hello", 7: None},
        {"params": {"w": Tensor(VALUES, "0")}, "iteration": Tensor(VALUES[0], "1")},
        {"model": {"state_dict": {"w": Tensor(VALUES, "0")}}},
        {"ema": {"w": Tensor(VALUES + 1, "1")}, "net": {"w": Tensor(VALUES, "0")}},
        {"optimizer": {"w": Tensor(VALUES + 1, "1")}, "weights": {"w": Tensor(VALUES, "0")}},
        {"state_dict_ema": {"w": Tensor(VALUES, "0")}},
    ],
    ids=str,
)
def test_where_the_state_dict_may_be(tmp_path: Path, root: object) -> None:
    path = Archive(root).write(tmp_path / "a.pt")
    assert np.array_equal(np.array(read(path)["w"]), VALUES)


def test_big_endian_values(tmp_path: Path) -> None:
    path = Archive({"w": Tensor(VALUES, "0")}, order=b"big").write(tmp_path / "a.pt")
    assert np.array_equal(np.array(read(path)["w"]), VALUES)


def test_metadata_set_on_a_dict_is_dropped(tmp_path: Path) -> None:
    # OrderedDict() with one item, then BUILD with attributes that would shadow its methods.
    state = call("collections", "OrderedDict").code + pickled("w") + pickled(Tensor(VALUES, "0"))
    root = Raw(state + b"s" + pickled({"items": 1, "values": 2}) + b"b")
    extra = {"data/0": VALUES.tobytes()}
    assert list(read(Archive(root, extra=extra).write(tmp_path / "a.pt"))) == ["w"]


@pytest.mark.parametrize(
    ("attack", "name"),
    [
        (call("os", "system", "echo"), "os.system"),
        (call("builtins", "eval", "1"), "builtins.eval"),
        (call("torch", "load", "x"), "torch.load"),
        (call("collections", "Counter", {"a": 1}), "collections.Counter"),
        (call("numpy.core.multiarray", "scalar", None, "x"), "numpy.core.multiarray.scalar"),
        (Raw(named("argparse", "Namespace").code + b")\x81}" + b"b"), "argparse.Namespace"),
        (Raw(pickled("os") + pickled("system") + b"\x93" + pickled(("echo",)) + b"R"), "os.system"),
        (Raw(b"(X\x04\0\0\0echoios\nsystem\n"), "os.system"),
        (Raw(b"(" + named("os", "system").code + b"X\x04\0\0\0echoo"), "os.system"),
        (Raw(b"\x8f(X\x01\0\0\0a\x90"), "set"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_any_other_object_is_an_inert_name(
    tmp_path: Path, attack: Raw, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[object] = []
    monkeypatch.setattr(os, "system", ran.append)
    weights = {"w": Tensor(VALUES, "0")}
    for root in ({"model": weights, "beside": attack}, {"model": {**weights, "inside": attack}}):
        path = Archive(root).write(tmp_path / "a.pt")
        assert np.array_equal(np.array(read(path)["w"]), VALUES)
    message = refused(Archive(attack).write(tmp_path / "a.pt"))
    assert re.search(rf"holds a .*{name}\)?, not a dict", message)
    assert not ran


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize(
    "beside",
    [
        Counter("abca"),
        {1, 2},
        frozenset("ab"),
        defaultdict(list, {"a": [1]}),
        OrderedDict(a=1),
        np.float64(3.5),
        np.arange(3),
        Namespace(lr=0.1, path=Path("/tmp")),
        PurePosixPath("/data/run"),
        datetime(2024, 7, 29),
        HTTPStatus.OK,
        [complex(1, 2), range(3), b"bytes", bytearray(b"more"), 10**40, None, 1.5],
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_training_scripts_keep_beside(tmp_path: Path, beside: Any, protocol: int) -> None:
    # The steps that make it, without the first and the last of a pickle.
    steps = Raw(pickle.dumps(beside, protocol)[2:-1])
    path = write_model(tmp_path / "a.pt", {"w": VALUES}, args={"x": steps, 3: steps}, more=[steps])
    assert np.array_equal(np.array(read(path)["w"]), VALUES)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (b"\x82\x01", "EXT1"),
        (b"\x97", "NEXT_BUFFER"),
        (b"Pstorage\n", "PERSID"),
        (b"I1\n", "INT"),
        (b"\x8b\xff\xff\xff\x7f", "damaged"),
        (b"h\x07", "damaged"),
        (b"\xff", "damaged"),
        (b"R" * 9, "damaged"),
        (named("m" * 300, "n").code, "no name"),
    ],
)
def test_other_steps_are_refused(tmp_path: Path, code: bytes, words: str) -> None:
    root = {"w": Tensor(VALUES, "0"), "a": Raw(code)}
    assert words in refused(Archive(root).write(tmp_path / "a.pt"))


@pytest.mark.parametrize(
    "poison",
    [
        Raw(named("torch", "FloatStorage").code + pickled({"raw": "i4", "kind": "x"}) + b"b"),
        Raw(named("torch._utils", "_rebuild_tensor_v2").code + b"N" + pickled({"x": 1}) + b"\x86b"),
        Raw(named("collections", "OrderedDict").code + pickled({"get": "x"}) + b"b"),
        Raw(call("collections", "OrderedDict").code + pickled({"a": None}) + b"b"),
        Raw(b"]" + pickled("a") + pickled(1) + b"s"),
    ],
)
def test_a_file_changes_nothing_for_the_next_one(tmp_path: Path, poison: Raw) -> None:
    model = write_model(tmp_path / "a.pt", {"w": VALUES})
    refused(Archive({"poison": poison}).write(tmp_path / "b.pt"))
    assert np.array_equal(np.array(read(model)["w"]), VALUES)


def test_many_views_of_one_storage_are_refused(tmp_path: Path) -> None:
    halves = [Tensor(np.zeros(4096, np.float32), str(i)) for i in (0, 1)]
    shared = {f"w{i}": replace(halves[i % 2], shape=(1,), stride=(1,)) for i in range(20)}
    assert "one storage" in refused(Archive(shared).write(tmp_path / "a.pt"))
    alone = {f"w{i}": replace(halves[0], shape=(1,), stride=(1,)) for i in range(20)}
    assert len(read(Archive(alone).write(tmp_path / "a.pt"))) == 20


@pytest.mark.parametrize(
    "lie",
    [
        {"count": 2**40, "shape": (2**40,), "stride": (1,)},
        {"count": 13},
        {"shape": (2**20, 2**20), "stride": (0, 0)},
        {"shape": (3, 4), "stride": (4, 2)},
        {"offset": 1},
        {"offset": -1},
        {"shape": (-3, 4)},
        {"stride": (-4, 1)},
        {"shape": (3,)},
        {"shape": (3.0, 4)},
        {"shape": 12},
        {"shape": (2**60, 2**60), "stride": (1, 1)},
        {"shape": (1,) * 40, "stride": (1,) * 40},
        {"count": True},
        {"count": -12},
        {"storage": "DoubleStorage"},
        {"key": "../../../etc/passwd"},
        {"key": "1"},
    ],
    ids=str,
)
def test_lies_about_sizes_are_caught_before_anything_is_allocated(
    tmp_path: Path, lie: dict[str, object]
) -> None:
    given = {"key": "0", **lie}
    tensor = Tensor(VALUES, **given)  # type: ignore[arg-type]
    archive = Archive({"w": tensor}, extra={"data/0": VALUES.tobytes()})
    archive.leave_out = (f"data/{given['key']}",) if given["key"] != "0" else ()
    path = archive.write(tmp_path / "a.pt")
    with pytest.raises(CheckpointError), open_tensors(path):
        pass


def test_something_else_where_a_storage_should_be(tmp_path: Path) -> None:
    storage = Raw(pickled(("module", "x", "0", "cpu", 4)) + b"Q")
    assert "storage" in refused(Archive({"w": storage}).write(tmp_path / "a.pt"))
    tensor = call("torch._utils", "_rebuild_tensor_v2", "storage", 0, (1,), (1,), False, None)
    assert "'w'" in refused(Archive({"w": tensor}).write(tmp_path / "a.pt"))


def test_a_compressed_archive_is_refused(tmp_path: Path) -> None:
    root = {"w": Tensor(np.zeros(10000, np.float32), "0")}
    archive = Archive(root, compression=zipfile.ZIP_DEFLATED)
    assert "compressed" in refused(archive.write(tmp_path / "a.pt"))


@pytest.mark.parametrize("keep", [0.02, 0.3, 0.6, 0.9, 0.999])
def test_cut_short(tmp_path: Path, keep: float) -> None:
    whole = FROM_TORCH.read_bytes()
    path = tmp_path / "a.pt"
    path.write_bytes(whole[: int(len(whole) * keep)])
    message = refused(path)
    assert "cut short" in message or "damaged" in message


def test_damaged_values_are_noticed(tmp_path: Path) -> None:
    path = write_model(tmp_path / "a.pt", {"w": VALUES})
    data = bytearray(path.read_bytes())
    at = data.index(VALUES.tobytes())
    data[at + 5] ^= 0xFF
    path.write_bytes(data)
    assert "damaged" in refused(path)


def test_damage_anywhere_gives_one_kind_of_error(tmp_path: Path) -> None:
    whole = FROM_TORCH.read_bytes()
    generator = np.random.default_rng(0)
    path = tmp_path / "a.pt"
    caught = 0
    for _ in range(400):
        data = bytearray(whole)
        for at in generator.integers(0, len(data), 3):
            data[at] = generator.integers(0, 256)
        path.write_bytes(data)
        try:
            read(path)
        except CheckpointError as error:
            caught += 1
            assert "\n" not in str(error)
    assert caught > 200


def test_zips_that_are_something_else(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as file:
        file.writestr("readme.txt", "hello")
    assert "not a PyTorch checkpoint" in refused(tmp_path / "a.pt")
    scripted = Archive({"w": Tensor(VALUES, "0")}, extra={"constants.pkl": b"\x80\x02)."})
    assert "TorchScript" in refused(scripted.write(tmp_path / "b.pt"))


@pytest.mark.parametrize(
    ("root", "words"),
    [
        ({"epoch": 3, "arch": "x"}, "no weights"),
        ([1, 2], "list"),
        ({"model": {}, 3: Tensor(VALUES, "0")}, "no weights"),
    ],
)
def test_files_without_a_state_dict(tmp_path: Path, root: object, words: str) -> None:
    assert words in refused(Archive(root).write(tmp_path / "a.pt"))


def test_what_training_scripts_keep_beside_the_model_does_not_matter(tmp_path: Path) -> None:
    beside = {
        "optimizer": {"state": {0: {"step": 3.0}}, "param_groups": [{"betas": (0.9, 0.999)}]},
        "epoch": 3,
        "dtype": named("torch", "bfloat16"),
        "shape": call("torch", "Size", (1, 2)),
        "nothing": None,
    }
    path = write_model(tmp_path / "a.pt", {"w": VALUES}, **beside)
    assert list(read(path)) == ["w"]
    assert state_dict({"w": VALUES})["w"].key == "0"
