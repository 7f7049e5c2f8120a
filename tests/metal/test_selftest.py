"""The selftest command: what it says and how it ends."""

from __future__ import annotations

import mlx.core as mx
import pytest

from sam2_mlx.__main__ import main as command
from sam2_mlx.cli import kernel_cases, selftest
from sam2_mlx.ops import flash, residual_norm, rope, upsample
from sam2_mlx.ops.metal import kernel as kernel_module
from sam2_mlx.ops.metal import race
from sam2_mlx.ops.metal.kernel import KernelSource
from tests.metal.fake_kernel import fused_by_force

KERNELS = (rope.KERNEL, upsample.KERNEL, residual_norm.KERNEL, flash.KERNEL)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SAM2_MLX_CACHE", str(tmp_path))
    monkeypatch.delenv("SAM2_MLX_KERNELS", raising=False)
    monkeypatch.setattr(kernel_cases, "metal_in_use", lambda: False)
    for kernel in KERNELS:
        # What the test finds out about them is undone.
        monkeypatch.setattr(kernel, "_function", None)
        monkeypatch.setattr(kernel, "_passed", set())
        monkeypatch.setattr(kernel, "_fault", None)


@pytest.fixture
def metal(monkeypatch):
    """As if MLX ran on Metal and every kernel did what its twin does."""
    monkeypatch.setattr(kernel_cases, "metal_in_use", lambda: True)
    monkeypatch.setattr(kernel_module, "_REPEATS", 1)
    monkeypatch.setattr(race, "metal_in_use", lambda: True)
    monkeypatch.setattr(flash.RACE, "_fastest", {})
    monkeypatch.setattr(race, "milliseconds", lambda function: 1.0)
    monkeypatch.setattr(mx.fast, "scaled_dot_product_attention", fused_by_force)
    monkeypatch.setattr(KernelSource, "build", lambda self: None)
    for kernel in KERNELS:
        monkeypatch.setattr(kernel, "launch", lambda _, *args, twin=kernel.twin: twin(*args))


def test_without_metal_the_twins_are_compared(capsys):
    assert selftest.main([]) == 0
    printed = capsys.readouterr().out
    assert "does not run on Metal here" in printed and "everything agrees" in printed
    for word in ("RoPE", "LayerNorm", "memory", "attention to 2 memories", "240x135", "bfloat16"):
        assert word in printed


def test_a_wrong_twin_is_an_error(capsys, monkeypatch):
    right = rope.KERNEL.twin
    monkeypatch.setattr(
        rope.KERNEL, "twin", lambda *args: tuple(x * mx.array(1.001) for x in right(*args))
    )
    assert selftest.main(["--dtype", "float32"]) == 1
    captured = capsys.readouterr()
    assert "FAILED" in captured.out
    assert "1 of the comparisons failed: axial RoPE, 2 memories (float32)" in captured.err


def test_on_metal_both_speeds_are_shown(capsys, metal):
    assert selftest.main(["--quick", "--dtype", "float16"]) == 0
    printed = capsys.readouterr().out
    assert "kernel ms" in printed and "plain ms" in printed and "FAILED" not in printed


def test_a_kernel_that_fails_its_check_is_an_error(capsys, metal, monkeypatch):
    monkeypatch.setattr(
        upsample.KERNEL, "launch", lambda _, *args: (upsample.KERNEL.twin(*args)[0] + 1,)
    )
    assert selftest.main(["--quick", "--dtype", "float16"]) == 1
    captured = capsys.readouterr()
    assert "2 of the comparisons failed: 2 soft masks" in captured.err
    assert "is off by" in captured.out


def test_the_fastest_attention_is_named(capsys, metal, monkeypatch):
    times = iter((3.0, 2.0, 4.0, 24.0, 16.0, 8.0))
    monkeypatch.setattr(race, "milliseconds", lambda function: next(times))
    assert selftest.main(["--quick", "--dtype", "float16"]) == 0
    one, several = capsys.readouterr().out.splitlines()[-3:-1]
    assert one.split("float16")[1].strip() == "kernel: plain 3 ms, kernel 2 ms, fused 4 ms"
    assert several.endswith("fused: plain 24 ms, kernel 16 ms, fused 8 ms")


def test_a_kernel_that_is_wrong_only_at_full_size_is_an_error(capsys, metal, monkeypatch):
    right = rope.KERNEL.twin

    def wrong(_, q, k, layout):
        turned, keys = right(q, k, layout)
        return turned, keys * (mx.nan if layout.tail == 64 else 1)

    monkeypatch.setattr(rope.KERNEL, "launch", wrong)
    assert selftest.main(["--quick", "--dtype", "float32"]) == 1
    assert "off by nan at full size" in capsys.readouterr().out


def test_unknown_switch(capsys, monkeypatch):
    monkeypatch.setenv("SAM2_MLX_KERNELS", "yes")
    assert command(["selftest"]) == 2
    assert "must be 0" in capsys.readouterr().err


@pytest.mark.metal
def test_on_a_mac(monkeypatch):
    monkeypatch.undo()
    assert selftest.main(["--quick"]) == 0
