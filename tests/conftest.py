"""Shared fixtures, and the markers that skip themselves."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

# On an M5 MLX would multiply float32 with ten bits of mantissa.
os.environ.setdefault("MLX_ENABLE_TF32", "0")
# What somebody tuned on this machine is not what is tested.
os.environ["SAM2_MLX_PROFILE"] = "0"

# Before any test module imports MLX, so that the tests run on the fast BLAS too.
import sam2_mlx  # noqa: F401

# isort: split
from sam2_mlx.cli import progress
from sam2_mlx.model.sam import Sam
from sam2_mlx.ops.cpu.rehearsal import compile_at_once
from tests.tiny import tiny_model

# Tests count operations, so none may run while its functions are not compiled yet, and lines on
# standard error, which a busy machine must not add to.
compile_at_once()
progress.PATIENCE_SECONDS = 600.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run."""
    for marker, obstacle in (("metal", _no_metal), ("weights", _no_weights)):
        marked = [item for item in items if item.get_closest_marker(marker)]
        reason = obstacle() if marked else None
        for item in marked if reason else ():
            item.add_marker(pytest.mark.skip(reason=reason or ""))


@pytest.fixture(scope="session")
def model() -> Sam:
    """The tiny model, for tests that leave its weights alone."""
    return tiny_model()


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return Path(__file__).resolve().parent.parent


def _no_metal() -> str | None:
    if sys.platform != "darwin":
        return "needs an Apple GPU"
    import mlx.core as mx

    return None if mx.metal.is_available() else "needs an Apple GPU"


def _no_weights() -> str | None:
    from sam2_mlx.checkpoints import hub
    from sam2_mlx.checkpoints.names import PUBLISHED

    cached = any(hub.cached(published.repository) for published in PUBLISHED.values())
    return None if cached else "needs official weights in the cache"
