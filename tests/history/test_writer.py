"""Batches in, transactions out: what is written, what waits, and what is lost."""

from collections.abc import Sequence
from typing import Any

import pytest

from ltp_service.domain.exchange_clock import ExchangeClock
from ltp_service.domain.pairs import Pair
from ltp_service.domain.tick import Price
from ltp_service.domain.trade import Trade
from ltp_service.history import writer as module
from ltp_service.history.evidence import View, recorded
from ltp_service.history.rows import Written
from ltp_service.history.writer import (
    FIRST_PAUSE_SECONDS,
    LATEST_SECONDS,
    LOCKED_OUT,
    LOCKED_OUT_SECONDS,
    PRUNE_EVERY_SECONDS,
    Batch,
    Frame,
    Page,
    Report,
    Writer,
)
from tests.fakes import BTC, ETH, NOON, FakeClock
from tests.history.fakes import AHEAD, BEGINNING, FULL_DISK, FakeLock, FakeStore, price, trade, view


def read(frame: str, _: float) -> list[tuple[Pair, Trade]]:
    """A frame is `7@3`: ids apart by blanks, each so many seconds after NOON. One that begins with `=` tells the present
    state."""
    rows = (part.partition("@") for part in frame.removeprefix("=").split())
    return [(BTC, trade(int(number), float(at or 0))) for number, _, at in rows]


def is_live(frame: str) -> bool:
    return not frame.startswith("=")


class Desk:
    """A writer and what a test hands to it."""

    def __init__(self, **settings: Any) -> None:
        self.clock, self.store, self.lock = FakeClock(), FakeStore(), FakeLock()
        given = {"keep_seconds": 0.0, "patience_seconds": 30.0, **settings}
        self.writer = Writer(
            [BTC, ETH], self.store, self.lock, read, is_live, monotonic=self.clock.monotonic, **given
        )

    def turn(
        self,
        *frames: str,
        pages: Sequence[Page] = (),
        seen: View | None = None,
        leads: bool = True,
        after: float = 1.0,
    ) -> Report:
        """The frames arrive now. The next turn is later."""
        now = self.clock.monotonic()
        arrived: list[Frame] = [(frame, now) for frame in frames]
        report = self.writer.turn(Batch(arrived, pages, seen or view(now), leads))
        self.clock.advance(after)
        return report

    def live(self, *prices: Price, **more: Any) -> View:
        return view(self.clock.monotonic(), *prices, **more)

    def ids(self) -> list[int]:
        return sorted(self.store.ids.get(BTC, ()))


def test_trades_of_the_feed_and_of_rest_are_written_in_one_transaction() -> None:
    desk = Desk()
    report = desk.turn("1 2", "3", pages=[Page(ETH, [trade(8, pair=ETH)])])

    assert (report.writes, report.rows, report.waiting, report.problem) == (True, 4, 0, None)
    assert (desk.ids(), desk.store.writes) == ([1, 2, 3], [4])
    assert desk.turn("3").rows == 0


def test_nothing_is_written_when_there_is_nothing_new() -> None:
    desk = Desk()
    desk.turn()
    assert desk.store.writes == []


def test_evidence_is_of_the_newest_trade_of_the_feed() -> None:
    desk = Desk()
    desk.turn("6 7", seen=desk.live(price(7, confirmed_at=1002.0)))
    desk.turn(seen=desk.live(price(7, confirmed_at=1003.0)))
    desk.turn(seen=desk.live(price(7, confirmed_at=1003.0)))

    assert desk.store.evidence() == [(BEGINNING + 1_000_000, 7), (BEGINNING + 2_000_000, 7)]


def test_evidence_is_looked_at_with_each_batch() -> None:
    desk = Desk()
    desk.turn("6 7", seen=desk.live(price(7, confirmed_at=1002.0)), after=0.5)
    desk.turn(seen=desk.live(price(7, confirmed_at=1002.5)), after=0.5)
    desk.turn(seen=desk.live(price(7, confirmed_at=1003.0)))

    assert [until for until, _ in desk.store.evidence()] == [
        BEGINNING + 1_000_000,
        BEGINNING + 1_500_000,
        BEGINNING + 2_000_000,
    ]


class Reconnected(Desk):
    """The trades 6 and 7 were told, and evidence followed. Then another connection began, on which 7 still is the price."""

    def __init__(self) -> None:
        super().__init__()
        self.turn("6 7", seen=self.live(price(7, confirmed_at=1002.0)))
        self.anew = self.clock.monotonic()

    def goes_on(self, *frames: str, newest: int = 7, pages: Sequence[Page] = ()) -> tuple[bool, bool]:
        """Whether evidence is written, and whether it is told that REST has to be asked."""
        before, now = len(self.store.evidence()), self.clock.monotonic()
        seen = self.live(price(newest, confirmed_at=now), since=self.anew)
        report = self.turn(*frames, seen=seen, pages=pages)
        assert report.unproven in ({}, {BTC: self.anew})
        return len(self.store.evidence()) > before, bool(report.unproven)


def test_a_new_connection_gives_no_evidence_by_its_state_alone() -> None:
    desk = Reconnected()
    assert desk.goes_on() == (False, True)
    assert desk.goes_on("=6 7") == (False, True)
    assert desk.goes_on("=6 7 8", newest=8) == (False, True)


def test_a_trade_that_is_told_live_and_follows_the_newest_one_proves_that_none_was_missed() -> None:
    desk = Reconnected()
    assert desk.goes_on("8", newest=8) == (True, False)
    assert desk.goes_on(newest=8) == (True, False)


def test_a_trade_that_is_told_live_after_a_hole_proves_nothing() -> None:
    desk = Reconnected()
    assert desk.goes_on("9", newest=9) == (False, True)


def test_a_trade_of_the_connection_before_proves_nothing_about_this_one() -> None:
    desk = Reconnected()
    now = desk.clock.monotonic()
    seen = desk.live(price(8, confirmed_at=now), since=desk.anew)
    report = desk.writer.turn(Batch([("8", desk.anew - 0.1)], (), seen, leads=True))
    assert report.unproven == {BTC: desk.anew}


def test_rest_that_names_the_same_newest_trade_proves_it_also_where_the_connection_told_none() -> None:
    desk = Reconnected()
    assert desk.goes_on(pages=[Page(BTC, [trade(6), trade(7)], desk.anew)]) == (True, False)
    assert desk.goes_on() == (True, False)


def test_an_older_answer_or_one_that_need_not_be_the_newest_proves_nothing() -> None:
    desk = Reconnected()
    pages = [Page(BTC, [trade(6), trade(7)], desk.anew - 0.1), Page(BTC, [trade(6), trade(7)])]
    assert desk.goes_on(pages=pages) == (False, True)
    assert desk.goes_on("=6 7 8", newest=8, pages=[Page(BTC, [trade(7)], desk.anew)]) == (False, True)


def test_a_trade_that_rest_alone_tells_has_no_evidence_before_the_price_follows_it() -> None:
    desk = Reconnected()
    assert desk.goes_on("=6 7", pages=[Page(BTC, [trade(7), trade(8)], desk.anew)]) == (False, False)
    assert desk.goes_on(newest=8) == (True, False)
    assert desk.store.evidence()[-1][1] == 8


def test_the_next_connection_has_to_be_proven_again() -> None:
    desk = Reconnected()
    assert desk.goes_on(pages=[Page(BTC, [trade(7)], desk.anew)]) == (True, False)
    desk.anew = desk.clock.monotonic()
    assert desk.goes_on() == (False, True)


def test_the_trade_of_the_price_counts_as_told_where_its_frame_is_gone() -> None:
    desk = Desk()
    desk.turn("5 6")
    desk.turn(seen=desk.live(price(7, confirmed_at=1002.0)))
    assert desk.store.evidence() == [(BEGINNING + 1_000_000, 7)]


def test_after_the_exchange_numbers_anew_the_evidence_is_of_the_lower_id() -> None:
    desk = Desk()
    desk.turn("70")
    assert desk.turn("1@2 2@2").jumped == {BTC}
    anew = price(2, at=2.0, received_at=1002.0, confirmed_at=1006.0)
    desk.turn(seen=desk.live(anew))
    assert desk.store.evidence() == [(BEGINNING + 5_000_000, 2)]


def test_a_late_trade_with_a_lower_id_does_not_number_anew() -> None:
    desk = Desk()
    desk.turn("69@3 70@4", "68@4.9")
    desk.turn(seen=desk.live(price(70, at=4.0, confirmed_at=1009.0)))
    assert [number for _, number in desk.store.evidence()] == [70]


def test_prices_without_ids_are_observed() -> None:
    desk = Desk()
    desk.turn(seen=desk.live(price(None, at=None, confirmed_at=1000.0)))
    desk.turn(seen=desk.live(price(None, at=None, confirmed_at=1001.0)))
    desk.turn(seen=desk.live(price(None, at=None, confirmed_at=1001.0)))

    assert [(each.observed_at, each.evidence_until) for each in desk.store.observations()] == [
        (BEGINNING, BEGINNING),
        (BEGINNING, BEGINNING + 1_000_000),
    ]


@pytest.mark.parametrize(
    ("frames", "jumps"),
    [
        (["1 2", "3"], False),
        (["1 2", "2 3"], False),  # told again by the next connection
        (["1 2", "4"], True),
        (["1 2", "5 3"], True),
        (["5 6", "2"], True),
    ],
)
def test_pairs_that_may_have_a_hole_are_named(frames: list[str], jumps: bool) -> None:
    desk = Desk()
    assert desk.turn(frames[0]).jumped == {BTC}  # what was before this process
    assert desk.turn(frames[1]).jumped == ({BTC} if jumps else set())


def test_a_file_that_was_put_in_the_place_of_the_history_may_have_holes_everywhere() -> None:
    desk = Desk()
    desk.turn("6 7", seen=desk.live(price(7, confirmed_at=1002.0)))
    desk.lock.file = 2
    report = desk.turn(seen=desk.live(price(7, confirmed_at=1003.0)))
    assert report.jumped == {BTC, ETH}
    assert report.unproven == {BTC: 1000.0}
    assert desk.turn("8").jumped == {BTC}
    assert desk.turn("9").jumped == set()


def test_a_history_that_is_begun_had_no_holes_before() -> None:
    desk = Desk()
    desk.lock.file = None
    desk.turn("6 7")
    desk.lock.file = 1
    assert desk.turn("8").jumped == set()


def test_what_another_process_wrote_meanwhile_may_have_holes() -> None:
    desk = Desk()
    desk.turn("6 7")
    desk.lock.is_free = False
    desk.turn()
    desk.lock.is_free = True
    assert desk.turn("8").jumped == {BTC}


def test_a_trade_of_the_future_is_left_out_and_told() -> None:
    desk = Desk()
    report = desk.turn(f"1 2@{LATEST_SECONDS + 1}", pages=[Page(BTC, [trade(3, LATEST_SECONDS + 1)])])
    assert desk.ids() == [1]
    assert (report.refused, report.refused_last) == (2, (BTC, recorded(trade(3, LATEST_SECONDS + 1))))
    assert desk.turn("4").refused == 0


def test_a_trade_that_was_stamped_ahead_is_wrong_also_when_its_moment_has_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_AHEAD", 2)
    desk = Desk()
    desk.turn("1 2@9", after=20.0)
    assert desk.turn(pages=[Page(BTC, [trade(2, 9.0), trade(3, 9.0)])]).refused == 1
    assert desk.ids() == [1, 3]

    desk.turn("4@90 5@91", after=100.0)
    assert desk.turn("2@9").refused == 0, "no more are remembered"


def test_a_trade_that_was_refused_while_the_known_clock_was_behind_is_recorded_once_it_is_known_better() -> (
    None
):
    desk = Desk()
    desk.turn("1")
    assert desk.turn("2@61").refused == 1, "the machine slept for a minute, and its monotonic clock with it"
    later = desk.live(ahead=AHEAD + 60.0)
    report = desk.turn("3@62", pages=[Page(BTC, [trade(2, 61.0), trade(3, 62.0)])], seen=later)
    assert (report.refused, desk.ids()) == (0, [1, 2, 3])
    assert desk.turn("2@61", seen=desk.live(ahead=None)).refused == 0, "it is not remembered any more"


def test_a_trade_that_was_stamped_ahead_stays_refused_while_no_clock_is_known() -> None:
    desk = Desk()
    desk.turn("1 2@9", after=20.0)
    assert desk.turn("2@9 3@9", seen=desk.live(ahead=None)).refused == 1
    assert desk.turn("2@9").refused == 1
    assert desk.ids() == [1, 3]


def test_a_trade_is_ahead_by_its_own_arrival_however_late_it_is_looked_at() -> None:
    desk = Desk()
    arrived = desk.clock.monotonic()
    desk.clock.advance(60.0)
    report = desk.writer.turn(Batch([("1 2@9", arrived)], (), desk.live(), leads=True))
    assert (report.refused, desk.ids()) == (1, [1])


def test_the_history_refuses_what_the_price_refuses() -> None:
    clock = ExchangeClock()
    clock.answered(NOON, 1000.0, 1000.0)
    assert clock.happened(NOON + LATEST_SECONDS, 1000.0)
    assert not clock.happened(NOON + LATEST_SECONDS + 0.001, 1000.0)


def test_after_a_trade_of_the_future_the_one_before_it_is_not_the_newest() -> None:
    desk = Desk()
    desk.turn("1 2", seen=desk.live(price(2, confirmed_at=1001.5)))
    desk.turn(f"3@{LATEST_SECONDS + 2}", seen=desk.live(price(2, confirmed_at=1002.5)))
    desk.turn(seen=desk.live(price(2, confirmed_at=1003.5)))
    assert desk.store.evidence() == [(BEGINNING + 500_000, 2)]

    desk.turn("4@4", seen=desk.live(price(4, at=4.0, received_at=1003.0, confirmed_at=1006.0)))
    assert desk.store.evidence()[1:] == [(BEGINNING + 5_000_000, 4)]


def test_rest_proves_nothing_where_it_names_a_trade_of_the_future_as_the_newest() -> None:
    desk = Reconnected()
    ahead = trade(8, 90.0)
    assert desk.goes_on(pages=[Page(BTC, [trade(7), ahead], desk.anew)]) == (False, True)
    last = Page(BTC, [trade(7), ahead, trade(9, 0.5)], desk.anew + 1)
    assert desk.goes_on(newest=9, pages=[last]) == (True, False)


def test_trades_that_contradict_what_is_recorded_are_told_and_their_pair_looked_at() -> None:
    desk = Desk()
    desk.turn("1 2")
    desk.store.contradicting = {3}
    report = desk.turn("3@1")
    assert (report.rows, report.refused) == (0, 1)
    assert report.jumped == {BTC}
    assert report.refused_last == (BTC, recorded(trade(3, 1)))


# A store that fails.


def test_what_a_failing_store_refuses_is_written_later_and_tried_ever_less_often() -> None:
    desk = Desk()
    desk.store.problem = FULL_DISK
    told = [desk.turn(str(number)) for number in range(1, 5)]
    assert [each.waiting for each in told] == [1, 2, 3, 4]
    assert {each.problem for each in told} == {str(FULL_DISK)}
    assert told[-1].oldest == 1000.0

    desk.store.problem = None
    assert desk.turn().problem == str(FULL_DISK)  # tried after 0, 1 and 3 s, and then after 7 s
    desk.clock.advance(10.0)
    report = desk.turn()
    assert (report.rows, report.problem, report.waiting, report.oldest) == (4, None, 0, None)

    desk.store.problem = FULL_DISK
    desk.turn("8", after=FIRST_PAUSE_SECONDS)
    desk.store.problem = None
    assert desk.turn().rows == 1


def test_beyond_the_bound_the_oldest_are_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 10)
    desk = Desk()
    desk.store.problem = FULL_DISK
    assert desk.turn(" ".join(map(str, range(1, 9)))).lost == 0
    report = desk.turn("9 10 11 12", after=60.0)
    assert (report.lost, report.waiting) == (2, 10)

    desk.store.problem = None
    desk.turn()
    assert desk.ids() == [*range(3, 13)]


def test_many_trades_are_written_in_several_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_AT_ONCE", 4)
    desk = Desk()
    report = desk.turn(*map(str, range(1, 11)), seen=desk.live(price(10, confirmed_at=1002.0)))

    assert (report.rows, desk.store.writes) == (10, [4, 4, 2])
    assert [bool(each.evidence_until) for each in desk.store.news] == [False, False, True]


def test_a_turn_ends_before_it_lasts_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_AT_ONCE", 1)
    desk = Desk()
    write = desk.store.write

    def slowly(news: Any) -> Written:
        desk.clock.advance(1.0)
        return write(news)

    desk.store.write = slowly  # type: ignore[method-assign]
    assert desk.turn("1", "2", "3", "4").waiting == 2
    assert desk.turn().waiting == 0


def test_what_the_store_cannot_take_is_dropped_once_and_told() -> None:
    desk = Desk()
    desk.store.problem = ValueError("no such digits")
    with pytest.raises(ValueError, match="no such digits"):
        desk.turn("1")
    desk.store.problem = None
    assert desk.turn("2").waiting == 0
    assert desk.ids() == [2]


def test_where_only_deleting_fails_the_report_says_so_and_is_of_trades_that_were_written() -> None:
    desk = Desk(keep_seconds=3600.0)

    def fail(before: int) -> int:
        raise FULL_DISK

    desk.store.prune = fail  # type: ignore[method-assign]
    report = desk.turn("1 2")
    assert (report.rows, report.writes, report.problem) == (2, True, None)
    assert (report.undeleted, report.size) == (str(FULL_DISK), 4096)
    assert report.jumped == {BTC}
    report = desk.turn("3")
    assert (report.rows, report.undeleted, report.jumped) == (1, str(FULL_DISK), frozenset())

    del desk.store.prune
    assert desk.turn(after=PRUNE_EVERY_SECONDS).undeleted == str(FULL_DISK)
    assert desk.turn().undeleted is None


def test_where_a_later_transaction_fails_the_holes_of_the_first_one_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_AT_ONCE", 1)
    desk = Desk()
    write = desk.store.write

    def once(news: Any) -> Written:
        desk.store.problem = FULL_DISK if desk.store.writes else None
        return write(news)

    desk.store.write = once  # type: ignore[method-assign]
    report = desk.turn("1", "2")
    assert (report.rows, report.waiting, report.problem) == (1, 1, str(FULL_DISK))
    assert report.jumped == {BTC}


def test_where_the_first_write_into_another_history_fails_its_holes_are_told() -> None:
    desk = Desk()
    desk.turn("1")
    desk.lock.file, desk.store.problem = 2, FULL_DISK
    assert desk.turn("2").jumped == {BTC, ETH}


def test_a_size_that_cannot_be_told_is_no_problem_of_recording() -> None:
    desk = Desk()

    def fail() -> int:
        raise FULL_DISK

    desk.store.size = fail  # type: ignore[method-assign]
    report = desk.turn("1")
    assert (report.writes, report.rows, report.problem, report.size) == (True, 1, None, None)
    assert report.jumped == {BTC}


# One writer.


def test_without_the_lock_nothing_is_written_and_nothing_kept() -> None:
    desk = Desk()
    desk.lock.is_free = False
    report = desk.turn("1")
    assert (report.writes, report.waiting, report.problem) == (False, 0, None)

    desk.lock.is_free = True
    desk.turn("2")
    assert desk.ids() == [2]


def test_what_waits_is_kept_while_another_session_has_the_lock_that_this_process_had() -> None:
    desk = Desk()
    desk.turn("1")
    desk.lock.is_free = False
    assert desk.turn("2").waiting == 1
    report = desk.turn("3", after=LOCKED_OUT_SECONDS - 2.5)
    assert (report.writes, report.waiting, report.lost, report.oldest) == (False, 2, 0, 1001.0)
    assert report.problem == LOCKED_OUT
    assert desk.turn("4").waiting == 3

    desk.lock.is_free = True
    report = desk.turn("5")
    assert (report.rows, report.problem, desk.ids()) == (4, None, [1, 2, 3, 4, 5])

    desk.lock.is_free = False
    desk.turn("6", after=LOCKED_OUT_SECONDS - 0.5)
    assert desk.turn("7").waiting == 2, "the time counts anew"


def test_another_session_that_keeps_the_lock_is_another_writer_and_what_waited_is_counted_as_lost() -> None:
    desk = Desk()
    desk.turn("1")
    desk.lock.is_free = False
    desk.turn("2 3", after=LOCKED_OUT_SECONDS)
    report = desk.turn("4")
    assert (report.writes, report.waiting, report.lost, report.problem) == (False, 0, 3, None)
    report = desk.turn("5")
    assert (report.waiting, report.lost, report.problem) == (0, 0, None), "the other one writes it"


def test_what_waits_when_another_process_runs_the_feed_is_counted_as_lost() -> None:
    desk = Desk()
    desk.turn("1")
    desk.store.problem = FULL_DISK
    desk.turn("2 3")
    assert desk.turn(leads=False).lost == 2
    desk.lock.is_free = False
    report = desk.turn("4")
    assert (report.waiting, report.lost, report.problem) == (0, 0, None), "it has given the lock back"


def test_a_process_that_does_not_run_the_feed_gives_the_lock_back() -> None:
    desk = Desk()
    desk.turn("1")
    assert desk.lock.is_held
    report = desk.turn("2", leads=False)
    assert (report.writes, desk.lock.is_held, desk.ids()) == (False, False, [1])


def test_at_the_end_the_lock_is_given_back_and_the_store_closed() -> None:
    desk = Desk()
    desk.turn("1")
    desk.writer.close()
    assert (desk.lock.is_held, desk.store.closed) == (False, 1)


# Retention.


def test_old_trades_are_deleted_in_steps_by_the_clock_of_the_exchange() -> None:
    desk = Desk(keep_seconds=3600.0)
    desk.store.to_prune = 12_000
    for _ in range(5):
        desk.turn()
    first = BEGINNING - 3_600_000_000
    assert desk.store.pruned == [first, first + 1_000_000, first + 2_000_000, first + 3_000_000]

    desk.clock.advance(PRUNE_EVERY_SECONDS)
    desk.turn()
    assert len(desk.store.pruned) == 5


def test_nothing_is_deleted_when_all_is_kept_or_the_exchanges_clock_is_not_known() -> None:
    keeps, unknown = Desk(keep_seconds=0.0), Desk(keep_seconds=3600.0)
    keeps.turn()
    unknown.turn(seen=unknown.live(ahead=None))
    assert keeps.store.pruned == unknown.store.pruned == []


def test_the_room_that_it_takes_is_looked_at_now_and_then() -> None:
    desk = Desk()
    assert [desk.turn().size for _ in range(3)] == [4096, None, None]
    desk.clock.advance(30.0)
    assert desk.turn().size == 4096
