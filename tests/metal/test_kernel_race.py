"""A kernel that is only worth it where it is faster: the race, and what is remembered of it."""

from __future__ import annotations

import warnings

import mlx.core as mx
import pytest

from sam2_mlx.ops import rope
from sam2_mlx.ops.metal import kernel as kernel_module
from sam2_mlx.ops.metal import verdicts
from sam2_mlx.ops.metal.kernel import Kernel, KernelSource
from sam2_mlx.ops.rope import MemoryLayout, axial_rope_plain, rope_example
from tests.metal.fake_kernel import VARIANT, Fake, same, stored


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SAM2_MLX_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SAM2_MLX_KERNELS", raising=False)


@pytest.fixture
def arguments():
    return rope_example(mx.float32, 32, 4, MemoryLayout(3, 4, tail=2))


@pytest.fixture
def runner(monkeypatch, arguments):
    """As if MLX ran on Metal; returns a right kernel that has to win a race, with its times."""
    monkeypatch.setattr(kernel_module, "metal_in_use", lambda: True)

    def make(fake, ours, theirs):
        times = iter((ours, theirs))
        monkeypatch.setattr(kernel_module, "milliseconds", lambda function: next(times))
        monkeypatch.setattr(KernelSource, "build", lambda self: fake)
        given = rope.KERNEL
        parts = given.source, given.launch, given.twin, given.variant, given.trials
        return Kernel(*parts, race=lambda variant: arguments)

    return make


def test_a_kernel_that_wins_is_used(runner, arguments):
    fake = Fake()
    chosen = runner(fake, 1.0, 1.5)
    chosen(*arguments)
    calls = fake.calls
    chosen(*arguments)
    assert fake.calls == calls + 1
    assert list(stored().values()) == [verdicts.PASSED]


def test_a_kernel_that_loses_is_left_alone_without_a_word(runner, arguments):
    fake = Fake()
    chosen = runner(fake, 1.6, 1.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            assert same(chosen(*arguments), axial_rope_plain(*arguments))
    assert fake.calls == len(list(chosen.trials(VARIANT)))
    assert list(stored().values()) == ["slower than plain MLX: 1.6 ms against 1.5"]
    # A later process does not measure again.
    again = Fake()
    runner(again, 1.0, 1.5)(*arguments)
    assert again.calls == 0


def test_a_lost_race_says_nothing_of_other_variants(runner, arguments):
    fake = Fake()
    chosen = runner(fake, 2.0, 1.0)
    chosen(*arguments)
    assert not chosen.trusted(VARIANT)
    chosen.settle(("float16", 32, 4), verdicts.PASSED)
    assert chosen.trusted(("float16", 32, 4)) and not chosen.trusted(VARIANT)


def test_a_second_race_can_be_won(runner, arguments):
    fake = Fake()
    chosen = runner(fake, 2.0, 1.0)
    chosen(*arguments)
    again = runner(fake, 1.0, 2.0)
    assert again.recheck(VARIANT) == verdicts.PASSED and again.trusted(VARIANT)


def test_a_wrong_kernel_does_not_race(runner, arguments):
    with pytest.warns(RuntimeWarning, match="off by"):
        runner(Fake(lambda x: x + 1), 1.0, 2.0)(*arguments)


def test_milliseconds():
    spent = kernel_module.milliseconds(lambda: (mx.ones((64, 64)) @ mx.ones((64, 64)),))
    assert 0 < spent < 1000
