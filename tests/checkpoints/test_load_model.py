"""A model by name or path: complete, frozen, in the dtype that was asked for."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_flatten

import sam2_mlx.checkpoints.load as module
from sam2_mlx.checkpoints.convert import convert_checkpoint
from sam2_mlx.checkpoints.hub import DownloadError
from sam2_mlx.checkpoints.load import (
    BUNDLED_FOLDER,
    load,
    load_auto,
)
from sam2_mlx.config import MODELS, ModelConfig
from sam2_mlx.ops.dtypes import resolve_dtype
from tests.checkpoints.torch_files import write_model


def test_the_bundled_model() -> None:
    model = load("nano", dtype="float32")
    assert model.config == MODELS["nano"]
    record = json.loads((BUNDLED_FOLDER / "config.json").read_text())
    assert record["dtype"] == "float16" and record["format_version"] == 1
    assert (BUNDLED_FOLDER / "model.safetensors").stat().st_size < 9e6


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", mx.bfloat16])
def test_dtypes(meta_file: Path, dtype: str | mx.Dtype) -> None:
    model = load(meta_file, dtype=dtype)
    kind = getattr(mx, dtype) if isinstance(dtype, str) else dtype
    assert {v.dtype for _, v in tree_flatten(model.parameters())} == {kind}
    assert model.dtype == kind


def test_the_model_is_ready_for_inference(meta_file: Path) -> None:
    model = load(str(meta_file), dtype="float32")
    assert not model.training
    assert not tree_flatten(model.trainable_parameters())


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_the_dtype_follows_the_device(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = {"cpu": (mx.cpu, mx.float32), "gpu": (mx.gpu, mx.float16)}
    kind, dtype = kinds[device]
    monkeypatch.setattr(mx, "default_device", lambda: mx.Device(kind))
    assert resolve_dtype("auto") == dtype


@pytest.mark.parametrize("dtype", ["half", "int8", mx.int8, mx.float64, ""])
def test_other_dtypes(dtype: str | mx.Dtype) -> None:
    with pytest.raises(ValueError, match="auto, float32, float16, bfloat16"):
        load("nano", dtype=dtype)


def test_every_form_of_a_checkpoint_gives_the_same_model(
    tmp_path: Path, meta_file: Path, config: ModelConfig
) -> None:
    convert_checkpoint(meta_file, tmp_path / "out")
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "renamed.pth").write_bytes(meta_file.read_bytes())
    forms = {
        "file": load(meta_file, dtype="float32"),
        "folder": load(tmp_path / "out", dtype="float32"),
        "text": load(str(tmp_path / "out" / "model.safetensors"), dtype="float32"),
        "config": load(alone, config=config, dtype="float32"),
    }
    expected = dict(tree_flatten(forms["file"].parameters()))
    for form, model in forms.items():
        assert model.config == config, form
        for key, value in tree_flatten(model.parameters()):
            assert mx.array_equal(value, expected[key]), (form, key)


def test_another_image_size(meta_file: Path) -> None:
    assert load(meta_file, image_size=96).config.image_size == 96
    assert load("nano", image_size=512).config.image_size == 512
    with pytest.raises(ValueError, match="multiple of 32"):
        load("nano", image_size=500)


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("hugest", ValueError, "unknown model 'hugest'; choose one of tiny, small"),
        ("", ValueError, "unknown model"),
        ("two words", ValueError, "unknown model"),
        ("a/../b", FileNotFoundError, "no file or folder"),
        ("model.pt", FileNotFoundError, "no file or folder model.pt"),
        ("weights/model.PT", FileNotFoundError, "no file or folder"),
        ("./tiny", FileNotFoundError, "no file or folder"),
        (Path("tiny"), FileNotFoundError, "no file or folder"),
        ("a/b/c", FileNotFoundError, "no file or folder"),
        ("~/nothing.safetensors", FileNotFoundError, "no file or folder"),
    ],
)
def test_names_and_paths_with_nothing_behind_them(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str | Path,
    kind: type[Exception],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kind, match=words):
        load(name)


def test_a_name_goes_before_a_folder_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nano").mkdir()
    assert load("nano").config == MODELS["nano"]


def test_a_model_for_single_images_has_no_memory(
    tmp_path: Path, config_beside: object, image_only: dict[str, np.ndarray]
) -> None:
    model = load(write_model(tmp_path / "model.pt", image_only), dtype="float32")
    assert model.memory is None and model.config.memory is None


def test_auto_falls_back_to_the_bundled_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(repository: str) -> Path:
        raise DownloadError(f"no connection to download {repository}; connect")

    monkeypatch.setattr(module.hub, "download", offline)
    name, model, note = load_auto()
    assert name == "nano" == model.config.name
    assert "stand-in" in note and "no connection" in note and "--model tiny" in note
    assert "\n" not in note
    with pytest.warns(UserWarning, match="stand-in"):
        assert load("auto").config.name == "nano"


def test_auto_takes_the_official_model(
    tmp_path: Path, meta_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.hub, "download", lambda repository: meta_file)
    name, model, note = load_auto()
    assert name == "tiny" and "official weights, downloaded" in note
    assert load_auto()[2].endswith("(official weights, cached)")
    assert load("auto").config.name == "custom"


def test_the_random_numbers_of_the_user_stay() -> None:
    mx.random.seed(11)
    mx.random.normal((2,))
    before = mx.random.state[0].tolist()
    load("nano")
    assert mx.random.state[0].tolist() == before


@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="counts pages as Linux does")
def test_loading_again_and_again_takes_no_memory() -> None:
    def pages() -> int:
        gc.collect()
        return int(Path("/proc/self/statm").read_text().split()[1])

    load("nano")
    before = pages()
    for _ in range(12):
        load("nano")
    # A megabyte was lost with each.
    assert (pages() - before) * os.sysconf("SC_PAGE_SIZE") < 4 * 2**20


def test_loading_is_quick_to_import_and_imports_no_download_library() -> None:
    script = (
        "import sys\n"
        "from sam2_mlx.checkpoints.load import load\n"
        "load('nano')\n"
        "unwanted = {'huggingface_hub', 'torch', 'av', 'cv2'} & set(sys.modules)\n"
        "sys.exit(f'imported {unwanted}' if unwanted else 0)\n"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
