"""A small SAM 2.1 under Meta's key names, with seeded values."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

from sam2_mlx.config import ModelConfig
from tests.checkpoints.torch_files import write_model

DATA = Path(__file__).parent / "data"
UNSEEN = {
    "image_size": 64,
    "encoder": {"num_heads": 1, "global_blocks": [4, 5], "window_sizes": [8, 4, 8, 8]},
}
"""What the tensors of the small model do not show."""

Arrays = dict[str, np.ndarray]


def _values(key: str, shape: tuple[int, ...]) -> np.ndarray:
    generator = np.random.default_rng(zlib.crc32(key.encode()))
    return generator.standard_normal(shape, dtype=np.float32)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty caches, and a hub that nothing has been downloaded from."""
    monkeypatch.setenv("SAM2_MLX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def meta_keys() -> dict[str, tuple[int, ...]]:
    """Key -> shape of the small model, as the reference has it."""
    keys = json.loads((DATA / "meta_keys.json").read_text())["keys"]
    return {key: tuple(shape) for key, shape in keys.items()}


@pytest.fixture(scope="session")
def meta(meta_keys: dict[str, tuple[int, ...]]) -> Arrays:
    """The small model's tensors under Meta's names; do not change them in place."""
    return {key: _values(key, shape) for key, shape in meta_keys.items()}


@pytest.fixture(scope="session")
def transformers(meta: Arrays) -> Arrays:
    """The same tensors under the transformers library's names."""
    keys = json.loads((DATA / "transformers_keys.json").read_text())["keys"]
    return {key: np.concatenate([meta[k] for k in entry["meta"]]) for key, entry in keys.items()}


@pytest.fixture(scope="session")
def image_only(transformers: Arrays) -> Arrays:
    """Those of them that the transformers library's model for single images has."""
    keys = json.loads((DATA / "transformers_keys.json").read_text())["keys"]
    return {key: value for key, value in transformers.items() if keys[key]["image_model"]}


@pytest.fixture
def config_beside(tmp_path: Path) -> dict[str, object]:
    """Puts a config.json into the test's folder; the values it holds."""
    (tmp_path / "config.json").write_text(json.dumps(UNSEEN))
    return UNSEEN


@pytest.fixture(scope="session")
def config() -> ModelConfig:
    """The dimensions of the small model."""
    return ModelConfig.from_dict(
        {
            "name": "custom",
            "hidden_dim": 128,
            "image_size": 64,
            "encoder": {
                **UNSEEN["encoder"],  # type: ignore[dict-item]
                "embed_dim": 8,
                "stages": [1, 2, 3, 1],
                "background_size": [7, 7],
            },
            "memory": {
                "num_frames": 5,
                "num_layers": 2,
                "feedforward_dim": 48,
                "fuser_layers": 1,
            },
        }
    )


@pytest.fixture
def meta_file(tmp_path: Path, meta: Arrays, config_beside: object) -> Path:
    """The small model as a `.pt`, with its config.json."""
    return write_model(tmp_path / "model.pt", meta)


@pytest.fixture
def save() -> Callable[[Path, Arrays], Path]:
    """Write a safetensors file."""

    def write(path: Path, arrays: Arrays) -> Path:
        # MLX puts the suffix on where it is missing.
        target = (
            path if path.suffix == ".safetensors" else path.with_name(f"{path.name}.safetensors")
        )
        mx.save_safetensors(str(target), {key: mx.array(value) for key, value in arrays.items()})
        return target.rename(path)

    return write
