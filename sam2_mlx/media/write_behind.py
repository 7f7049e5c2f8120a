"""Work that follows behind in a thread of its own, while the next item is made."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, Full, Queue
from typing import Generic, TypeVar

T = TypeVar("T")

_POLL_SECONDS = 0.1


class WriteBehind(Generic[T]):
    """Does something with items in the order they come, at most so many behind.

    Used with `with`: leaving it waits for all items, or drops those that wait where something
    failed. After it nothing of the work is going on.

    Args:
        work: takes one item after the other, none of them None; only one thread is in it.
        depth: how many items may wait; 0 does each at once, in the caller's thread.
    """

    def __init__(self, work: Callable[[T], None], depth: int = 2) -> None:
        self._work = work
        self._waiting: Queue[T | None] = Queue(depth)
        self._problem: BaseException | None = None
        self._dropped = False
        self._worker: threading.Thread | None = None
        if depth > 0:
            self._worker = threading.Thread(target=self._run, name="write-behind", daemon=True)

    def put(self, item: T) -> None:
        """Hand over an item; waits while too many are waiting.

        Args:
            item: belongs to the work from now on.

        Raises:
            Exception: whatever the work on an earlier item raised.
        """
        if self._worker is None:
            self._work(item)
        else:
            self._hand_over(item)

    def __enter__(self) -> WriteBehind[T]:
        if self._worker is not None:
            self._worker.start()
        return self

    def __exit__(self, kind: object, problem: BaseException | None, trace: object) -> None:
        if self._worker is None:
            return
        try:
            if kind is None:
                self._hand_over(None)
                self._worker.join()
        finally:
            self._dropped = True
            # The item in hand is finished whatever happens: nobody else may touch its file.
            while self._worker.is_alive():
                with suppress(KeyboardInterrupt):
                    self._worker.join()
        if kind is None and self._problem is not None:
            raise self._problem

    def _hand_over(self, item: T | None) -> None:
        while self._problem is None:
            with suppress(Full):
                self._waiting.put(item, timeout=_POLL_SECONDS)
                return
        raise self._problem

    def _run(self) -> None:
        while not self._dropped:
            try:
                item = self._waiting.get(timeout=_POLL_SECONDS)
            except Empty:
                continue
            if item is None:
                return
            try:
                self._work(item)
            # Whatever it is, the thread that hands items over is the one to hear of it.
            except BaseException as problem:
                self._problem = problem
                return
