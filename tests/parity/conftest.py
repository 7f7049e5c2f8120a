"""Collects what the parity tests measure and prints it as one table after the run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

GOLDENS = Path(__file__).parent / "goldens"
_MEASURED = pytest.StashKey[list[tuple[str, str]]]()

Measured = Callable[[str, str], None]


def pytest_configure(config: pytest.Config) -> None:
    """Start with an empty table."""
    config.stash[_MEASURED] = []


@pytest.fixture
def measured(pytestconfig: pytest.Config) -> Measured:
    """Call it with a name and what was measured; the table shows both."""

    def record(name: str, value: str) -> None:
        pytestconfig.stash[_MEASURED].append((name, value))

    return record


@pytest.fixture
def golden() -> Callable[[str], dict[str, np.ndarray]]:
    """Reads a golden by name."""

    def read(name: str) -> dict[str, np.ndarray]:
        with np.load(GOLDENS / f"{name}.npz") as arrays:
            return dict(arrays)

    return read


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the table."""
    rows = config.stash[_MEASURED]
    if rows:
        terminalreporter.section("parity with the torch reference")
        for name, value in rows:
            terminalreporter.write_line(f"{name:36s} {value}")
