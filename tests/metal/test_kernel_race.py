"""Forms that compute the same: who takes part in a race, who wins, and what is remembered."""

from __future__ import annotations

import json
import warnings

import mlx.core as mx
import pytest

from sam2_mlx.ops import flash
from sam2_mlx.ops.flash import flash_example
from sam2_mlx.ops.metal import kernel as kernel_module
from sam2_mlx.ops.metal import race as race_module
from sam2_mlx.ops.metal import verdicts
from sam2_mlx.ops.metal.kernel import Kernel, KernelSource, milliseconds
from sam2_mlx.ops.metal.race import Race
from tests.metal.fake_kernel import fused_by_force

ONE = ("float32", 32, 16, 1, 20)


def arguments(objects=1, queries=20):
    return flash_example(mx.float32, objects, queries, 30, 32, 16)


class Forms:
    """Stands for an Apple GPU: forms that say when they are called, and how long each takes."""

    def __init__(self, monkeypatch):
        self.called, self.times = [], {"plain": 3.0, "kernel": 2.0, "fused": 1.0}
        self.kernel_error = self.fused_error = 0.0
        for module in (kernel_module, race_module):
            monkeypatch.setattr(module, "metal_in_use", lambda: True)
        monkeypatch.setattr(race_module, "milliseconds", self.time)
        monkeypatch.setattr(KernelSource, "build", lambda source: None)

    def time(self, function):
        self.called.clear()
        function()
        return self.times[self.called[-1]]

    def form(self, name, error=0.0):
        def run(q, k, v, scale):
            self.called.append(name)
            return tuple(x + error for x in flash.in_chunks(q, k, v, scale))

        return run

    def race(self):
        """A new process: nothing is known but what the file says."""
        parts = flash.KERNEL.variant, flash.KERNEL.trials
        run = self.form("kernel", self.kernel_error)
        kernel = Kernel(flash.SOURCE, lambda _, *args: run(*args), self.form("plain"), *parts)
        rivals = {"fused": self.form("fused", self.fused_error)}
        return Race(kernel, rivals, flash.RACE.track, flash.RACE.arguments)

    def used(self, race, *args):
        self.called.clear()
        assert mx.allclose(race(*args)[0], flash.in_chunks(*args)[0], atol=1e-5)
        return self.called[-1]


@pytest.fixture
def forms(tmp_path, monkeypatch):
    monkeypatch.setenv("SAM2_MLX_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SAM2_MLX_KERNELS", raising=False)
    return Forms(monkeypatch)


def stored():
    values = json.loads(verdicts.verdict_file().read_text())
    return [values[key] for key in values if key.startswith("race")]


@pytest.mark.parametrize("fastest", ["plain", "kernel", "fused"])
def test_the_fastest_is_used(forms, fastest):
    forms.times[fastest] = 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # to lose is no fault
        assert forms.used(forms.race(), *arguments()) == fastest
    assert stored()[0].startswith(f"{fastest}: plain ") and "fused" in stored()[0]


def test_later_processes_do_not_measure_again(forms):
    assert forms.used(forms.race(), *arguments()) == "fused"
    forms.times["plain"] = 0.1
    assert forms.used(forms.race(), *arguments()) == "fused"
    assert forms.race().run(ONE) == "plain: plain 0.1 ms, kernel 2 ms, fused 1 ms"
    assert forms.used(forms.race(), *arguments()) == "plain"


def test_one_object_several_and_each_size_have_a_race_of_their_own(forms):
    race = forms.race()
    assert forms.used(race, *arguments()) == "fused"
    forms.times["kernel"] = 0.5
    assert forms.used(race, *arguments(objects=2)) == "kernel"
    assert forms.used(race, *arguments(objects=3)) == "kernel"
    forms.times["plain"] = 0.1
    assert forms.used(race, *arguments(queries=24)) == "plain"
    assert forms.used(race, *arguments()) == "fused"
    assert len(stored()) == 3


def test_what_is_wrong_does_not_take_part(forms):
    forms.kernel_error = forms.fused_error = 0.1
    forms.times["plain"] = 99.0
    with pytest.warns(RuntimeWarning, match="turned off on this machine"):
        assert forms.used(forms.race(), *arguments()) == "plain"
    verdict = stored()[0]
    assert verdict.startswith("plain: plain 99 ms, kernel: not right here, fused: output 0 is off")


def test_an_mlx_without_the_fused_form(forms, monkeypatch):
    def attention(q, k, v, *, scale):
        raise AssertionError("not reached")

    monkeypatch.setattr(mx.fast, "scaled_dot_product_attention", attention)
    race = forms.race()
    race.rivals["fused"] = flash.fused
    assert forms.used(race, *arguments()) == "kernel"
    assert "fused: it cannot be run" in stored()[0]


def test_a_file_that_says_nonsense_costs_a_race(forms):
    forms.race()(*arguments())
    values = json.loads(verdicts.verdict_file().read_text())
    for key in values:
        values[key] = "rm: 1 ms" if key.startswith("race") else values[key]
    verdicts.verdict_file().write_text(json.dumps(values))
    assert forms.used(forms.race(), *arguments()) == "fused"
    assert stored()[0].startswith("fused:")


@pytest.mark.parametrize(("mode", "used"), [("0", "plain"), ("1", "kernel")])
def test_the_switch_leaves_no_choice(forms, monkeypatch, mode, used):
    monkeypatch.setenv("SAM2_MLX_KERNELS", mode)
    assert forms.used(forms.race(), *arguments()) == used
    assert not verdicts.verdict_file().exists()


def test_a_race_inside_compile(forms):
    race, args = forms.race(), arguments()
    forms.called.clear()
    mx.compile(lambda q, k, v: race(q, k, v, args[3])[0])(*args[:3])
    assert stored()[0].startswith("fused:") and forms.called[-1] == "fused"


@pytest.mark.parametrize("objects", [1, 3])
def test_the_fused_form_computes_the_same(objects, monkeypatch):
    monkeypatch.setattr(mx.fast, "scaled_dot_product_attention", fused_by_force)
    args = arguments(objects)
    assert not kernel_module.disagreement(flash.fused(*args), flash.in_chunks(*args))


def test_milliseconds():
    spent = milliseconds(lambda: (mx.ones((64, 64)) @ mx.ones((64, 64)),))
    assert 0 < spent < 1000
