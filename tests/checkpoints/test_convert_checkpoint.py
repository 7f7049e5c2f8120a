"""Conversion writes a complete folder or nothing, and ends with one line either way."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

from sam2_mlx.checkpoints import convert as module
from sam2_mlx.checkpoints.convert import convert_checkpoint
from sam2_mlx.checkpoints.read import read_weights
from sam2_mlx.config import ModelConfig
from tests.checkpoints.torch_files import write_model
from tests.commands import convert as main


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_a_converted_folder(meta_file: Path, config: ModelConfig, dtype: str) -> None:
    out = meta_file.parent / "out"
    assert convert_checkpoint(meta_file, out, dtype=dtype) == config
    assert left_in(out) == ["config.json", "model.safetensors"]
    record = json.loads((out / "config.json").read_text())
    assert record["format"] == "sam2_mlx" and record["format_version"] == 1
    assert record["dtype"] == dtype
    assert record["source"] == {
        "name": "model.pt",
        "sha256": hashlib.sha256(meta_file.read_bytes()).hexdigest(),
        "layout": "meta",
    }
    assert ModelConfig.from_dict(record["model"]) == config
    assert str(meta_file.parent) not in (out / "config.json").read_text()
    direct, again = read_weights(meta_file), read_weights(out / "model.safetensors")
    assert again.layout == "sam2_mlx" and again.config == config
    kind = getattr(mx, dtype)
    for key, value in direct.arrays.items():
        assert again.arrays[key].dtype == kind
        assert mx.array_equal(again.arrays[key], value.astype(kind)), key


def test_a_converted_folder_converts_again(meta_file: Path) -> None:
    first, second = meta_file.parent / "first", meta_file.parent / "second"
    convert_checkpoint(meta_file, first)
    config = convert_checkpoint(first, second, dtype="float16", image_size=128)
    assert config.image_size == 128
    assert read_weights(second / "model.safetensors").config == config


def test_the_command(meta_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = meta_file.parent / "out"
    assert main([str(meta_file), str(out), "--dtype", "float16", "--image-size", "96"]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith(f"wrote {out}: custom, 96 px, float16, ")
    assert printed.out.count("\n") == 1 and printed.err == ""
    assert main([str(meta_file), str(out)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main([str(meta_file), str(out), "--overwrite"]) == 0
    assert json.loads((out / "config.json").read_text())["dtype"] == "float32"
    assert left_in(meta_file.parent) == ["config.json", "model.pt", "out"]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("nowhere.pt", "no file or folder"),
        ("cut.pt", "cut short"),
        ("page.pt", "web page"),
        ("foreign.pt", "not a SAM 2 checkpoint"),
        ("half.pt", "missing"),
        ("folder", "holds no checkpoint"),
        ("hugest", "unknown model"),
    ],
)
def test_bad_input_gives_one_line_and_leaves_nothing(
    meta_file: Path,
    meta: dict[str, np.ndarray],
    source: str,
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = meta_file.parent
    monkeypatch.chdir(folder)
    (folder / "folder").mkdir()
    data = meta_file.read_bytes()
    (folder / "cut.pt").write_bytes(data[: len(data) // 2])
    (folder / "page.pt").write_bytes(b"<html>sorry</html>")
    write_model(folder / "foreign.pt", {"w": np.zeros(2, np.float32)})
    write_model(folder / "half.pt", {k: v for k, v in meta.items() if "mlp" not in k})
    before = left_in(folder)
    path = source if source == "hugest" else f"./{source}"
    assert main([path, "out"]) == 2
    printed = capsys.readouterr()
    assert words in printed.err and printed.err.startswith("sam2-mlx: error: ")
    assert printed.err.count("\n") == 1 and printed.out == ""
    assert left_in(folder) == before


def test_what_is_in_the_way(meta_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = meta_file.parent
    (folder / "file").write_text("mine")
    (folder / "empty").mkdir()
    (folder / "mine").mkdir()
    (folder / "mine" / "notes.txt").write_text("mine")
    assert main([str(meta_file), str(folder / "file"), "--overwrite"]) == 2
    assert main([str(meta_file), str(folder / "mine"), "--overwrite"]) == 2
    assert "notes.txt" in capsys.readouterr().err
    assert main([str(meta_file), str(folder / "no" / "such")]) == 2
    assert main([str(meta_file), str(folder / "empty")]) == 0
    assert main([str(folder / "empty"), str(folder / "empty"), "--overwrite"]) == 2
    assert (folder / "file").read_text() == "mine" and left_in(folder / "mine") == ["notes.txt"]
    assert left_in(folder / "empty") == ["config.json", "model.safetensors"]


def test_an_interrupt_leaves_nothing_new(
    meta_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = meta_file.parent / "out"
    assert main([str(meta_file), str(out)]) == 0
    before = (out / "model.safetensors").read_bytes()

    def interrupted(*paths: Path) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "sha256", interrupted)
    assert main([str(meta_file), str(out), "--overwrite", "--dtype", "float16"]) == 130
    assert "interrupted; nothing was written" in capsys.readouterr().err
    assert (out / "model.safetensors").read_bytes() == before
    assert left_in(meta_file.parent) == ["config.json", "model.pt", "out"]


def test_too_little_space(
    meta_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage)
    assert main([str(meta_file), str(meta_file.parent / "out")]) == 2
    assert "not enough space" in capsys.readouterr().err
    assert left_in(meta_file.parent) == ["config.json", "model.pt"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_a_write_that_fails_half_way(meta_file: Path) -> None:
    # The limit makes the system refuse the rest of the file, as a full disk does.
    script = (
        "import resource, sys\n"
        "from sam2_mlx.__main__ import main\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))\n"
        "sys.exit(main(['convert', *sys.argv[1:]]))\n"
    )
    command = [sys.executable, "-c", script, str(meta_file), str(meta_file.parent / "out")]
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stderr.startswith("sam2-mlx: error: ") and done.stderr.count("\n") == 1
    assert left_in(meta_file.parent) == ["config.json", "model.pt"]


def test_an_unknown_dtype(meta_file: Path) -> None:
    with pytest.raises(ValueError, match="float32, float16, bfloat16; got 'int8'"):
        convert_checkpoint(meta_file, meta_file.parent / "out", dtype="int8")
