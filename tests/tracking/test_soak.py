"""A short soak of the stream that `benchmarks/soak.py` runs for 20,000 frames."""

from __future__ import annotations

import pytest

from benchmarks import soak
from sam2_mlx.tracking.memory_schedule import MemorySchedule
from sam2_mlx.tracking.memory_size import memory_size
from sam2_mlx.tracking.options import STREAM_PROMPTED_FRAMES
from tests.tiny import tiny_model

MIB = 2**20


def test_memory_is_flat(monkeypatch: pytest.MonkeyPatch) -> None:
    # Prompts every six frames reach the cap of prompted frames early.
    monkeypatch.setattr(soak, "CORRECT_EVERY", 6)
    model = tiny_model()
    samples = list(soak.soak(model, frames=181, objects=2, samples=13))
    early, late = soak.flat_pair(samples)
    assert (early.frame, late.frame) == (45, 180)
    size = memory_size(model.config, MemorySchedule(), 4)
    # The second object has nine prompted frames; the first one was just added anew.
    most = size.rolling + STREAM_PROMPTED_FRAMES * size.per_prompted
    assert most < late.banks <= 2 * most
    assert abs(late.active - early.active) < 0.1 * MIB
    assert late.cache < 64 * MIB
    assert late.resident - early.resident < 16 * MIB
