"""The bundled model as a bundle."""

from __future__ import annotations

from pathlib import Path

import pytest

from sam2_mlx.apps.exporting.bundle import export_bundle
from sam2_mlx.checkpoints.load import load
from sam2_mlx.model.sam import Sam


@pytest.fixture(scope="session")
def nano() -> Sam:
    return load("nano", dtype="float32")


@pytest.fixture(scope="session")
def nano_bundle(nano: Sam, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "nano"
    export_bundle(nano, folder)
    return folder
