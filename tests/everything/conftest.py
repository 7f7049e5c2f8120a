"""Goldens of this folder."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest


def _read(name: str) -> Any:
    path = Path(__file__).parent / "goldens" / f"{name}.json.gz"
    return json.loads(gzip.decompress(path.read_bytes()))


@pytest.fixture(scope="session")
def helpers() -> dict[str, Any]:
    """Answers of the reference's helper functions."""
    return _read("helpers")


@pytest.fixture(scope="session")
def expected_records() -> dict[str, Any]:
    """What the reference finds in the drawn picture, by the name of the settings."""
    return _read("generator")
