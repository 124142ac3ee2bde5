"""Questions to the history, the exchange's time for them, and where they cannot be answered."""

from collections.abc import Callable
from typing import Any

import pytest

from ltp_service.domain.errors import StoreUnavailable
from ltp_service.history.access import History
from ltp_service.history.contract import READ_SECONDS, HistoryStore
from ltp_service.runtime.spawn import NativeThread
from tests.fakes import BTC, NOON, FakeClock
from tests.history.fakes import BEGINNING, FULL_DISK, FakeStore
from tests.history.plain_history import SECOND, PlainHistory, trade


class FakeRecorder:
    """Has learnt the exchange's time, or not."""

    now: int | None = None

    def exchange_now(self) -> int | None:
        return self.now


RECORDER: Any = FakeRecorder()


def history(
    machine: str | None = None,
    recorder: Any = RECORDER,
    clock: FakeClock | None = None,
    *,
    is_shared: bool = False,
) -> History:
    reader, clock = NativeThread("reader"), clock or FakeClock()
    return History(FakeStore(), reader, recorder, lambda: machine, clock, is_shared=is_shared)


def test_a_question_is_asked_of_the_store_and_its_error_is_raised() -> None:
    assert history().read(lambda store: store.coverage(BTC).runs) == ()

    def fail(_: HistoryStore) -> None:
        raise FULL_DISK

    with pytest.raises(type(FULL_DISK), match="no room"):
        history().read(fail)


def test_while_a_question_lasts_too_long_others_are_refused_at_once() -> None:
    clock = FakeClock()
    asked, told = history(clock=clock), list[str]()

    def hang(_: HistoryStore) -> None:
        clock.advance(READ_SECONDS)
        asked._queue_up()  # noqa: SLF001 - as another caller does, who may wait for the answer to this question
        clock.advance(0.1)
        with pytest.raises(StoreUnavailable) as refused:
            asked.read(lambda _: None)
        told.append(str(refused.value))

    asked.read(hang)
    assert told == ["another question has no answer after 3 s; look at the disk or the server of the history"]
    assert asked.read(lambda _: 7) == 7


class Crowd:
    """A thread in which each question waits for one that comes later."""

    def __init__(self) -> None:
        self.come: Callable[[], object] = list

    def run(self, function: Callable[[], object]) -> object:
        self.come()
        return function()


def test_only_so_many_questions_wait_at_the_same_time() -> None:
    crowd: Any = Crowd()
    asked = History(FakeStore(), crowd, RECORDER, lambda: None, FakeClock(), is_shared=False, most_waiting=3)
    answered: list[HistoryStore] = []
    crowd.come = lambda: asked.read(answered.append)
    for _ in range(2):  # those that were answered or failed wait no longer
        with pytest.raises(StoreUnavailable, match="3 questions wait for it; ask less often"):
            asked.read(answered.append)
    crowd.come = list
    asked.read(answered.append)
    assert len(answered) == 1


def test_a_file_is_on_the_machine_that_feeds_the_fleet_and_a_server_everywhere() -> None:
    assert history().elsewhere() is None
    assert history("another", is_shared=True).elsewhere() is None
    told = history("another").elsewhere()
    assert told is not None
    assert "on the machine another, which feeds this fleet" in told
    assert "HISTORY_URL=postgresql://" in told


def test_without_numbered_trades_nothing_is_filled() -> None:
    assert history().runners == [RECORDER]


def test_now_is_the_exchanges_time_as_the_recorder_has_learnt_it() -> None:
    recorder = FakeRecorder()
    recorder.now = BEGINNING + 5 * SECOND
    store = PlainHistory([trade(1, BEGINNING + 7 * SECOND)])
    assert history(recorder=recorder).now(store, [BTC]) == BEGINNING + 5 * SECOND


def test_without_it_now_is_no_earlier_than_what_the_history_knows() -> None:
    clock = FakeClock(wall=NOON - 18_000)
    asked, store = history(clock=clock), PlainHistory([])
    assert asked.now(store, [BTC]) == BEGINNING - 18_000 * SECOND
    store.recorded = [trade(1, BEGINNING)]
    assert asked.now(store, [BTC]) == BEGINNING
