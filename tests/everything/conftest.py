"""Goldens of this folder."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import pytest

# The picture is drawn by a plain module that the torch side runs too.
sys.path.insert(0, str(Path(__file__).parent))


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
