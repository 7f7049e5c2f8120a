"""Models, predictors and sessions that are pickled or deep-copied go on alike, each on its own."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from sam2_mlx import load
from sam2_mlx.media import demo_clip
from sam2_mlx.predictors.image_predictor import SAM2ImagePredictor
from sam2_mlx.predictors.mask_generator import SAM2AutomaticMaskGenerator
from sam2_mlx.predictors.video_predictor import SAM2VideoPredictor
from sam2_mlx.tracking.session import TrackingSession
from tests.tiny import ToyClip, tiny_model

Copy = Callable[[Any], Any]
CLICK: dict[str, Any] = {"points": [[20, 30]], "labels": [1]}


@pytest.fixture(params=[copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def twin_of(request: pytest.FixtureRequest) -> Copy:
    return request.param


def test_predictors(twin_of: Copy) -> None:
    model, clip = tiny_model(), ToyClip()
    image = SAM2ImagePredictor(model)
    image.set_image(clip.read(0))
    wanted = image.predict([[20, 30]], [1])
    for one, other in zip(wanted, twin_of(image).predict([[20, 30]], [1]), strict=True):
        np.testing.assert_array_equal(one, other)
    generator = SAM2AutomaticMaskGenerator(model, points_per_side=2, pred_iou_thresh=0)
    records = generator.generate(clip.read(0))
    assert len(twin_of(generator).generate(clip.read(0))) == len(records)
    video = SAM2VideoPredictor(model, fill_hole_area=3)
    assert twin_of(video).options == video.options


def test_compiled_steps_are_made_anew(twin_of: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAM2_MLX_COMPILE", "1")
    model = tiny_model()
    (doubled,) = model.traces.run("double", lambda x: (x * 2,), mx.arange(3))
    assert doubled.tolist() == [0, 2, 4] and model.traces.count == 1
    assert twin_of(model).traces.count == 0


def test_a_loaded_model(twin_of: Copy) -> None:
    for dtype in ("float32", "bfloat16"):
        model = load("nano", dtype=dtype)
        twin = twin_of(model)
        assert twin.dtype == model.dtype
        pixels = mx.ones((1, 256, 256, 3))
        assert mx.array_equal(twin.encode_image(pixels).coarse, model.encode_image(pixels).coarse)


def test_sessions_go_on_alike_and_apart(twin_of: Copy) -> None:
    session = TrackingSession(tiny_model(), ToyClip(), memory="full")
    session.prompt(1, frame=0, **CLICK)
    for masks in session.propagate(length=2):
        last = masks
    session.prompt(2, frame=2, box=[30, 10, 80, 50])
    twin = twin_of(session)
    assert twin.frame == last.frame
    for one, other in zip(session.propagate(2), twin.propagate(2), strict=True):
        assert one.object_ids == other.object_ids == (1, 2)
        np.testing.assert_array_equal(np.array(one.logits), np.array(other.logits))
    twin.remove(1)
    assert session.object_ids == (1, 2)


def test_a_stream(twin_of: Copy) -> None:
    clip = ToyClip()
    session = TrackingSession(tiny_model())
    session.step(clip.read(0))
    session.prompt(1, **CLICK)
    twin = twin_of(session)
    for index in range(1, 4):
        one, other = session.step(clip.read(index)), twin.step(clip.read(index))
        np.testing.assert_array_equal(np.array(one.logits), np.array(other.logits))


def test_a_deep_copy_of_a_session_shares_the_weights() -> None:
    session = TrackingSession(tiny_model())
    assert copy.deepcopy(session).model is session.model


def test_a_session_over_a_file(twin_of: Copy) -> None:
    predictor = SAM2VideoPredictor(tiny_model())
    state = predictor.init_state(demo_clip())
    predictor.add_new_points_or_box(state, 0, 1, points=[[105, 118]], labels=[1])
    for masks in twin_of(state).propagate(length=1):
        copied = masks
    for masks in state.propagate(length=1):
        own = masks
    np.testing.assert_array_equal(np.array(own.logits), np.array(copied.logits))
