"""Go once through all that MLX compiles on a CPU, so that no later process has to wait for it."""

from __future__ import annotations

import os

from sam2_mlx.ops.cpu.rehearsal import Rehearsal


def rehearse() -> None:
    """Follow one and two objects through pictures of noise and click in one, all compiled.

    The programs depend on element types and on how arrays lie in memory, not on a model's size, so
    the bundled one makes those of all models of its kind.
    """
    os.nice(10)
    with Rehearsal() as needed:
        if needed:
            _go_through("float32")
            _go_through("float16")


def _go_through(dtype: str) -> None:
    import mlx.core as mx
    import numpy as np

    from sam2_mlx.checkpoints.load import load
    from sam2_mlx.checkpoints.names import BUNDLED
    from sam2_mlx.predictors.image_predictor import SAM2ImagePredictor
    from sam2_mlx.tracking.session import TrackingSession

    model = load(BUNDLED, dtype=dtype)
    noise = np.random.default_rng(0).integers(0, 255, (6, 96, 128, 3)).astype(np.uint8)
    session = TrackingSession(model)
    for index, picture in enumerate(noise):
        mx.eval(session.step(picture).masks)
        if index == 0:
            session.prompt(1, points=[[30, 30]], labels=[1])
        if index == 3:
            session.prompt(2, box=[40, 40, 90, 80])
    predictor = SAM2ImagePredictor(model)
    predictor.set_image(noise[0])
    predictor.predict(point_coords=np.array([[30, 30]]), point_labels=np.array([1]))
