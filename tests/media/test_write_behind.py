"""Work that follows behind: its order, its bound, its errors, and its end."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator

import pytest

from sam2_mlx.media.write_behind import WriteBehind


class Work:
    """Notes what it was given and where; may be held, and may fail at an item."""

    def __init__(self, failing: int | None = None) -> None:
        self.done: list[int] = []
        self.threads: set[threading.Thread] = set()
        self.begun = threading.Event()
        self.may_go_on = threading.Event()
        self._failing = failing

    def __call__(self, item: int) -> None:
        self.begun.set()
        assert self.may_go_on.wait(10)
        self.threads.add(threading.current_thread())
        if item == self._failing:
            raise OSError(f"no room for {item}")
        self.done.append(item)


def test_items_are_done_in_order_by_one_other_thread() -> None:
    work = Work()
    work.may_go_on.set()
    with WriteBehind(work) as behind:
        for item in range(20):
            behind.put(item)
    assert work.done == list(range(20))
    (thread,) = work.threads
    assert thread is not threading.current_thread() and not thread.is_alive()


def test_at_most_so_many_wait() -> None:
    work, handed = Work(), []

    def hand_over() -> None:
        with WriteBehind(work, depth=2) as behind:
            for item in range(6):
                behind.put(item)
                handed.append(item)

    caller = threading.Thread(target=hand_over)
    caller.start()
    assert work.begun.wait(10)
    time.sleep(0.3)
    assert handed == [0, 1, 2] and work.done == []  # one in hand, two waiting
    work.may_go_on.set()
    caller.join(10)
    assert work.done == list(range(6))


@pytest.mark.parametrize("failing", [0, 5])
def test_a_problem_reaches_who_hands_over(failing: int) -> None:
    work = Work(failing)
    work.may_go_on.set()
    with pytest.raises(OSError, match=f"no room for {failing}"):
        with WriteBehind(work) as behind:
            for item in range(6 if failing else 1000):
                behind.put(item)
    assert work.done == list(range(failing))


def test_where_something_else_fails_the_item_in_hand_is_the_last() -> None:
    work = Work()
    with pytest.raises(ValueError, match="elsewhere"):
        with WriteBehind(work) as behind:
            for item in range(3):
                behind.put(item)
            assert work.begun.wait(10)
            threading.Timer(0.2, work.may_go_on.set).start()
            raise ValueError("elsewhere")
    assert work.done == [0]


def test_without_depth_each_is_done_at_once() -> None:
    work = Work()
    work.may_go_on.set()
    with WriteBehind(work, depth=0) as behind:
        behind.put(1)
        assert work.done == [1] and work.threads == {threading.current_thread()}


@pytest.fixture
def interrupts() -> Iterator[None]:
    """Interrupts raise, also where the tests run behind a shell, which then has them ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupts")
def test_an_interrupt_at_the_end_waits_for_the_item_in_hand() -> None:
    work = Work()

    def interrupt() -> None:
        signal.raise_signal(signal.SIGINT)
        time.sleep(0.2)
        work.may_go_on.set()

    with pytest.raises(KeyboardInterrupt):
        with WriteBehind(work) as behind:
            for item in range(3):
                behind.put(item)
            assert work.begun.wait(10)
            threading.Timer(0.2, interrupt).start()
    assert work.done == [0]
