"""Streams of any length: what is kept, what is computed once, and what bad input does."""

from __future__ import annotations

import re
from dataclasses import replace
from math import prod
from typing import get_args

import mlx.core as mx
import numpy as np
import pytest

from sam2_mlx.config import MODELS
from sam2_mlx.model.attention import RoPEAttention
from sam2_mlx.model.sam import Sam
from sam2_mlx.tracking.memory_schedule import MemorySchedule
from sam2_mlx.tracking.memory_size import memory_size
from sam2_mlx.tracking.options import TrackingOptions
from sam2_mlx.tracking.policies import BOUNDED, POLICIES, MemoryKind, policy_named
from sam2_mlx.tracking.session import TrackingSession
from tests.tiny import ToyClip, tiny_model

CLICK = {"points": [[20, 30]], "labels": [1]}
BOX = {"box": [40, 10, 80, 50]}
CLIP = ToyClip(60)


def _corrected_stream(model, memory: str, **options) -> tuple[np.ndarray, list[int]]:
    """A stream whose object is corrected on every third frame."""
    session = TrackingSession(
        model, memory=memory, options=TrackingOptions(corrections_become_prompts=True, **options)
    )
    shown, sizes = [], []
    for index in range(40):
        masks = session.step(CLIP.read(index))
        if index % 3 == 0:
            masks = session.prompt(1, points=[[15 + index, 30]], labels=[1])
        shown.append(np.array(masks.logits))
        sizes.append(session.nbytes)
    return np.stack(shown), sizes


@pytest.mark.parametrize("limit", [2, 4, None])
def test_capped_prompts_are_bit_equal_and_bounded(model, limit: int | None) -> None:
    rolling, sizes = _corrected_stream(model, "rolling", max_prompted_frames=limit)
    full, _ = _corrected_stream(model, "full", max_prompted_frames=limit)
    np.testing.assert_array_equal(rolling, full)
    # Corrections come every three frames, so sizes swing with that period.
    assert sizes[-1] == sizes[-4] == sizes[-7]


def test_uncapped_prompts_grow(model) -> None:
    _, sizes = _corrected_stream(model, "rolling", max_prompted_frames=-1)
    assert sizes[-1] > sizes[-4] > sizes[-7]


def test_every_policy_has_a_name() -> None:
    assert get_args(MemoryKind) == tuple(POLICIES)
    one_way = {name for name in POLICIES if policy_named(name).one_way}
    assert one_way == set(BOUNDED)


def test_prompts_are_capped_in_streams_only() -> None:
    config = MODELS["nano"].memory
    assert TrackingOptions().schedule(config, None).max_prompted == 8
    assert TrackingOptions().schedule(config, 500).max_prompted == -1
    assert TrackingOptions(max_prompted_frames=3).schedule(config, 500).max_prompted == 3


def test_a_capped_clip_is_bit_equal_backwards(model) -> None:
    options = TrackingOptions(max_prompted_frames=2)
    results = []
    for memory in ("rolling", "full"):
        session = TrackingSession(model, ToyClip(30), memory=memory, options=options)
        for frame in (29, 25, 22, 21, 9):
            session.prompt(1, frame=frame, points=[[15 + frame, 30]], labels=[1])
        shown = list(session.propagate(start=29, reverse=True))
        results.append(np.stack([np.array(masks.logits) for masks in shown]))
    np.testing.assert_array_equal(*results)


def test_bytes_follow_from_the_config(model) -> None:
    session = TrackingSession(model)
    session.step(CLIP.read(0))
    session.prompt(1, **CLICK)
    for index in range(1, 25):
        session.step(CLIP.read(index))
    size = memory_size(model.config, session.options.schedule(model.config.memory, None), 4)
    assert session.nbytes == size.rolling
    session.prompt(2, **BOX)
    for index in range(25, 50):
        session.step(CLIP.read(index))
    assert session.nbytes == 2 * size.rolling
    session.remove(1)
    assert session.nbytes == size.rolling


def test_objects_that_are_removed_free_their_tokens() -> None:
    # Large enough that MLX does not round up to what a whole batch takes.
    model = tiny_model(image_size=256)
    session = TrackingSession(model)
    session.step(CLIP.read(0))
    for object_id in range(8):
        session.prompt(object_id, points=[[10 * object_id, 30]], labels=[1])
    for index in range(1, 9):
        session.step(CLIP.read(index))
    before = mx.get_active_memory()
    for object_id in range(1, 8):
        session.remove(object_id)
    freed = before - mx.get_active_memory()
    assert freed >= 7 * 8 * memory_size(model.config, MemorySchedule(), 4).tokens


def test_full_memory_grows_by_one_frame_each(model) -> None:
    session = TrackingSession(model, memory="full")
    session.step(CLIP.read(0))
    session.prompt(1, **CLICK)
    size = memory_size(model.config, MemorySchedule(), 4)
    session.step(CLIP.read(1))
    before = session.nbytes
    session.step(CLIP.read(2))
    assert session.nbytes - before == size.per_frame


def test_the_table_of_bytes_is_true(repository) -> None:
    text = (repository / "docs" / "memory.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (\w+) \| (.*) \|$", text, re.MULTILINE)
    assert len(rows) >= 4
    for name, side, dtype, numbers in rows:
        config = replace(MODELS[name], image_size=int(side))
        size = memory_size(config, MemorySchedule(), {"float16": 2, "float32": 4}[dtype])
        expected = [size.tokens, size.pointer, size.mask, size.rolling, size.per_prompted]
        assert [int(n.replace(",", "")) for n in numbers.split(" | ")] == expected, name


def test_the_first_self_attention_is_shared(model, monkeypatch: pytest.MonkeyPatch) -> None:
    session = TrackingSession(model)
    session.step(CLIP.read(0))
    for object_id in range(3):
        session.prompt(object_id, points=[[20 + 20 * object_id, 30]], labels=[1])
    calls: list[tuple[str, int]] = []
    names = {}
    for i, layer in enumerate(model.memory.attention.layers):
        names[id(layer.self_attn)] = f"self {i}"
        names[id(layer.cross_attn_image)] = f"cross {i}"
    plain = RoPEAttention.__call__

    def counted(self, q, k, v, layout, grid):
        calls.append((names[id(self)], q.shape[0] // prod(grid)))
        return plain(self, q, k, v, layout, grid)

    monkeypatch.setattr(RoPEAttention, "__call__", counted)
    session.step(CLIP.read(1))
    # Queries of the first cross-attention are the frame's as well; only its keys differ.
    assert calls == [("self 0", 1), ("cross 0", 1), ("self 1", 3), ("cross 1", 3)]


def test_objects_of_different_ages_share_a_batch(model, monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[int] = []
    plain = Sam.track_candidates

    def counted(self, features, memory):
        batches.append(memory.tokens.shape[0])
        return plain(self, features, memory)

    session = TrackingSession(model)
    alone = {object_id: TrackingSession(model) for object_id in (1, 2, 3)}
    prompts = {0: (1, CLICK), 3: (2, BOX), 7: (3, {"points": [[70, 20]], "labels": [1]})}
    for index in range(30):
        with monkeypatch.context() as patched:
            patched.setattr(Sam, "track_candidates", counted)
            batches.clear()
            together = session.step(CLIP.read(index))
        for other in alone.values():
            other.step(CLIP.read(index))
        if index in prompts:
            object_id, prompt = prompts[index]
            session.prompt(object_id, **prompt)
            alone[object_id].prompt(object_id, **prompt)
    assert batches == [3]
    for row, (object_id, other) in enumerate(alone.items()):
        single = np.array(other.masks_on(29).logits)
        scale = np.abs(single).max()
        assert together.object_ids[row] == object_id
        np.testing.assert_allclose(
            np.array(together.logits[row : row + 1]), single, atol=1e-4 * scale
        )


def test_one_evaluation_a_frame(model, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    for name in ("eval", "async_eval"):
        plain = getattr(mx, name)
        monkeypatch.setattr(mx, name, lambda *a, _n=name, _p=plain: (calls.append(_n), _p(*a))[1])
    counts = []
    for objects in (1, 5):
        session = TrackingSession(model)
        session.step(CLIP.read(0))
        for object_id in range(objects):
            session.prompt(object_id, points=[[20 + 10 * object_id, 30]], labels=[1])
        session.step(CLIP.read(1))
        calls.clear()
        session.step(CLIP.read(2))
        counts.append((calls.count("async_eval"), calls.count("eval")))
    # The encoder, the objects together, and the scores as numbers; `eval` only meets constants.
    assert counts[0][0] == 3
    assert counts[0] == counts[1]


def test_a_frame_of_another_size(model) -> None:
    session = TrackingSession(model)
    session.step(CLIP.read(0))
    session.prompt(1, **CLICK)
    session.step(CLIP.read(1))
    large = np.repeat(np.repeat(CLIP.read(2), 2, axis=0), 2, axis=1)
    masks = session.step(large)
    assert masks.logits.shape == (1, 1, 128, 192)
    assert session.frame_size == (128, 192)
    # Points are pixels of the frame shown last.
    shown = session.prompt(2, points=[[150, 100]], labels=[1])
    assert shown.logits.shape == (2, 1, 128, 192)
    assert session.step(CLIP.read(3)).logits.shape == (2, 1, 64, 96)


def test_bad_frames_and_prompts_change_nothing(model) -> None:
    session, untouched = TrackingSession(model), TrackingSession(model)
    for each in (session, untouched):
        each.step(CLIP.read(0))
        each.prompt(1, **CLICK)
        each.step(CLIP.read(1))
    with pytest.raises(TypeError, match="picture"):
        session.step(CLIP.read(2).astype(np.float32))
    with pytest.raises(ValueError, match="picture"):
        session.step(CLIP.read(2)[..., 0])
    with pytest.raises(ValueError, match="4 numbers"):
        session.prompt(1, box=[1, 2, 3])
    with pytest.raises(ValueError, match="frame shown last"):
        session.prompt(1, frame=0, **CLICK)
    a, b = session.step(CLIP.read(2)), untouched.step(CLIP.read(2))
    np.testing.assert_array_equal(np.array(a.logits), np.array(b.logits))
    assert a.frame == b.frame == 2


def test_frame_masks_are_complete(model) -> None:
    session = TrackingSession(model)
    session.step(CLIP.read(0))
    session.prompt(7, **CLICK)
    for masks in (session.prompt(3, **BOX), session.step(CLIP.read(1))):
        assert masks.object_ids == (7, 3)
        assert masks.logits.shape == (2, 1, 64, 96)
        for scores in (masks.iou, masks.presence):
            assert scores.shape == (2,) and scores.dtype == mx.float32
        assert ((np.array(masks.iou) >= 0) & (np.array(masks.iou) <= 1)).all()
        assert masks.logits.dtype == mx.float32
    np.testing.assert_array_equal(session.image, CLIP.read(1))
