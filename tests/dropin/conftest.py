"""The bundled model under the official names, and a clip in the forms that programs read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import sam2_mlx.predictors.build_model as builders
from sam2_mlx import load
from sam2_mlx.media import demo_clip, open_frames

CONFIG = "configs/sam2.1/sam2.1_hiera_t.yaml"
CHECKPOINT = "./checkpoints/sam2.1_hiera_tiny.pt"
FISH = (105, 118)
"""On an object of the first frame of the bundled clip."""
LENGTH = 5


@pytest.fixture(autouse=True)
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, dict[str, Any]]]:
    """What the builders asked for; they get the bundled model."""
    requests: list[tuple[Any, dict[str, Any]]] = []

    def bundled(name: Any, **options: Any) -> Any:
        requests.append((name, options))
        return load("nano", dtype="float32")

    monkeypatch.setattr(builders, "load", bundled)
    return requests


@pytest.fixture(scope="session")
def frames() -> list[np.ndarray]:
    """The first frames of the bundled clip, uint8 (360, 640, 3)."""
    with open_frames(demo_clip()) as clip:
        return [np.array(clip.read(index)) for index in range(LENGTH)]


@pytest.fixture(scope="session")
def folder(frames: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same as a folder of JPEGs."""
    place: Path = tmp_path_factory.mktemp("frames")
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(place / f"{index:05d}.jpg", quality=95)
    return str(place)
