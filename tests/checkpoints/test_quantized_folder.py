"""Quantised folders: smaller, nearly the same masks, and never trusted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from mlx.utils import tree_flatten

import sam2_mlx.checkpoints.quantized as module
from sam2_mlx.checkpoints.convert import convert_checkpoint
from sam2_mlx.checkpoints.load import BUNDLED_FOLDER, load
from sam2_mlx.media import demo_clip, open_frames
from sam2_mlx.model.sam import Sam
from sam2_mlx.tracking.session import TrackingSession
from tests.commands import convert as main

# Mean over three objects and the first frames of the bundled clip.
FLOORS = {8: 0.995, 4: 0.97}
POINTS = ((105, 118), (520, 196), (250, 276))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """The bundled model in 16 bits, and quantised to 8 and 4."""
    root = tmp_path_factory.mktemp("quantized")
    for bits in (16, 8, 4):
        convert_checkpoint(
            BUNDLED_FOLDER, root / str(bits), dtype="float16", bits=None if bits == 16 else bits
        )
    return {bits: root / str(bits) for bits in (16, 8, 4)}


def size_of(folder: Path) -> int:
    return (folder / "model.safetensors").stat().st_size


def masks_of(model: Sam, frames: int = 3) -> np.ndarray:
    session = TrackingSession(model)
    found = []
    with open_frames(demo_clip()) as source:
        for index in range(frames):
            masks = session.step(source.read(index))
            for number, point in enumerate(POINTS) if not index else ():
                masks = session.prompt(number, points=[point], labels=[1])
            found.append(np.array(masks.logits[:, 0]) > 0)
    return np.stack(found)


@pytest.fixture(scope="module")
def plain_masks() -> np.ndarray:
    return masks_of(load("nano", dtype="float32"))


@pytest.mark.parametrize("bits", [8, 4])
def test_masks_stay(folders: dict[int, Path], plain_masks: np.ndarray, bits: int) -> None:
    masks = masks_of(load(folders[bits], dtype="float32"))
    both = (masks & plain_masks).sum(axis=(2, 3))
    either = (masks | plain_masks).sum(axis=(2, 3))
    assert either.min() > 0
    overlap = (both / either).mean()
    print(f"{bits} bits: mean IoU with float32 {overlap:.4f}")
    assert FLOORS[bits] < overlap < 1.0


def test_folders_shrink(folders: dict[int, Path]) -> None:
    sizes = {bits: size_of(folder) for bits, folder in folders.items()}
    assert sizes[8] < 0.8 * sizes[16] and sizes[4] < 0.9 * sizes[8]


@pytest.mark.parametrize("bits", [8, 4])
def test_what_is_recorded(folders: dict[int, Path], bits: int) -> None:
    record = json.loads((folders[bits] / "config.json").read_text())["quantization"]
    assert (record["mode"], record["bits"]) == ("affine", bits)
    tensors = mx.load(str(folders[bits] / "model.safetensors"))
    packed = {key.removesuffix(".weight") for key, v in tensors.items() if v.dtype == mx.uint32}
    assert packed == set(record["modules"])
    assert "image_encoder.trunk.blocks.3.mlp.layers.0" in packed
    assert not any("mask_decoder" in name or ".conv" in name for name in packed)
    # Folded before: the three projections are one.
    assert "memory.attention.layers.0.self_attn.qkv_proj" in packed


def test_on_a_cpu_the_weights_are_unpacked(
    folders: dict[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.mx, "default_device", lambda: mx.Device(mx.cpu))
    model = load(folders[8], dtype="float32")
    assert not any(isinstance(m, nn.QuantizedLinear) for m in model.modules())
    assert {value.dtype for _, value in tree_flatten(model.parameters())} == {mx.float32}
    assert not model.training and not tree_flatten(model.trainable_parameters())


@pytest.mark.parametrize("bits", [8, 4])
def test_on_a_gpu_they_stay_packed(
    folders: dict[int, Path], bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = mx.random.normal((1, 64, 64, 3))
    wanted = load(folders[bits], dtype="float32", image_size=64).encode_image(pixels)
    with monkeypatch.context() as patch:
        patch.setattr(module.mx, "default_device", lambda: mx.Device(mx.gpu))
        model = load(folders[bits], dtype="float32", image_size=64)
    # Heads are 32 channels wide, and padded for the fused kernel.
    attention = model.image_encoder.trunk.blocks[4].attn
    assert isinstance(attention.qkv, nn.QuantizedLinear)
    assert attention.qkv.weight.shape[0] == 3 * 64 * attention.heads
    assert isinstance(attention.proj, nn.Linear)
    got = model.encode_image(pixels)
    for a, b in zip(got.arrays(), wanted.arrays(), strict=True):
        assert mx.allclose(a, b, atol=1e-3 * mx.abs(b).max().item())


def test_the_image_size_and_the_switch_of_folding(
    folders: dict[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAM2_MLX_FOLD", "0")
    model = load(folders[8], dtype="float32", image_size=96)
    assert model.config.image_size == 96
    assert model.encode_image(mx.zeros((1, 96, 96, 3))).coarse.shape == (1, 6, 6, 128)


def test_a_model_for_pictures_alone(tmp_path: Path, save: Callable[..., Path]) -> None:
    tensors = mx.load(str(BUNDLED_FOLDER / "model.safetensors"))
    kept = {k: v for k, v in tensors.items() if not k.startswith("memory.")}
    kept["memory.no_memory_embedding"] = tensors["memory.no_memory_embedding"]
    record = json.loads((BUNDLED_FOLDER / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(record))
    file = save(tmp_path / "pictures.safetensors", kept)
    convert_checkpoint(file, tmp_path / "out", bits=8)
    model = load(tmp_path / "out", dtype="float32", image_size=64)
    assert model.memory is None
    assert model.encode_image(mx.zeros((1, 64, 64, 3))).coarse.shape == (1, 4, 4, 128)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "small"
    assert main(["nano", str(out), "--dtype", "float16", "--quantize", "4"]) == 0
    assert "nano, 256 px, 4 bits and float16, " in capsys.readouterr().out
    assert main([str(out), str(tmp_path / "again")]) == 2
    printed = capsys.readouterr()
    assert "quantised already" in printed.err and printed.err.count("\n") == 1
    with pytest.raises(SystemExit):
        main(["nano", str(tmp_path / "odd"), "--quantize", "5"])
    with pytest.raises(ValueError, match="8 or 4 bits; got 3"):
        convert_checkpoint(BUNDLED_FOLDER, tmp_path / "odd", bits=3)
    assert not (tmp_path / "odd").exists()


def _set(*path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(record: dict[str, Any]) -> None:
        for step in path[:-1]:
            record = record[step]
        record[path[-1]] = value

    return change


LIES: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "other bits": (_set("quantization", "bits", value=4), "wrong shape or type"),
    "odd bits": (_set("quantization", "bits", value=3), "8 or 4 bits"),
    "bits in words": (_set("quantization", "bits", value="8"), "8 or 4 bits"),
    "bits as a list": (_set("quantization", "bits", value=[8]), "8 or 4 bits"),
    "another group": (_set("quantization", "group_size", value=32), "wrong shape or type"),
    "an odd group": (_set("quantization", "group_size", value=0), "groups of 32"),
    "another mode": (_set("quantization", "mode", value="nvfp4"), "affine"),
    "a list": (_set("quantization", value=[1]), "needs mode, bits"),
    "nothing": (_set("quantization", value={}), "needs mode, bits"),
    "no names": (_set("quantization", "modules", value="all"), "list of names"),
    "numbers": (_set("quantization", "modules", value=[1]), "list of names"),
    "fewer": (_set("quantization", "modules", value=[]), "unexpected"),
    "foreign": (_set("quantization", "modules", value=["x.y"]), "no linear layer"),
    "a norm": (
        _set("quantization", "modules", value=["image_encoder.trunk.blocks.0.norm1"]),
        "no linear layer",
    ),
    "too narrow": (
        _set("quantization", "modules", value=["image_encoder.trunk.blocks.0.attn.qkv"]),
        "no multiple of 64",
    ),
    "no quantization": (lambda record: record.pop("quantization"), "no config.json beside it that"),
    "another width": (_set("model", "hidden_dim", value=256), "wrong shape or type"),
    "no width": (_set("model", "hidden_dim", value="wide"), "cannot be used"),
    "endless": (_set("model", "encoder", "stages", value=[1, 2, 3, 10**9]), "cannot be used"),
    "no stages": (_set("model", "encoder", "stages", value=[]), ""),
    "another version": (_set("format_version", value=2), "format 2"),
    "no model": (_set("model", value=None), "not an object"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_config_that_lies(tmp_path: Path, folders: dict[int, Path], lie: str) -> None:
    change, words = LIES[lie]
    record = json.loads((folders[8] / "config.json").read_text())
    change(record)
    (tmp_path / "config.json").write_text(json.dumps(record))
    (tmp_path / "model.safetensors").symlink_to(folders[8] / "model.safetensors")
    with pytest.raises(ValueError) as caught:
        load(tmp_path)
    message = str(caught.value)
    assert words in message and "\n" not in message and message.startswith(str(tmp_path))


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda t, k: t.pop(f"{k}.scales"), "missing: memory.attention.layers.0.linear1.scales"),
        (lambda t, k: t.update({f"{k}.weight": t[f"{k}.weight"][:3]}), "wrong shape"),
        (lambda t, k: t.update({f"{k}.scales": t[f"{k}.weight"]}), "wrong shape or type"),
        (lambda t, k: t.update({f"{k}.weight": mx.zeros(t[f"{k}.weight"].shape)}), "float32 for"),
        (lambda t, k: t.update({"extra": mx.zeros((2,))}), "unexpected: extra"),
    ],
)
def test_tensors_that_do_not_fit(
    tmp_path: Path, folders: dict[int, Path], harm: Callable[..., Any], words: str
) -> None:
    tensors = dict(mx.load(str(folders[8] / "model.safetensors")))
    harm(tensors, "memory.attention.layers.0.linear1")
    mx.save_safetensors(str(tmp_path / "model.safetensors"), tensors)
    (tmp_path / "config.json").write_text((folders[8] / "config.json").read_text())
    with pytest.raises(ValueError) as caught:
        load(tmp_path)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_without_its_config(tmp_path: Path, folders: dict[int, Path]) -> None:
    (tmp_path / "model.safetensors").symlink_to(folders[4] / "model.safetensors")
    with pytest.raises(ValueError, match="is quantised, but has no config.json"):
        load(tmp_path)
