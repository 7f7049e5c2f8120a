"""The table of fused head widths, and the script that compares it with a wheel."""

from __future__ import annotations

import zipfile
from pathlib import Path

import mlx.core as mx
import pytest

from benchmarks.fused_widths import main, widths_in
from benchmarks.gpu_form import as_on_gpu, hollow, hollow_model
from benchmarks.graph import count_work
from benchmarks.steps import encoder_step
from sam2_mlx.config import MODELS
from sam2_mlx.ops import attention
from sam2_mlx.ops.attention import fused_width


def wheel(folder: Path, version: str, widths: list[int], dtypes: int = 3) -> Path:
    names = [
        f"steel_attention_{dtype}_bq32_bk16_bd{width}_bv{width}_wm4_wn1_mask{dtype}"
        for width in widths
        for dtype in ("float32", "float16", "bfloat16")[:dtypes]
    ]
    path = folder / f"mlx_metal-{version}-py3-none-macosx_15_0_arm64.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mlx/lib/mlx.metallib", b"\0".join(name.encode() for name in names))
    return path


def test_a_wheel_that_agrees(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = wheel(tmp_path, "0.31.2", [64, 80, 128])
    new = wheel(tmp_path, "0.32.4", [64, 72, 80, 96, 128, 192, 256])
    assert main([str(old), str(new)]) == 0
    assert capsys.readouterr().out.startswith("0.31.2: 64, 80, 128\n0.32.4: 64, 72, 80, 96")


def test_a_wheel_that_does_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(wheel(tmp_path, "0.33.0", [64, 72, 80, 112, 128]))]) == 1
    out = capsys.readouterr().out
    assert "96 is in the table and not in the library" in out
    assert "112 is in the library and not in the table" in out
    # For one dtype too few.
    assert widths_in(wheel(tmp_path, "0.33.1", [64], dtypes=2)) == []


def test_what_is_no_wheel(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = tmp_path / "a-1.whl"
    text.write_text("no")
    assert main([str(text)]) == 2
    assert "is no wheel of mlx-metal" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("version", "padded"),
    [
        ("0.31.2", {56: 64, 64: 64, 72: 80, 96: 128, 128: 128, 256: 256}),
        ("0.32.1", {56: 64, 72: 80, 96: 96}),
        ("0.32.4.dev20260101", {56: 64, 72: 72, 80: 80, 96: 96, 112: 128}),
        ("1.0.0", {72: 72}),
    ],
)
def test_widths_by_version(
    monkeypatch: pytest.MonkeyPatch, version: str, padded: dict[int, int]
) -> None:
    monkeypatch.setattr(attention, "version", lambda package: version)
    with as_on_gpu():
        assert {dims: fused_width(dims) for dims in padded} == padded


@pytest.mark.skipif(mx.default_device().type != mx.cpu, reason="a CPU's form")
def test_a_cpu_pads_nothing() -> None:
    assert [fused_width(dims) for dims in (56, 96, 300)] == [56, 96, 300]


@pytest.mark.parametrize(("name", "gflop"), [("tiny", 287), ("small", 354), ("large", 1815)])
def test_encoders_are_not_padded_for_nothing(name: str, gflop: int) -> None:
    # What the network has without padding; it was 340, 417 and 1898 with it.
    with as_on_gpu():
        step = encoder_step(hollow_model(MODELS[name], mx.float16), hollow)
        work = count_work(step.function, step.arrays)
    assert round(work.flops / 1e9) == gflop
