"""The emulator as a fixture; tests that use it skip where it cannot run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sam2_mlx.ops.device import running_on
from tests.metal.emulator import Emulated, compiler_obstacle

Emulate = Callable[..., Emulated]


@pytest.fixture(autouse=True)
def _on_a_cpu(request: pytest.FixtureRequest) -> Iterator[None]:
    # The emulator rounds as a CPU does; a GPU rounds the twins that it is compared with otherwise.
    with running_on(None if request.node.get_closest_marker("metal") else "cpu"):
        yield


@pytest.fixture(scope="session")
def program_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where compiled kernels are kept for the session."""
    obstacle = compiler_obstacle()
    if obstacle:
        pytest.skip(obstacle)
    return tmp_path_factory.mktemp("kernels")


@pytest.fixture
def emulate(program_folder: Path) -> Emulate:
    """Turns the callable of `mx.fast.metal_kernel` into one that runs here."""

    def wrap(function: Callable[..., Any], **options: Any) -> Emulated:
        return Emulated(function, program_folder, **options)

    return wrap
