"""Prompts on single pictures that both image predictors answer. NumPy only."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from tests.parity.scenes import draw_picture

PICTURE = draw_picture(300, 420, seed=5)
"""Not square, and larger than a small model input."""

OTHER = draw_picture(180, 240, seed=6)
ON, NEAR, OFF = (150.0, 130.0), (190.0, 150.0), (20.0, 20.0)
BOX = (70.0, 60.0, 230.0, 210.0)

CASES: dict[str, dict[str, Any]] = {
    "one_click": {"point_coords": [ON], "point_labels": [1]},
    "one_click_single": {"point_coords": [ON], "point_labels": [1], "multimask_output": False},
    "several_clicks": {
        "point_coords": [ON, NEAR, OFF],
        "point_labels": [1, 1, 0],
        "multimask_output": False,
    },
    "box": {"box": BOX, "multimask_output": False},
    "box_and_click": {
        "point_coords": [NEAR],
        "point_labels": [0],
        "box": BOX,
        "multimask_output": False,
    },
    "three_boxes": {
        "box": [BOX, (200.0, 100.0, 380.0, 260.0), (10.0, 10.0, 90.0, 90.0)],
        "multimask_output": False,
    },
    "fractions": {
        "point_coords": [(0.4, 0.5)],
        "point_labels": [1],
        "normalize_coords": False,
    },
}
"""Arguments of `predict` on PICTURE."""


def answer_cases(
    predictor: Any, embedding: Callable[[Any], np.ndarray], cases: Collection[str] = ()
) -> dict[str, np.ndarray]:
    """Run the cases on an image predictor, ours or the reference's.

    Args:
        predictor: has `set_image`, `predict`, `set_image_batch` and `predict_batch`.
        embedding: turns what `get_image_embedding` returns into (1, h, w, C) NumPy.
        cases: names of single cases; all of them, feedback and a batch without it.

    Returns:
        `embedding`, and by case `case.masks` (logits at the picture's size), `case.iou` and
        `case.low_res`.
    """
    found: dict[str, np.ndarray] = {}

    def keep(name: str, result: Any) -> None:
        for part, values in zip(("masks", "iou", "low_res"), result, strict=True):
            found[f"{name}.{part}"] = np.asarray(values, np.float32)

    predictor.set_image(PICTURE)
    found["embedding"] = embedding(predictor.get_image_embedding())
    for name in cases or CASES:
        arguments = CASES[name]
        arrays = {
            k: np.array(v) if isinstance(v, (list, tuple)) else v for k, v in arguments.items()
        }
        keep(name, predictor.predict(return_logits=True, **arrays))
    if cases:
        return found
    low_res = found["one_click.low_res"][int(found["one_click.iou"].argmax())]
    feedback = {
        "point_coords": np.array([ON, OFF]),
        "point_labels": np.array([1, 0]),
        "mask_input": low_res[None],
        "multimask_output": False,
    }
    keep("feedback", predictor.predict(return_logits=True, **feedback))
    predictor.set_image_batch([PICTURE, OTHER])
    results = predictor.predict_batch(
        point_coords_batch=[np.array([ON]), np.array([[90.0, 80.0]])],
        point_labels_batch=[np.array([1]), np.array([1])],
        return_logits=True,
    )
    for index in range(2):
        keep(f"batch{index}", [part[index] for part in results])
    return found
