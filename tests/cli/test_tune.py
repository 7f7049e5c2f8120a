"""`sam2-mlx tune` takes what is faster and right, on clocks of our own."""

from __future__ import annotations

import itertools
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest

from sam2_mlx.__main__ import main
from sam2_mlx.cli import tune
from sam2_mlx.cli.stop import StopSignals
from sam2_mlx.ops import flash, traces
from sam2_mlx.ops.cpu import attention, blas
from sam2_mlx.ops.profile import Profile, active, use

Clock = Callable[[Profile], float]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Tunes a small nano as if each form took the time that a clock says; returns its entry."""
    monkeypatch.setenv("SAM2_MLX_CACHE", str(tmp_path / "cache"))
    for name in ("SAM2_MLX_LANES", "SAM2_MLX_COMPILE", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(blas, "usable_cores", lambda: 2)
    # Whether it is compiled is a matter of the clock here.
    monkeypatch.setattr(traces.Traces, "run", lambda self, key, step, *arrays: step(*arrays))

    def tuned(clock: Clock, code: int = 0) -> Any:
        monkeypatch.setattr(tune._TimedFrame, "_milliseconds", lambda self, profile: clock(profile))
        assert main(["tune", "nano", "--image-size", "64"]) == code
        file = tmp_path / "cache" / "models" / "nano" / "profile.json"
        if not file.exists():
            return None
        (entry,) = json.loads(file.read_text()).values()
        assert active() == Profile(**entry["choices"])
        return entry

    yield tuned
    use(Profile())


def test_what_is_faster_is_taken(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    usual = attention.SCORES

    def clock(profile: Profile) -> float:
        time = 100.0 - 20 * (profile.lanes == 1) - 30 * (profile.scores == 2 * usual)
        return time + 50 * bool(profile.compile)

    entry = run(clock)
    assert entry["choices"] == {"lanes": 1, "blas_threads": 2, "scores": 2 * usual}
    assert (entry["default_ms"], entry["tuned_ms"], entry["objects"]) == (100, 50, 1)
    assert [each["share"] for each in entry["tried"]][0] == 0.8
    said = capsys.readouterr().out
    assert "lanes 1, BLAS threads 2         0.80 of the time - taken" in said
    assert "50.0 ms a frame, 100.0 with the defaults: lanes 1" in said


def test_the_attention_to_the_memory_races(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    track, verdict = ("float16", 256, 64, 1, 16), "fused: plain 3 ms, kernel 2 ms, fused 1 ms"
    monkeypatch.setattr(flash.RACE, "_fastest", {track: "plain"})
    monkeypatch.setattr(flash.RACE, "run", {track: verdict}.get)
    assert run(lambda profile: 100.0)["attention"] == {str(track): verdict}


def test_what_gives_other_masks_is_not_taken(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    right = attention._weigh

    def wrong(q: mx.array, k: mx.array, v: mx.array) -> mx.array:
        return right(q, k, v) * (1.5 if active().scores == 2 * attention.SCORES else 1)

    monkeypatch.setattr(attention, "_weigh", wrong)
    entry = run(lambda profile: 1.0 if profile.scores == 2 * attention.SCORES else 2.0)
    assert entry["choices"] == {}
    faults = {each["choices"].get("scores"): each["fault"] for each in entry["tried"]}
    assert "gives other masks: off by" in faults.pop(2 * attention.SCORES)
    assert set(faults.values()) == {""}


def test_what_takes_more_memory_is_not_taken(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def peak() -> int:
        return 1_200_000_000 if active().scores == 2 * attention.SCORES else 1_000_000_000

    monkeypatch.setattr(mx, "get_peak_memory", peak)
    entry = run(lambda profile: 1.0 if profile.scores == 2 * attention.SCORES else 2.0)
    assert entry["choices"] == {}
    assert "takes 1200 MB instead of 1000" in [each["fault"] for each in entry["tried"]]


def test_what_only_seemed_faster_is_not_kept(run: Any) -> None:
    calls: list[Profile] = []

    def clock(profile: Profile) -> float:
        calls.append(profile)
        # The first comparison of one lane had luck; the last, against the defaults, has none.
        return 50.0 if profile.lanes == 1 and len(calls) < 20 else 100.0

    entry = run(clock)
    assert entry["tried"][0]["share"] == 0.5 and entry["choices"] == {}
    assert entry["tuned_ms"] == entry["default_ms"] == 100


def test_faster_in_most_rounds_is_not_enough(run: Any) -> None:
    times = itertools.cycle((90.0, 90.0, 120.0))
    entry = run(lambda profile: next(times) if profile.chosen() else 100.0)
    assert entry["choices"] == {} and entry["tried"][0]["share"] == 0.9


def test_what_loses_is_measured_no_further(
    run: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # As where there is a compiler.
    monkeypatch.delenv("MLX_DISABLE_COMPILE", raising=False)
    monkeypatch.setattr(tune, "PATIENCE_SECONDS", 2.0)
    calls: list[Profile] = []

    def clock(profile: Profile) -> float:
        calls.append(profile)
        return 9000.0 if profile.chosen() else 8000.0

    tried = [each["choices"] for each in run(clock)["tried"]]
    assert capsys.readouterr().err.count(".") >= len(calls)
    usual = attention.SCORES
    assert tried == [
        {"lanes": 1, "blas_threads": 2},
        {"scores": usual // 2},  # so a quarter is not tried
        {"scores": 2 * usual},
        {"compile": True},
    ]
    assert len(calls) == 1 + 2 * len(tried)


@pytest.mark.parametrize("lucky", [True, False])
def test_an_interrupt_keeps_what_was_taken(
    run: Any, lucky: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    def clock(profile: Profile) -> float:
        if profile.scores is not None:
            signal.raise_signal(signal.SIGINT)
        return 50.0 if profile.lanes == 1 and lucky else 100.0

    entry = run(clock, 130)
    said = capsys.readouterr().out
    if lucky:
        assert entry["choices"] == {"lanes": 1, "blas_threads": 2}
        assert (entry["default_ms"], entry["tuned_ms"]) == (100, 50)
        assert len(entry["tried"]) == 1
    else:
        assert entry is None and "nothing was taken so far, and nothing is written" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none"], "unknown model 'none'"),
        (["nano", "--objects", "0"], "need a number, 1 or more; got 0"),
        (["nano", "--image-size", "50"], "multiple of 32"),
    ],
)
def test_mistakes(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        assert main(["tune", *words]) == 2
    except SystemExit as end:
        assert end.code == 2
    assert message in capsys.readouterr().err


def test_a_model_without_a_memory_is_tuned_too() -> None:
    from sam2_mlx.cli.bench.models import seeded_model
    from sam2_mlx.config import MODELS

    model = seeded_model(MODELS["mobile-sam"].with_image_size(64), mx.float32)
    frame = tune._TimedFrame(model, 1, StopSignals())
    assert frame.fault(Profile(scores=2**18)) == ""
    use(Profile())
