"""How far a command is: one kind of bar, on standard error."""

from __future__ import annotations

import sys
from typing import Any


def progress_bar(unit: str, total: int | None = None, leave: bool = True) -> Any:
    """A bar of tqdm.

    Args:
        unit: what is counted, in the plural.
        total: how many there will be, where that is known.
        leave: keep the bar on the screen in the end.
    """
    from tqdm import tqdm

    # Where nobody watches, a line every few seconds is enough.
    pace = 0.1 if sys.stderr.isatty() else 5.0
    return tqdm(total=total, unit=f" {unit}", mininterval=pace, leave=leave)
