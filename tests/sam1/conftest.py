"""Puts the plain modules of this folder, which the torch side runs too, on the path."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
