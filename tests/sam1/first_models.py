"""Our side of the comparison: seeded checkpoints under the reference's names, as they load."""

from __future__ import annotations

import json
from pathlib import Path

import mlx.core as mx
import numpy as np

from sam2_mlx.checkpoints.infer import infer_config
from sam2_mlx.checkpoints.read import fitting_model
from sam2_mlx.checkpoints.rename import rename
from sam2_mlx.checkpoints.tensors import StoredTensor
from sam2_mlx.model.sam import Sam
from sam2_mlx.predictors.image_predictor import SAM2ImagePredictor
from tests.sam1.first_cases import PROMPTS, draw_first
from tests.sam1.seeded_first import seeded_first

GOLDENS = Path(__file__).parent / "goldens"


def read_golden(name: str) -> tuple[dict[str, np.ndarray], dict[str, tuple[int, ...]]]:
    """A golden, and the reference's parameters: names and shapes."""
    with np.load(GOLDENS / f"{name}.npz") as file:
        arrays = dict(file)
    shapes = json.loads(arrays.pop("shapes").tobytes())
    return arrays, {key: tuple(shape) for key, shape in shapes.items()}


def stored(shapes: dict[str, tuple[int, ...]]) -> dict[str, StoredTensor]:
    """A seeded checkpoint, as a file would be read."""

    def tensor(key: str) -> StoredTensor:
        shape = shapes[key]
        return StoredTensor(shape, "float32", lambda: mx.array(seeded_first(key, shape)))

    return {key: tensor(key) for key in shapes}


def build(shapes: dict[str, tuple[int, ...]]) -> Sam:
    """A seeded model, through the conversion and with the config that its tensors tell."""
    renamed = rename(stored(shapes))
    config = infer_config({key: value.shape for key, value in renamed.tensors.items()})
    model = fitting_model(renamed, config)
    model.load_weights([(key, value.read()) for key, value in renamed.tensors.items()])
    model.eval()
    return model


def answers(model: Sam) -> dict[str, np.ndarray]:
    """What our predictor says to every prompt."""
    predictor = SAM2ImagePredictor(model)
    predictor.set_image(draw_first())
    embedding = predictor.get_image_embedding()[0].astype(mx.float32)
    found = {"embedding": np.array(embedding)}
    low = None
    for prompt, given in PROMPTS.items():
        found |= _named(prompt, predictor.predict(return_logits=True, **given))
        low = found[f"{prompt}_low"]
    assert low is not None
    again = predictor.predict(mask_input=low[:1], return_logits=True, multimask_output=False)
    return found | _named("mask", again)


def _named(prompt: str, answer: tuple[np.ndarray, ...]) -> dict[str, np.ndarray]:
    return {
        f"{prompt}_{what}": values
        for what, values in zip(("masks", "iou", "low"), answer, strict=True)
    }
