from __future__ import annotations

import os
from dataclasses import replace

import mlx.core as mx
import numpy as np
import pytest

from sam2_mlx.ops.profile import Profile, active, use
from sam2_mlx.ops.traces import Traces, compile_wanted
from sam2_mlx.tracking.session import TrackingSession
from tests.tiny import CONFIG, ToyClip, tiny_model


def _track(frames: int) -> tuple[np.ndarray, list[int]]:
    # Few memories and pointers, so that the steady state comes soon.
    memory = replace(CONFIG.memory, num_frames=3, max_pointers=4)
    model = tiny_model(memory=memory)
    session = TrackingSession(model, ToyClip(frames))
    session.prompt(1, frame=0, points=[[20, 30]], labels=[1])
    masks, counts = [], []
    for frame in session.propagate():
        masks.append(np.array(frame.logits))
        counts.append(model.traces.count)
    return np.stack(masks), counts


@pytest.mark.skipif("MLX_DISABLE_COMPILE" in os.environ, reason="each step is traced anew then")
@pytest.mark.slow
def test_compiled_steps_equal_plain_ones_and_settle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAM2_MLX_COMPILE", "0")
    plain, counts = _track(8)
    assert counts[-1] == 0
    monkeypatch.setenv("SAM2_MLX_COMPILE", "1")
    compiled, counts = _track(8)
    assert np.abs(plain - compiled).max() < 1e-4 * np.abs(plain).max()
    # One trace a memory length until all pointers are there, and none after that.
    assert counts[1] > counts[0] > 0
    assert counts[4] == counts[-1]


def test_another_profile_is_traced_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAM2_MLX_COMPILE", "1")
    monkeypatch.setattr(mx, "compile", lambda function: function)
    traces, held = Traces(), []
    for scores in (2**18, 2**19, 2**18):
        use(Profile(scores=scores))
        traces.run("step", lambda x: (held.append(active().scores), x)[1:], mx.zeros(1))
    use(Profile())
    assert held == [2**18, 2**19, 2**18] and len(traces._own.compiled) == 2


def test_the_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAM2_MLX_COMPILE", "1")
    assert compile_wanted()
    monkeypatch.setenv("SAM2_MLX_COMPILE", "perhaps")
    with pytest.raises(ValueError, match="auto, 0 or 1"):
        compile_wanted()
