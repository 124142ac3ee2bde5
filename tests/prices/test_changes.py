"""ltp_service.prices.changes"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ltp_service.domain.pairs import Pair
from ltp_service.prices.changes import WOKEN_AT_ONCE, Changes, Watch
from tests.deadline import DEADLINE
from tests.fakes import BTC, ETH, eventually, in_threads


@contextmanager
def watching(changes: Changes, *pairs: Pair) -> Iterator[Watch]:
    """A place to wait; there has to be one."""
    with changes.watch(pairs) as watch:
        assert watch
        yield watch


def test_a_change_between_looking_and_waiting_is_not_lost() -> None:
    changes = Changes()
    with watching(changes, BTC) as watch:
        changes.announce(BTC)
        assert watch.wait(0)


def test_a_waiter_hears_nothing_of_other_pairs() -> None:
    changes = Changes()
    with watching(changes, BTC) as watch:
        changes.announce(ETH)
        assert not watch.wait(0)


def test_each_change_wakes_once() -> None:
    changes = Changes()
    with watching(changes, BTC) as watch:
        changes.announce(BTC)
        assert watch.wait(0)
        assert not watch.wait(0)
        changes.announce(BTC)
        assert watch.wait(0)


def test_a_change_after_the_last_has_left_finds_nothing_to_wake() -> None:
    changes = Changes()
    with watching(changes, BTC):
        pass
    changes.announce(BTC)
    with watching(changes, BTC) as later:
        assert not later.wait(0)


def test_each_who_waits_for_the_same_is_told_of_each_change() -> None:
    changes = Changes()
    with watching(changes, BTC) as one, watching(changes, BTC) as other:
        changes.announce(BTC)
        assert one.wait(0)
        changes.announce(BTC)
        assert (one.wait(0), other.wait(0), other.wait(0)) == (True, True, False)


def test_a_wait_that_is_interrupted_ends_without_a_change() -> None:
    changes = Changes()
    with watching(changes, BTC) as watch:
        threading.Timer(0.05, watch.interrupt).start()
        assert not watch.wait(DEADLINE)
        changes.announce(BTC)
        assert watch.wait(0)


def test_only_so_many_may_wait_at_once_and_places_are_given_back() -> None:
    changes = Changes(most=1)
    with changes.watch([BTC]), changes.watch([BTC]) as second:
        assert second is None
    with changes.watch([BTC]) as third:
        assert third is not None


def test_all_who_wait_in_other_threads_are_woken() -> None:
    changes = Changes()
    listening = threading.Barrier(4)
    woken: list[bool] = []

    def wait() -> None:
        with watching(changes, BTC, ETH) as watch:
            listening.wait(DEADLINE)
            woken.append(watch.wait(DEADLINE))

    with in_threads(3, wait):
        listening.wait(DEADLINE)
        changes.announce(ETH)
    assert woken == [True, True, True]


def test_of_many_who_wait_a_few_are_woken_at_once_and_each_wakes_the_next() -> None:
    pauses: list[float] = []
    changes = Changes(sleep=pauses.append)
    ready = threading.Barrier(51)
    woken: list[bool] = []

    def wait() -> None:
        with watching(changes, BTC) as watch:
            ready.wait(DEADLINE)
            woken.append(watch.wait(DEADLINE))

    with in_threads(50, wait):
        ready.wait(DEADLINE)
        eventually(lambda: len(changes.groups[frozenset([BTC])].asleep) == 50)
        changes.announce(BTC)
        assert len(changes._woken) <= WOKEN_AT_ONCE  # noqa: SLF001
    assert woken == [True] * 50
    assert len(pauses) == 50


def test_who_was_to_be_woken_and_has_given_up_does_not_keep_the_others_asleep() -> None:
    changes = Changes()
    woken: list[bool] = []

    def wait(seconds: float) -> None:
        with watching(changes, BTC) as watch:
            woken.append(watch.wait(seconds))

    for _ in range(5):
        waiters = [
            threading.Thread(target=wait, args=(0.0 if number % 2 else DEADLINE,)) for number in range(40)
        ]
        for thread in waiters:
            thread.start()
        while any(thread.is_alive() for thread in waiters):
            changes.announce(BTC)
        for thread in waiters:
            thread.join(DEADLINE)

    assert len(woken) == 200
    assert changes._due == {}  # noqa: SLF001
    assert changes._woken == set()  # noqa: SLF001


def test_a_first_look_goes_behind_those_that_came_before_and_no_more_than_a_few_go_at_once() -> None:
    gate, began = threading.Event(), threading.Semaphore(0)
    looked: list[None] = []

    def sleep(_: float) -> None:
        began.release()
        gate.wait(DEADLINE)

    changes = Changes(sleep=sleep)

    def look() -> None:
        changes.queue()
        looked.append(None)

    with in_threads(3 * WOKEN_AT_ONCE, look):
        for _ in range(WOKEN_AT_ONCE):
            assert began.acquire(timeout=DEADLINE)
        eventually(lambda: len(changes._due) == 2 * WOKEN_AT_ONCE)  # noqa: SLF001
        assert looked == []
        gate.set()
    assert len(looked) == 3 * WOKEN_AT_ONCE
    assert (changes._due, changes._woken) == ({}, set())  # noqa: SLF001
