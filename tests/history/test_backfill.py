"""Holes are filled from REST by id, newest first; what REST cannot tell is given up and told."""

import logging
from collections.abc import Sequence

import pytest

from ltp_service.domain.errors import StoreUnavailable, Unreachable
from ltp_service.domain.pairs import Pair
from ltp_service.domain.trade import Trade
from ltp_service.history.backfill import (
    ASK_EVERY_SECONDS,
    HOPELESS_SECONDS,
    LAGGING_SECONDS,
    PROVABLE_AFTER_SECONDS,
    Backfill,
    missing_in,
)
from ltp_service.history.evidence import recorded
from ltp_service.history.rows import Coverage, News, Run
from ltp_service.meters import HISTORY_GAP_SECONDS
from tests.fakes import BTC, ETH, NOON, FakeClock, RecordingMeters, runtime
from tests.history.fakes import BEGINNING, FakeStore, trade


class Rest:
    """Kraken's Trades: a trade a second since NOON, but for a sweep, as far as it tells them."""

    def __init__(self, newest: int) -> None:
        self.newest = newest
        self.page_trades = 1000
        self.sweep = range(0)
        """Ids of trades that were made in the moment of the first of them."""
        self.lost: set[int] = set()
        """Ids that it never tells."""
        self.loses_at_the_edge = 0
        """Trades that are missing at the beginning of each page."""
        self.asked: list[tuple[Pair, float | None]] = []
        """Seconds after NOON."""
        self.problem: Exception | None = None

    def newest_trades(self, pair: Pair) -> tuple[list[Trade], float]:
        return self.trades_after(pair, None), 7.0

    def trades_after(self, pair: Pair, since: float | None) -> list[Trade]:
        self.asked.append((pair, None if since is None else round(since - NOON, 6)))
        if self.problem is not None:
            raise self.problem
        told = [each for each in range(1, self.newest + 1) if each not in self.lost]
        if since is None:
            ids = told[-self.page_trades :]
        else:
            ids = [each for each in told if NOON + self.moment(each) >= since - 0.001][: self.page_trades]
            ids = ids[self.loses_at_the_edge :]
        return [trade(each, self.moment(each), pair) for each in ids]

    def moment(self, trade_id: int) -> float:
        """In seconds after NOON."""
        return self.sweep[0] if trade_id in self.sweep else trade_id


class Desk:
    """A back-fill whose answers are recorded at once. It keeps the pace by itself."""

    def __init__(self, newest: int, *known: int, keep_seconds: float = 0.0) -> None:
        self.clock, self.store, self.rest = FakeClock(), FakeStore(), Rest(newest)
        self.meters = RecordingMeters()
        self.jumped: set[Pair] = set()
        self.unproven: dict[Pair, float] = {}
        self.newest: list[tuple[Pair, float]] = []
        """Of which pairs the newest trades were told, and as of when."""
        self.refused: set[int] = set()
        """Ids that do not fit into the record."""
        self.exchange: float | None = None
        """Its time in seconds after NOON."""
        self.settled, self.busy = True, False
        self.reads: list[Pair] = []
        self.record(BTC, [trade(each, each) for each in known])
        self.backfill = Backfill(
            [BTC, ETH],
            self.coverage,
            self.rest,
            self.record,
            recorder=self,
            is_busy=lambda: self.busy,
            runtime=runtime(self.clock, self.meters),
            keep_seconds=keep_seconds,
        )

    def is_settled(self) -> bool:
        return self.settled

    def coverage(self, pair: Pair) -> Coverage:
        self.reads.append(pair)
        return self.store.coverage(pair)

    def exchange_now(self) -> int | None:
        return None if self.exchange is None else BEGINNING + round(1e6 * self.exchange)

    def record(self, pair: Pair, trades: Sequence[Trade], as_of: float | None = None) -> None:
        rows = [row for row in map(recorded, trades) if row and row.trade_id not in self.refused]
        self.store.write([News(pair, tuple(rows))])
        if as_of is not None:
            self.newest.append((pair, as_of))

    def look(self, times: int = 1, every: float = ASK_EVERY_SECONDS) -> list[bool]:
        looked = []
        for _ in range(times):
            looked.append(self.backfill.look())
            self.clock.advance(every)
        return looked

    def missing(self, pair: Pair = BTC) -> list[tuple[int, int]]:
        return [(each.after_id, each.before_id) for each in missing_in(pair, self.store.coverage(pair))]


def test_a_hole_is_filled_from_the_trade_before_it() -> None:
    desk = Desk(100, *range(1, 11), *range(50, 60))
    assert desk.look(3) == [True, False, False]
    assert (desk.missing(), desk.rest.asked) == ([], [(BTC, 10.0)])


def test_the_newest_hole_comes_first_whatever_its_pair() -> None:
    desk = Desk(100, 1, 3, 7, 9)
    desk.record(ETH, [trade(each, each, ETH) for each in (4, 6)])
    desk.rest.page_trades = 3
    desk.look(5)
    assert desk.rest.asked == [(BTC, 7.0), (BTC, 3.0), (BTC, 5.0), (ETH, 4.0), (BTC, 1.0)]
    assert desk.missing() == desk.missing(ETH) == []


def test_a_long_hole_takes_several_pages() -> None:
    desk = Desk(200, 1, 150)
    desk.rest.page_trades = 50
    assert desk.look(5) == [True, True, True, True, False]
    assert desk.missing() == []


def test_of_a_sweep_that_is_longer_than_a_page_only_what_rest_cannot_tell_is_given_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    desk = Desk(100, *range(1, 11), 30)
    desk.rest.sweep, desk.rest.page_trades = range(11, 21), 5
    desk.look(60)
    assert desk.missing() == [(15, 21)]
    assert len(desk.rest.asked) < 12, "not asked for ever"
    (told,) = caplog.messages
    assert told.startswith("BTC/USD: the trades between 15 and 21 (10.0 s) are not recorded")
    assert desk.meters.counted[HISTORY_GAP_SECONDS][""] == 10


def test_what_follows_a_sweep_is_asked_for_from_just_after_it() -> None:
    desk = Desk(100, *range(1, 11), 30)
    desk.rest.sweep, desk.rest.page_trades = range(11, 21), 5
    desk.look(4)
    (_, before), (_, after) = desk.rest.asked[-2:]
    assert before == 11.0
    assert after is not None
    assert 0.0 < after - 0.001 - 11.0 < 0.0001, "the page begins a millisecond earlier"


def test_a_page_that_is_full_of_the_trades_around_a_hole_is_asked_for_again_from_earlier_on() -> None:
    desk = Desk(100, *range(1, 11), *range(12, 20))
    desk.rest.lost, desk.rest.page_trades = {11}, 3
    desk.look(3)
    assert [since for _, since in desk.rest.asked] == [10.0, 9.0, -50.0]


def test_a_question_a_second_at_most() -> None:
    desk = Desk(200, 1, 150)
    desk.rest.page_trades = 50
    assert desk.look(5, every=0.25) == [True, False, False, False, True]


def test_prices_come_first() -> None:
    desk = Desk(100, 1, 9)
    desk.busy = True
    assert desk.look(3) == [False] * 3
    desk.busy = False
    assert desk.look() == [True]


def test_nothing_is_asked_while_the_answer_could_not_be_recorded() -> None:
    desk = Desk(100, 1, 9)
    desk.settled = False
    assert desk.look(3) == [False] * 3
    assert desk.reads == []


def test_a_rest_that_lags_is_asked_again() -> None:
    desk = Desk(5, *range(1, 6), *range(10, 12))
    assert desk.look(3) == [True, False, False]
    desk.rest.newest = 20
    desk.clock.advance(LAGGING_SECONDS)
    assert desk.look() == [True]
    assert desk.missing() == []
    assert desk.meters.told(HISTORY_GAP_SECONDS) == []


def test_a_rest_that_knows_a_part_is_asked_for_the_rest() -> None:
    desk = Desk(7, *range(1, 6), *range(10, 12))
    desk.look()
    assert desk.missing() == [(7, 10)]
    desk.look()
    desk.rest.newest = 20
    desk.clock.advance(LAGGING_SECONDS)
    desk.look()
    assert desk.missing() == []


def test_trades_that_are_lost_at_the_edge_of_a_page_are_asked_for_with_an_earlier_one() -> None:
    desk = Desk(100, *range(1, 11), 12, *range(13, 20))
    desk.rest.loses_at_the_edge = 2
    assert desk.look(3) == [True, True, False]
    assert desk.missing() == []
    assert [since for _, since in desk.rest.asked] == [10.0, 9.0]


def test_trades_in_the_middle_that_a_page_leaves_out_are_a_smaller_hole() -> None:
    desk = Desk(100, 1, 20)
    desk.rest.lost = {10}
    desk.look()
    assert desk.missing() == [(9, 11)]


def test_what_rest_does_not_tell_is_given_up_told_and_asked_for_again_after_an_hour(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    desk = Desk(100, *range(1, 11), *range(12, 20))
    desk.rest.lost = {11}
    assert desk.look(5) == [True, True, True, False, False]
    assert desk.meters.counted[HISTORY_GAP_SECONDS][""] == 2
    assert caplog.messages == [
        "BTC/USD: the trades between 10 and 12 (2.0 s) are not recorded, and REST does not tell them"
    ]

    desk.clock.advance(HOPELESS_SECONDS)
    assert desk.look(5) == [True, True, True, False, False]
    assert desk.meters.counted[HISTORY_GAP_SECONDS][""] == 2
    desk.clock.advance(HOPELESS_SECONDS)
    desk.rest.lost = set()
    assert desk.look() == [True]
    assert desk.missing() == []


def test_a_hopeless_hole_lets_the_older_ones_go_first() -> None:
    desk = Desk(100, 1, *range(4, 11), *range(12, 20))
    desk.rest.lost = {11}
    desk.look(4)
    assert desk.missing() == [(10, 12)]


def test_a_failing_rest_is_asked_after_longer_and_longer_pauses() -> None:
    desk = Desk(100, 1, 9)
    desk.rest.problem = Unreachable("closed", reason="closed")
    asked = desk.look(40)
    assert [place for place, each in enumerate(asked) if each] == [0, 5, 10, 18, 34]
    desk.rest.problem = None
    desk.clock.advance(60.0)
    desk.look()
    assert desk.missing() == []


def test_a_store_that_cannot_be_read_is_read_again_later() -> None:
    desk = Desk(100, 1, 9)
    read = desk.store.coverage

    def fail(pair: Pair) -> Coverage:
        raise StoreUnavailable("away")

    desk.store.coverage = fail  # type: ignore[method-assign]
    assert desk.look(2) == [False, False]
    desk.store.coverage = read  # type: ignore[method-assign]
    assert desk.look() == [True]


def test_holes_are_read_where_something_jumped() -> None:
    desk = Desk(100, 1, 2)
    desk.look(5)
    assert sorted(desk.reads, key=str) == [BTC, ETH]
    desk.record(BTC, [trade(5, 5)])
    desk.jumped.add(BTC)
    assert desk.look() == [True]
    assert (desk.missing(), desk.jumped) == ([], set())


def test_each_subscription_has_the_newest_page_asked_for_when_no_cache_can_have_kept_it() -> None:
    desk = Desk(30, 1, 2)
    desk.unproven = {BTC: desk.clock.monotonic()}
    assert desk.look() == [False]
    desk.clock.advance(PROVABLE_AFTER_SECONDS)
    assert desk.look() == [True]
    assert (desk.rest.asked, desk.missing(), desk.newest) == ([(BTC, None)], [], [(BTC, 7.0)])

    desk.unproven = {BTC: desk.clock.monotonic()}
    desk.clock.advance(PROVABLE_AFTER_SECONDS)
    assert desk.look() == [True]


def test_what_one_page_does_not_prove_is_asked_for_again_ever_less_often() -> None:
    desk = Desk(30, 1, 2)
    desk.unproven = {BTC: desk.clock.monotonic() - PROVABLE_AFTER_SECONDS}
    asked = [place for place, each in enumerate(desk.look(80)) if each]
    assert asked == [0, 5, 15, 35, 75]

    desk.unproven = {}
    desk.look()
    desk.unproven = {BTC: desk.clock.monotonic() - PROVABLE_AFTER_SECONDS}
    assert desk.look() == [True]


def test_pairs_are_asked_about_in_turn_and_a_failure_lets_the_others_go_first() -> None:
    desk = Desk(30)
    desk.unproven = {BTC: 990.0, ETH: 991.0}
    desk.rest.problem = Unreachable("closed", reason="closed")
    desk.look(3)
    desk.rest.problem = None
    desk.look(8)
    assert [pair for pair, _ in desk.rest.asked] == [BTC, ETH, BTC, ETH]


def test_holes_and_newest_trades_take_turns() -> None:
    desk = Desk(200, 1, 150)
    desk.rest.page_trades = 50
    desk.unproven = {BTC: 990.0, ETH: 991.0}
    desk.look(4)
    assert [since is None for _, since in desk.rest.asked] == [False, True, False, True]


def test_what_is_older_than_what_is_kept_is_not_asked_for() -> None:
    desk = Desk(102, 1, 3, 100, 102, keep_seconds=60.0)
    desk.look(4)
    assert (desk.missing(), desk.rest.asked) == ([(3, 42), (1, 3)], [(BTC, 100.0), (BTC, 42.0)])


def test_a_hole_that_began_before_what_is_kept_is_asked_for_from_there_and_its_older_part_is_no_loss(
    caplog: pytest.LogCaptureFixture,
) -> None:
    desk = Desk(102, 1, 102, keep_seconds=60.0)
    desk.exchange = 122.0
    desk.rest.lost = {62, 63}
    desk.look(20)
    assert desk.missing() == [(1, 64)]
    assert desk.rest.asked == [(BTC, 62.0), (BTC, 62.0), (BTC, 61.0), (BTC, 2.0)]
    assert (desk.meters.told(HISTORY_GAP_SECONDS), caplog.messages) == ([], [])


def test_age_is_counted_by_the_clock_of_the_exchange_where_the_pair_is_quiet() -> None:
    desk = Desk(102, 1, 3, keep_seconds=60.0)
    desk.exchange = 64.0
    assert desk.look(3) == [False] * 3


def test_what_was_deleted_is_not_asked_for() -> None:
    desk = Desk(102, 1, 3, 100, 102)
    read = desk.store.coverage
    desk.store.coverage = lambda pair: read(pair)._replace(kept_from=BEGINNING + 100_000_000)  # type: ignore[method-assign]
    desk.look(3)
    assert desk.rest.asked == [(BTC, 100.0)]


def test_runs_that_are_apart_although_no_id_is_missing_are_nothing_to_ask_for() -> None:
    runs = (Run(0, 1, 5, BEGINNING, BEGINNING + 5), Run(0, 6, 9, BEGINNING + 6, BEGINNING + 9))
    assert missing_in(BTC, Coverage(runs, None, None)) == []
    later = runs[1]._replace(series=1)
    assert len(missing_in(BTC, Coverage((runs[0], later), None, None))) == 1


def test_a_hole_that_stays_whatever_is_recorded_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk(100, *range(1, 11), *range(12, 20))
    desk.refused = {11}
    assert desk.look(6) == [True, True, True, False, False, False]
    assert desk.meters.counted[HISTORY_GAP_SECONDS][""] == 2
    (told,) = caplog.messages
    assert told.startswith("BTC/USD: the trades between 10 and 12 (2.0 s) are not recorded")
    assert told.endswith("and what REST tells of them does not fit what is recorded")

    desk.clock.advance(HOPELESS_SECONDS)
    desk.refused = set()
    assert desk.look() == [True]
    assert desk.missing() == []


def test_a_trade_between_two_numberings_that_does_not_fit_is_not_asked_for_again_and_again() -> None:
    desk = Desk(40)
    desk.rest.lost = {1}
    runs = (
        Run(0, 900, 905, BEGINNING, BEGINNING + 1_000_000),
        Run(1, 3, 9, BEGINNING + 3_000_000, BEGINNING + 9_000_000),
    )
    desk.store.coverage = lambda pair: Coverage(runs if pair == BTC else (), None, None)  # type: ignore[method-assign]
    assert desk.look(6) == [True, True, True, False, False, False]


def test_a_hole_between_two_numberings_is_given_up_as_any_other() -> None:
    desk = Desk(40)
    desk.rest.lost = {1, 2}
    runs = (
        Run(0, 900, 905, BEGINNING, BEGINNING + 5_000_000),
        Run(1, 3, 9, BEGINNING + 13_000_000, BEGINNING + 19_000_000),
    )
    (hole,) = missing_in(BTC, Coverage(runs, None, None))
    assert (hole.renumbered, hole.after_id, hole.before_id) == (True, 905, 3)

    desk.store.coverage = lambda pair: Coverage(runs if pair == BTC else (), None, None)  # type: ignore[method-assign]
    assert desk.look(5) == [True, True, True, False, False]
    assert desk.meters.counted[HISTORY_GAP_SECONDS][""] == 8
