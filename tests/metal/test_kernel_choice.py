"""Which of kernel and twin runs: the switch, the first check, and what is remembered of it."""

from __future__ import annotations

import json
import warnings

import mlx.core as mx
import numpy as np
import pytest

from sam2_mlx.ops import flash, residual_norm, rope, upsample
from sam2_mlx.ops.metal import kernel as kernel_module
from sam2_mlx.ops.metal import switch, verdicts
from sam2_mlx.ops.metal.kernel import Kernel, KernelSource, disagreement
from sam2_mlx.ops.rope import MemoryLayout, axial_rope_plain, rope_example
from tests.metal.fake_kernel import VARIANT, Fake, same, stored


def refuse(x):
    raise RuntimeError("[metal::Device] Unable to build metal library from source\nerror: no")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SAM2_MLX_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SAM2_MLX_KERNELS", raising=False)


@pytest.fixture
def metal(monkeypatch):
    """As if MLX ran on Metal; returns a kernel that a fake computes."""
    monkeypatch.setattr(kernel_module, "metal_in_use", lambda: True)

    def make(fake):
        monkeypatch.setattr(KernelSource, "build", lambda self: fake)
        given = rope.KERNEL
        return Kernel(given.source, given.launch, given.twin, given.variant, given.trials)

    return make


@pytest.fixture
def arguments():
    return rope_example(mx.float32, 32, 4, MemoryLayout(3, 4, tail=2))


# ---- the switch


@pytest.mark.parametrize(
    "text, mode",
    [
        ("0", switch.KernelMode.OFF),
        ("1", switch.KernelMode.ON),
        ("check", switch.KernelMode.CHECK),
        (" CHECK ", switch.KernelMode.CHECK),
        ("", switch.KernelMode.CHECK),
    ],
)
def test_switch(monkeypatch, text, mode):
    monkeypatch.setenv("SAM2_MLX_KERNELS", text)
    assert switch.kernel_mode() is mode


def test_switch_is_check_by_default():
    assert switch.kernel_mode() is switch.KernelMode.CHECK


@pytest.mark.parametrize("text", ["on", "2", "true"])
def test_unknown_switch_is_an_error(monkeypatch, text, arguments):
    monkeypatch.setenv("SAM2_MLX_KERNELS", text)
    with pytest.raises(ValueError, match=f"SAM2_MLX_KERNELS must be 0 .* got '{text}'"):
        rope.axial_rope(*arguments)


def test_off_never_touches_the_kernel(metal, arguments, monkeypatch):
    monkeypatch.setenv("SAM2_MLX_KERNELS", "0")
    fake = Fake()
    assert same(metal(fake)(*arguments), axial_rope_plain(*arguments))
    assert fake.calls == 0


def test_on_does_not_check(metal, arguments, monkeypatch):
    monkeypatch.setenv("SAM2_MLX_KERNELS", "1")
    fake = Fake(lambda x: x + 1)
    assert not same(metal(fake)(*arguments), axial_rope_plain(*arguments))
    assert fake.calls == 1
    assert not verdicts.verdict_file().exists()


def test_without_metal_the_twin_runs(arguments, monkeypatch):
    monkeypatch.setattr(kernel_module, "metal_in_use", lambda: False)
    monkeypatch.setattr(KernelSource, "build", refuse)
    monkeypatch.setenv("SAM2_MLX_KERNELS", "1")
    assert same(rope.axial_rope(*arguments), axial_rope_plain(*arguments))


def test_status(monkeypatch):
    monkeypatch.setattr(switch, "metal_in_use", lambda: True)
    assert switch.kernel_status() == "on, each checked at its first use"
    monkeypatch.setenv("SAM2_MLX_KERNELS", "1")
    assert switch.kernel_status() == "on, unchecked"
    monkeypatch.setenv("SAM2_MLX_KERNELS", "0")
    assert switch.kernel_status() == "off (SAM2_MLX_KERNELS=0)"
    monkeypatch.delenv("SAM2_MLX_KERNELS")
    monkeypatch.setattr(switch, "metal_in_use", lambda: False)
    assert "not run on Metal" in switch.kernel_status()


# ---- the first check


def test_a_right_kernel_is_checked_once_and_used(metal, arguments):
    fake = Fake()
    chosen = metal(fake)
    trials = len(list(chosen.trials(VARIANT)))
    for _ in range(3):
        assert same(chosen(*arguments), axial_rope_plain(*arguments))
    assert fake.calls == trials + 3
    assert list(stored().values()) == [verdicts.PASSED]


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda x: x + 0.1, "is off by"),
        (lambda x: x * float("nan"), "is off by nan"),
        (lambda x: x.astype(mx.float16), "instead of float32"),
        (lambda x: x[:, :, :-1], r"instead of float32 \(1, 2"),
        (refuse, "cannot be run: .*Unable to build metal library from source error: no"),
    ],
    ids=["wrong numbers", "not a number", "wrong dtype", "wrong shape", "does not build"],
)
def test_a_bad_kernel_is_off_with_one_warning(metal, arguments, change, message):
    fake = Fake(change)
    chosen = metal(fake)
    with pytest.warns(RuntimeWarning, match=f"sam2_axial_rope.*turned off.*{message}"):
        assert same(chosen(*arguments), axial_rope_plain(*arguments))
    calls = fake.calls
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert same(chosen(*arguments), axial_rope_plain(*arguments))
        # Off means off, for what it has not been asked yet too.
        chosen(*rope_example(mx.float16, 32, 4, MemoryLayout(1, 4)))
    assert fake.calls == calls
    assert list(stored().values()) != [verdicts.PASSED]


def test_unsupported_arguments_are_no_fault(metal):
    fake = Fake()
    q, k, layout = rope_example(mx.float32, 32, 4, MemoryLayout(1, 4))
    got = metal(fake)(q, k.astype(mx.float16), layout)
    assert got[1].dtype == mx.float16 and fake.calls == 0


def test_first_use_inside_compile(metal, arguments):
    chosen = metal(Fake())
    q, k, layout = arguments
    traced = mx.compile(lambda q, k: chosen(q, k, layout))
    for _ in range(2):
        for got, wanted in zip(traced(q, k), axial_rope_plain(*arguments), strict=True):
            assert mx.allclose(got, wanted, atol=1e-6)
    assert list(stored().values()) == [verdicts.PASSED]


def test_first_use_of_a_bad_kernel_inside_compile(metal, arguments):
    chosen = metal(Fake(lambda x: x + 1))
    q, k, layout = arguments
    traced = mx.compile(lambda q, k: chosen(q, k, layout))
    with pytest.warns(RuntimeWarning, match="turned off"):
        got = traced(q, k)
    for ours, wanted in zip(got, axial_rope_plain(*arguments), strict=True):
        assert mx.allclose(ours, wanted, atol=1e-6)


def test_the_check_leaves_random_numbers_alone(metal, arguments):
    mx.random.seed(3)
    wanted = mx.random.normal((4,))
    mx.random.seed(3)
    metal(Fake())(*arguments)
    assert mx.array_equal(mx.random.normal((4,)), wanted)


@pytest.mark.parametrize(
    "given, variant",
    [
        (rope.KERNEL, ("float16", 32, 4, 4, 0)),
        (upsample.KERNEL, ("float32", "uint8", 0)),
        (upsample.KERNEL, ("float32", "float16", 1)),
        (residual_norm.KERNEL, ("bfloat16", 96)),
        (flash.KERNEL, ("float16", 32, 16)),
    ],
)
def test_the_real_kernels_pass_on_the_emulator(emulate, given, variant, monkeypatch):
    function = emulate(given.source.build())
    monkeypatch.setattr(KernelSource, "build", lambda self: function)
    fresh = Kernel(given.source, given.launch, given.twin, given.variant, given.trials)
    assert fresh.check(variant) == verdicts.PASSED


# ---- what is remembered


def test_a_later_process_does_not_check_again(metal, arguments):
    metal(Fake())(*arguments)
    fake = Fake()
    assert same(metal(fake)(*arguments), axial_rope_plain(*arguments))
    assert fake.calls == 1


def test_a_later_process_keeps_a_bad_kernel_off_and_says_so(metal, arguments):
    with pytest.warns(RuntimeWarning):
        metal(Fake(lambda x: x + 1))(*arguments)
    fake = Fake()
    with pytest.warns(RuntimeWarning, match="turned off"):
        assert same(metal(fake)(*arguments), axial_rope_plain(*arguments))
    assert fake.calls == 0


def test_recheck_lifts_an_old_verdict(metal, arguments):
    bad = metal(Fake(lambda x: x + 1))
    with pytest.warns(RuntimeWarning):
        bad(*arguments)
    fake = Fake()
    repaired = metal(fake)
    assert repaired.recheck(VARIANT) == verdicts.PASSED
    calls = fake.calls
    repaired(*arguments)
    assert fake.calls == calls + 1
    assert list(stored().values()) == [verdicts.PASSED]


@pytest.mark.parametrize("content", ["", "{", "[1, 2]", '"text"', "\x00\xff", None])
def test_an_unreadable_file_costs_only_a_check(metal, arguments, content):
    path = verdicts.verdict_file()
    path.parent.mkdir(parents=True)
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content.encode("latin-1"))
    fake = Fake()
    assert same(metal(fake)(*arguments), axial_rope_plain(*arguments))
    assert fake.calls > 1
    assert [entry.name for entry in path.parent.iterdir()] == ["kernels.json"]


def test_a_verdict_of_another_type_is_no_verdict(metal, arguments):
    metal(Fake())(*arguments)
    path = verdicts.verdict_file()
    path.write_text(json.dumps(dict.fromkeys(stored(), 1)))
    fake = Fake()
    metal(fake)(*arguments)
    assert fake.calls > 1


def test_a_folder_that_cannot_be_made(metal, arguments, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SAM2_MLX_CACHE", str(tmp_path / "file"))
    assert same(metal(Fake())(*arguments), axial_rope_plain(*arguments))


def test_other_verdicts_are_kept_and_no_drafts_stay(metal, arguments):
    verdicts.remember("another kernel", "broken")
    metal(Fake())(*arguments)
    assert sorted(stored().values()) == [verdicts.PASSED, "broken"]
    assert [path.name for path in verdicts.verdict_file().parent.iterdir()] == ["kernels.json"]


def test_what_a_verdict_depends_on(monkeypatch):
    verdicts.remember("a", verdicts.PASSED)
    assert verdicts.recall("a") == verdicts.PASSED
    assert verdicts.recall("b") is None
    monkeypatch.setattr(verdicts, "platform_key", lambda: "another device")
    assert verdicts.recall("a") is None
    digests = {
        k.source.digest for k in (rope.KERNEL, upsample.KERNEL, residual_norm.KERNEL, flash.KERNEL)
    }
    assert len(digests) == 4


def test_platform_key_names_mlx_and_the_system():
    assert verdicts.platform_key().startswith("mlx ") and verdicts.platform_key().count(",") == 2


# ---- the comparison


def test_disagreement():
    ones = (mx.ones((3,)),)
    assert disagreement(ones, ones) == ""
    assert disagreement((mx.ones((3,)) * (1 + 1e-6),), ones) == ""
    assert "off by" in disagreement((mx.ones((3,)) * (1 + 1e-4),), ones)
    assert "0 arrays instead of 1" in disagreement((), ones)
    bits = (mx.array(np.array([0, 1], np.uint8)),)
    assert disagreement(bits, bits) == ""
    assert "off by" in disagreement((1 - bits[0],), bits)
    half = (mx.ones((3,), mx.float16) * 10,)
    assert disagreement((half[0] + mx.array(0.008, mx.float16),), half) == ""


# ---- on a Mac


METAL_VARIANTS = [
    *((rope.KERNEL, (dtype, 256, 32, 16, 256)) for dtype in kernel_module.FLOATS),
    *((upsample.KERNEL, (dtype, "uint8", 0)) for dtype in kernel_module.FLOATS),
    *((upsample.KERNEL, ("float32", d, mode)) for d in kernel_module.FLOATS for mode in (1, 2)),
    *((residual_norm.KERNEL, (d, c)) for d in kernel_module.FLOATS for c in (96, 1152)),
    *((flash.KERNEL, (d, c, 64)) for d in kernel_module.FLOATS for c in (128, 256)),
]


@pytest.mark.metal
@pytest.mark.parametrize("given, variant", METAL_VARIANTS)
def test_kernels_on_metal(given, variant):
    assert given.check(variant) == verdicts.PASSED
