"""How far a command is, on standard error: one kind of bar, and a word where it takes long."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sam2_mlx.cli.errors import tell

PATIENCE_SECONDS = 2.0


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


@contextmanager
def said_if_slow(what: str) -> Iterator[None]:
    """Say what is being done, once it has taken two seconds; also a decorator.

    Args:
        what: is being done, such as `loading tiny`.
    """
    timer = threading.Timer(PATIENCE_SECONDS, tell, [f"{what} ..."])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class Bars:
    """A bar for the whole, of `total` units, and one for each part that is at work.

    Where nobody watches, the parts are left out.
    """

    def __init__(self, unit: str, total: int) -> None:
        self._whole = progress_bar(unit, total)
        self._parts: dict[str, Any] = {}

    def __enter__(self) -> Bars:
        return self

    def __exit__(self, *exc: object) -> None:
        for name in list(self._parts):
            self._drop(name)
        self._whole.close()

    def show(self, name: str, done: int, total: int) -> None:
        """How far a part is."""
        from tqdm import tqdm

        if not sys.stderr.isatty():
            return
        if name not in self._parts:
            self._parts[name] = tqdm(total=total, desc=name[:30], unit=" frames", leave=False)
        self._parts[name].update(done - self._parts[name].n)

    def count(self, name: str = "") -> None:
        """One more is done."""
        self._drop(name)
        self._whole.update()

    def clear(self) -> None:
        """Make room for a line."""
        for bar in (*self._parts.values(), self._whole):
            bar.clear()

    def _drop(self, name: str) -> None:
        if name in self._parts:
            self._parts.pop(name).close()
