"""Collects what the parity tests measure and prints it as one table after the run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

GOLDENS = Path(__file__).parent / "goldens"
_PROPERTY = "parity"

Measured = Callable[[str, str], None]


@pytest.fixture
def measured(record_property: Callable[[str, object], None]) -> Measured:
    """Call it with a name and what was measured; the table shows both."""
    # A property of the report, which comes back from the processes of a parallel run too.
    return lambda name, value: record_property(_PROPERTY, f"{name:36s} {value}")


@pytest.fixture
def golden() -> Callable[[str], dict[str, np.ndarray]]:
    """Reads a golden by name."""

    def read(name: str) -> dict[str, np.ndarray]:
        with np.load(GOLDENS / f"{name}.npz") as arrays:
            return dict(arrays)

    return read


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the table."""
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    rows = [row for report in reports for key, row in report.user_properties if key == _PROPERTY]
    if rows:
        terminalreporter.section("parity with the torch reference")
        for row in rows:
            terminalreporter.write_line(row)
