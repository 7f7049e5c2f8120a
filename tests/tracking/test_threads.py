"""What one thread starts another may go on with, and a process ends with its own exit code."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from sam2_mlx.tracking.results import FrameMasks
from sam2_mlx.tracking.session import TrackingSession
from tests.tiny import ToyClip, tiny_model

CLIP = ToyClip(4)
PROGRAM = """
import sys, threading
import numpy as np
from sam2_mlx.predictors.image_predictor import SAM2ImagePredictor
from sam2_mlx.tracking.session import TrackingSession
from tests.tiny import ToyClip, tiny_model

model = tiny_model()

def work():
    predictor = SAM2ImagePredictor(model)
    predictor.set_image(np.zeros((64, 96, 3), np.uint8))
    predictor.predict([[5, 5]], [1])
    session = TrackingSession(model)
    session.step(ToyClip().read(0))
    session.prompt(1, points=[[20, 30]], labels=[1])
    session.step(ToyClip().read(1)).masks

thread = threading.Thread(target=work)
thread.start()
thread.join()
sys.exit(3)
"""


def elsewhere(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call in a thread that ends afterwards."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *args, **kwargs).result()


def _follow(call: Callable[..., Any]) -> list[FrameMasks]:
    model = tiny_model()
    mx.eval(model.parameters())  # as a model is that was loaded
    session = call(TrackingSession, model)
    call(session.step, CLIP.read(0))
    # Nothing was followed yet, so the frame was not even encoded.
    shown = [call(session.prompt, 1, points=[[20, 30]], labels=[1])]
    shown += [call(session.step, CLIP.read(index)) for index in range(1, 4)]
    return shown


def test_every_call_from_a_thread_of_its_own() -> None:
    wanted = _follow(lambda function, *args, **kwargs: function(*args, **kwargs))
    for one, other in zip(_follow(elsewhere), wanted, strict=True):
        np.testing.assert_array_equal(elsewhere(lambda masks: masks.masks, one), other.masks)
        elsewhere(lambda masks: masks.logits, one)
        np.testing.assert_array_equal(np.array(one.logits), np.array(other.logits))


@pytest.mark.slow
def test_a_process_ends_with_its_own_exit_code() -> None:
    command = [sys.executable, "-c", PROGRAM]

    def run(_: int) -> int:
        return subprocess.run(command, capture_output=True, timeout=120).returncode

    with ThreadPoolExecutor(2) as pool:
        assert set(pool.map(run, range(50))) == {3}
