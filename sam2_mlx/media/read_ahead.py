"""Work done ahead in a thread of its own, handed over in a known order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from queue import Empty, Full, Queue
from typing import Generic, TypeVar

T = TypeVar("T")

_POLL_SECONDS = 0.1


class ReadAhead(Generic[T]):
    """Reads items by number before they are asked for, at most so many ahead.

    Args:
        read: gives one item; called by the worker thread only, until `close`.
        order: numbers of the items in the order they will be asked for.
        depth: how many items may wait.
    """

    def __init__(self, read: Callable[[int], T], order: Sequence[int], depth: int = 3) -> None:
        self._read = read
        self._order = order
        self._place = 0
        self._stop = threading.Event()
        self._ready: Queue[T | Exception] = Queue(max(1, depth))
        self._worker = threading.Thread(target=self._work, name="read-ahead", daemon=True)
        self._worker.start()

    def take(self, index: int) -> T | None:
        """The next item, if it is the one with this number.

        Returns:
            The item; None if another one is next, or the worker has ended.

        Raises:
            ValueError, OSError, IndexError, MemoryError: whatever reading this item raised.
        """
        if self._place >= len(self._order) or self._order[self._place] != index:
            return None
        item = self._wait()
        self._place += 1
        if isinstance(item, Exception):
            raise item
        return item

    def _wait(self) -> T | Exception | None:
        while True:
            alive = self._worker.is_alive()
            try:
                return self._ready.get(timeout=_POLL_SECONDS)
            except Empty:
                if not alive:
                    return None

    def close(self) -> None:
        """Stop the worker and wait for it."""
        self._stop.set()
        while self._worker.is_alive():
            try:
                self._ready.get_nowait()
            except Empty:
                pass
            self._worker.join(_POLL_SECONDS)

    def _work(self) -> None:
        for index in self._order:
            if self._stop.is_set():
                return
            item: T | Exception
            try:
                item = self._read(index)
            # Whatever it is, the thread that takes the item is the one to hear of it.
            except (ValueError, OSError, IndexError, MemoryError) as problem:
                item = problem
            while not self._stop.is_set():
                try:
                    self._ready.put(item, timeout=_POLL_SECONDS)
                    break
                except Full:
                    continue
            if isinstance(item, Exception):
                return
