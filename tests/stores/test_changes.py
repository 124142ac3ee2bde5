"""ltp_service.stores.changes"""

import threading

from ltp_service.stores.changes import Changes
from tests.deadline import DEADLINE
from tests.fakes import BTC, ETH


def test_a_change_between_looking_and_waiting_is_not_lost() -> None:
    changes = Changes()
    with changes.watch([BTC]) as watch:
        assert watch
        changes.announce(BTC)
        assert watch.wait(0)


def test_a_waiter_hears_nothing_of_other_pairs() -> None:
    changes = Changes()
    with changes.watch([BTC]) as watch:
        assert watch
        changes.announce(ETH)
        assert not watch.wait(0)


def test_each_change_wakes_once() -> None:
    changes = Changes()
    with changes.watch([BTC]) as watch:
        assert watch
        changes.announce(BTC)
        assert watch.wait(0)
        assert not watch.wait(0)
        changes.announce(BTC)
        assert watch.wait(0)


def test_nobody_is_woken_after_leaving() -> None:
    changes = Changes()
    with changes.watch([BTC]) as watch:
        assert watch
    changes.announce(BTC)

    assert not watch.wait(0)


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
        with changes.watch([BTC, ETH]) as watch:
            assert watch
            listening.wait(DEADLINE)
            woken.append(watch.wait(DEADLINE))

    waiters = [threading.Thread(target=wait) for _ in range(3)]
    for thread in waiters:
        thread.start()
    listening.wait(DEADLINE)
    changes.announce(ETH)
    for thread in waiters:
        thread.join(DEADLINE)

    assert woken == [True, True, True]
