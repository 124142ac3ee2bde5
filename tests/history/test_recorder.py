"""What is handed over to the thread that writes, and what is told about it."""

import logging
from collections.abc import Sequence

import pytest

from ltp_service.domain.pairs import Pair
from ltp_service.domain.trade import Trade
from ltp_service.history.recorder import KEPT_SECONDS, WRITE_EVERY_SECONDS, Recorder
from ltp_service.history.rows import News, Written
from ltp_service.history.writer import LOCKED_OUT, Writer
from ltp_service.meters import HISTORY_LOST, HISTORY_REFUSED, HISTORY_ROWS
from ltp_service.runtime.spawn import NativeThread
from tests.fakes import BTC, NOON, FakeClock, RecordingMeters, ScriptedStop, runtime
from tests.history.fakes import BEGINNING, FULL_DISK, FakeLock, FakeStore, trade, view


def read(frame: str, _: float) -> Sequence[tuple[Pair, Trade]]:
    return [(BTC, trade(int(frame)))]


class Desk:
    """A recorder with a store in memory."""

    def __init__(self, keep_seconds: float = 0.0) -> None:
        self.clock, self.store, self.lock = FakeClock(), FakeStore(), FakeLock()
        self.meters = RecordingMeters()
        self.leads = True
        writer = Writer(
            [BTC],
            self.store,
            self.lock,
            read,
            lambda _: True,
            keep_seconds=keep_seconds,
            patience_seconds=30.0,
            monotonic=self.clock.monotonic,
        )
        self.recorder = Recorder(
            writer,
            NativeThread("writer"),
            lambda: view(self.clock.monotonic()),
            lambda: self.leads,
            runtime(self.clock, self.meters),
        )

    def hear(self, *ids: int) -> None:
        self.recorder.frames.extend((str(each), self.clock.monotonic()) for each in ids)

    def turn(self) -> None:
        self.recorder.turn()
        self.clock.advance(WRITE_EVERY_SECONDS)

    def ids(self) -> list[int]:
        return sorted(self.store.ids.get(BTC, ()))


@pytest.fixture
def desk() -> Desk:
    made = Desk()
    made.turn()
    return made


def test_twenty_thousand_trades_of_a_second_are_written(desk: Desk) -> None:
    desk.hear(*range(1, 10_001))
    desk.turn()
    desk.hear(*range(10_001, 20_001))
    desk.turn()

    assert desk.ids() == [*range(1, 20_001)]
    assert desk.meters.counted[HISTORY_ROWS][""] == 20_000
    assert desk.recorder.is_settled()


def test_trades_of_rest_are_written_with_the_next_batch(desk: Desk) -> None:
    desk.recorder.take(BTC, [trade(7)])
    assert not desk.recorder.is_settled()
    desk.turn()
    assert (desk.ids(), desk.recorder.is_settled()) == ([7], True)


def test_the_clock_of_the_exchange_goes_on_between_two_turns(desk: Desk) -> None:
    desk.clock.advance(7.5)
    assert desk.recorder.exchange_now() == BEGINNING + 8_000_000


def test_rest_proves_what_the_feed_has_not_missed(desk: Desk) -> None:
    assert desk.recorder.unproven == {BTC: 1000.0}
    desk.recorder.take(BTC, [trade(7)])
    desk.turn()
    assert desk.recorder.unproven == {BTC: 1000.0}
    desk.recorder.take(BTC, [trade(7)], 1000.0)
    desk.turn()
    assert desk.recorder.unproven == {}


def test_while_another_process_writes_the_last_seconds_are_kept_for_the_case_that_it_ends() -> None:
    desk = Desk()
    desk.lock.is_free = False
    desk.turn()
    desk.hear(1)
    desk.clock.advance(KEPT_SECONDS)
    desk.hear(2)
    desk.turn()
    assert not desk.recorder.is_writing()

    desk.lock.is_free = True
    desk.turn()
    desk.turn()
    assert (desk.ids(), desk.recorder.is_writing()) == ([2], True)


def test_a_follower_of_a_fleet_keeps_and_writes_nothing(desk: Desk) -> None:
    desk.leads = False
    desk.hear(1)
    desk.recorder.take(BTC, [trade(2)])
    desk.turn()
    assert (desk.ids(), list(desk.recorder.frames), desk.lock.is_held) == ([], [], False)

    desk.leads = True
    desk.hear(3)
    desk.turn()
    desk.turn()
    assert desk.ids() == [3]


def test_a_failing_store_is_told_in_log_state_and_metrics(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    desk.store.problem = FULL_DISK
    desk.hear(1, 2)
    desk.turn()
    desk.clock.advance(3.0)
    state = desk.recorder.state()

    assert (state.writes, state.problem, state.waiting, state.lag) == (False, str(FULL_DISK), 2, 3.5)
    assert not desk.recorder.is_settled()
    (line,) = caplog.records
    assert line.getMessage() == f"the history is not written: {FULL_DISK}; 2 trades wait, 0 were dropped"
    assert vars(line)["once_a_minute"] == ("history",)

    desk.store.problem = None
    desk.turn()
    assert caplog.messages[-1] == "the history is written again"
    assert desk.recorder.state().lag == 0.0
    assert desk.ids() == [1, 2]


def test_where_only_deleting_fails_recording_is_not_said_to_fail(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk(keep_seconds=3600.0)

    def fail(before: int) -> int:
        raise FULL_DISK

    desk.store.prune = fail  # type: ignore[method-assign]
    desk.hear(1)
    desk.turn()
    desk.turn()  # which takes what came before it was known that this process writes
    state = desk.recorder.state()

    assert (state.writes, state.problem, state.undeleted) == (True, None, str(FULL_DISK))
    assert desk.recorder.is_settled()
    (line,) = set(caplog.messages)
    assert line == f"the history is written, but trades older than HISTORY_KEEP are not deleted: {FULL_DISK}"


def test_trades_that_contradict_the_others_are_counted_and_logged_once_a_minute(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.hear(1, 3)
    desk.turn()
    desk.store.contradicting = {2, 4}
    desk.hear(2, 4)
    desk.turn()
    desk.turn()

    assert desk.meters.counted[HISTORY_REFUSED][""] == 2
    (line,) = caplog.records
    assert line.getMessage() == (
        "2 trades are not recorded, because they contradict what is recorded or the exchange's clock; the last one:"
        f" BTC/USD, id 4, unix time {NOON:.6f}"
    )
    assert vars(line)["once_a_minute"] == ("history refused",)
    assert desk.recorder.jumped == {BTC}, "they may have made holes"


def test_what_is_dropped_is_counted(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ltp_service.history.writer.MOST_WAITING", 3)
    desk.store.problem = FULL_DISK
    desk.hear(1, 2, 3, 4, 5)
    desk.turn()

    assert desk.recorder.state().lost == desk.meters.counted[HISTORY_LOST][""] == 2


def test_pairs_with_new_holes_are_kept_for_the_back_fill(desk: Desk) -> None:
    desk.hear(1)
    desk.turn()
    desk.recorder.jumped.clear()
    desk.hear(2)
    desk.turn()
    assert desk.recorder.jumped == set()
    desk.hear(5)
    desk.turn()
    desk.turn()
    assert desk.recorder.jumped == {BTC}


def test_at_the_end_everything_that_came_is_written_and_the_lock_given_back(desk: Desk) -> None:
    stop = ScriptedStop(desk.clock)

    def meanwhile() -> None:
        if len(stop.waits) == 2:
            desk.hear(9)
            stop.set()

    stop.meanwhile = meanwhile
    desk.recorder.run(stop)

    assert stop.waits == [WRITE_EVERY_SECONDS] * 3
    assert (desk.ids(), desk.lock.is_held, desk.store.closed) == ([9], False, 1)


def test_the_exchanges_time_is_told_as_soon_as_it_was_learnt() -> None:
    desk = Desk()
    assert desk.recorder.exchange_now() is None
    desk.turn()
    desk.clock.set_wall(0.0)
    desk.clock.advance(2.5)
    assert desk.recorder.exchange_now() == BEGINNING + round((WRITE_EVERY_SECONDS + 2.5) * 1e6)


def test_a_write_that_does_not_end_is_told(desk: Desk) -> None:
    write, told = desk.store.write, []

    def hang(news: Sequence[News]) -> Written:
        desk.clock.advance(20.0)
        desk.hear(2, 3)
        told.append((desk.recorder.state(), desk.recorder.is_settled()))
        return write(news)

    desk.store.write = hang  # type: ignore[method-assign]
    desk.hear(1)
    desk.turn()

    ((state, settled),) = told
    assert (state.lag, state.waiting, settled) == (20.0, 2, False)
    assert state.problem == "a write has not ended for 20 s; look at the disk or the server (HISTORY_URL)"
    assert desk.recorder.state().problem is None


def test_every_trade_is_written_that_came_while_an_earlier_session_had_the_lock(desk: Desk) -> None:
    desk.lock.is_free = False
    for number in range(1, 31):  # longer than trades are kept for another process
        desk.hear(number)
        desk.turn()
    assert desk.recorder.state().problem == LOCKED_OUT
    assert desk.recorder.state().lag == 15.0
    desk.lock.is_free = True
    desk.turn()
    assert desk.ids() == [*range(1, 31)]
