"""Work that is spread over lanes however small it is."""

from __future__ import annotations

import mlx.core as mx
import pytest

from sam2_mlx.ops.cpu import lanes


def spread_over(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Spread everything over so many lanes, whatever the machine has."""
    streams = tuple(mx.new_thread_local_stream(mx.cpu) for _ in range(count))
    monkeypatch.setattr(lanes, "_lanes", lambda: streams)
    monkeypatch.setattr(lanes, "_LEAST_VALUES", 1)
    monkeypatch.setattr(lanes, "_LEAST_GROUPED", 1)
