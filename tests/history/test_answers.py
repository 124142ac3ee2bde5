"""ltp_service.history.answers, with the questions that feed it"""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltp_service.history.answers import (
    MINUTES,
    Gap,
    Hole,
    Interval,
    PriceThen,
    Span,
    Told,
    Unknown,
    Window,
    page,
    price_then,
    span,
    vwap,
)
from ltp_service.history.contract import CANDLE_MINUTES
from ltp_service.history.export import every_row
from ltp_service.history.questions import ask_candles, ask_trades
from ltp_service.history.rows import Around, Coverage, Observation, RecordedTrade, Run
from tests.fakes import BTC
from tests.history.plain import candle_of
from tests.history.plain_history import HOUR, MINUTE, SECOND, T0, PlainHistory, trade

PATIENCE = 30 * SECOND
FAR = T0 + 1000 * HOUR


def at(history: PlainHistory, seconds: float) -> PriceThen | Hole | Unknown:
    moment = T0 + round(seconds * SECOND)
    return price_then(moment, history.around(BTC, moment), PATIENCE)


def of(*ids_and_seconds: tuple[int, float]) -> list[RecordedTrade]:
    return [trade(number, T0 + round(s * SECOND), f"{number}.10") for number, s in ids_and_seconds]


def seen(price: str, since: float, until: float) -> Observation:
    return Observation(Decimal(price), T0 + round(since * SECOND), T0 + round(until * SECOND), None, "rest")


# The price at a moment.


def test_two_consecutive_ids_around_a_moment_are_the_proof() -> None:
    history = PlainHistory(of((1, -9), (2, 0), (3, 10), (4, 11)))

    assert (
        at(history, 0)
        == at(history, 9.999999)
        == PriceThen(Decimal("2.10"), "exact", T0, 2, 3, T0 + 10 * SECOND)
    )


def test_evidence_proves_what_no_next_trade_can() -> None:
    history = PlainHistory(of((1, 0), (2, 10)), evidence_until=T0 + 20 * SECOND)

    assert at(history, 20) == PriceThen(Decimal("2.10"), "exact", T0 + 10 * SECOND, 2, None, T0 + 20 * SECOND)
    assert at(history, 20.000001) == Hole(history.recorded[1], None)


def test_two_ids_that_follow_one_another_prove_what_was_between_them() -> None:
    history = PlainHistory(of((1, 0), (2, 0.5), (4, 10), (5, 10.5)))

    assert [at(history, seconds) for seconds in (0, 10)] == [
        PriceThen(Decimal("1.10"), "exact", T0, 1, 2, T0 + SECOND // 2),
        PriceThen(Decimal("4.10"), "exact", T0 + 10 * SECOND, 4, 5, T0 + 10 * SECOND + SECOND // 2),
    ]
    assert [at(history, seconds) for seconds in (0.5, 9.999999)] == [Hole(*history.recorded[1:3])] * 2


def test_a_missing_id_is_a_hole_with_both_edges_whatever_was_observed() -> None:
    history = PlainHistory(of((1, 0), (3, 10)), observation=seen("1.10", 0, 10))

    for seconds in (0, 5, 9.999999):
        assert at(history, seconds) == Hole(*history.recorded)
    assert isinstance(at(history, 10), Hole)


def test_without_evidence_the_newest_trade_is_not_the_last_one_even_at_its_own_moment() -> None:
    assert at(PlainHistory(of((1, 0))), 0) == Hole(trade(1, T0, "1.10"), None)


def test_the_evidence_belongs_to_the_newest_run_only() -> None:
    history = PlainHistory(of((1, 0), (3, 10), (4, 11)), evidence_until=T0 + 20 * SECOND)

    assert isinstance(at(history, 5), Hole)
    assert isinstance(at(history, 15), PriceThen)
    # A trade of the older run may have the latest time.
    late = history.recorded[0]._replace(traded_at=T0 + 11 * SECOND)
    runs = (Run(0, 1, 1, T0, late.traded_at), Run(0, 3, 3, T0 + 10 * SECOND, T0 + 10 * SECOND))
    around = Around(late, None, Coverage(runs, T0 + 20 * SECOND, None), None)
    assert price_then(T0 + 15 * SECOND, around, PATIENCE) == Hole(late, None)


def test_what_was_observed_is_told_as_such_before_the_record_and_after_it() -> None:
    observed = seen("7.5", 100, 110)
    told = PriceThen(Decimal("7.5"), "observed", None, None, None, observed.evidence_until)

    for record in ([], of((1, 0)), of((1, 500))):
        history = PlainHistory(record, observation=observed)
        assert at(history, 100) == at(history, 140) == told
        assert isinstance(at(history, 99), Hole if record[:1] == of((1, 0)) else Unknown)
        assert isinstance(at(history, 140.000001), Hole if record[:1] == of((1, 0)) else Unknown)


def test_a_later_trade_ends_what_was_observed_before() -> None:
    assert isinstance(at(PlainHistory(of((2, 105)), observation=seen("1.10", 90, 104)), 120), Hole)
    assert isinstance(at(PlainHistory(of((2, 105)), observation=seen("1.10", 90, 118)), 120), Hole)
    same = at(PlainHistory(of((2, 105)), observation=seen("2.10", 90, 118)), 120)
    assert isinstance(same, PriceThen)
    assert same.proof == "observed"


def test_what_was_deleted_is_not_known() -> None:
    seen_then = seen("1.10", 3, 8)
    history = PlainHistory(
        of((1, 0), (2, 10), (3, 20), (4, 30)), kept_from=T0 + 5 * SECOND, observation=seen_then
    )

    assert at(history, 4) == Unknown(T0 + 5 * SECOND)
    history.observation = None
    assert at(history, 7) == Unknown(T0 + 5 * SECOND), "the trade before it was deleted"
    assert isinstance(at(history, 15), PriceThen)


def test_an_empty_page_that_ends_before_the_record_says_that_nothing_is_known_of_it() -> None:
    coverage = Coverage((Run(0, 5, 6, T0, T0 + 10 * SECOND),), None, None)

    ended = Window(None, None, T0 - SECOND, T0 - SECOND)
    assert page(ended, [], coverage, more=False) == [Gap(None, 5, None, T0)]


def test_two_series_with_the_same_ids_have_a_hole_between_them() -> None:
    trades = of((1, 0), (2, 10)), of((1, 100), (2, 110))
    runs = tuple(Run(s, 1, 2, part[0].traded_at, part[1].traded_at) for s, part in enumerate(trades))
    rows = page(
        Window(None, None, FAR, T0),
        [*trades[0], *trades[1]],
        Coverage(runs, None, None),
        more=False,
    )

    assert rows == [*trades[0], Gap(2, 1, T0 + 10 * SECOND, T0 + 100 * SECOND), *trades[1]]


# Candles.


def told(history: PlainHistory, interval: Interval, start: float, end: float, now: int = FAR) -> list[Told]:
    begin, stop = (T0 + round(minutes * MINUTE) for minutes in (start, end))
    return ask_candles(history, BTC, MINUTES[interval], begin, stop, 1000, now).candles


def test_every_interval_appears_and_none_is_filled_from_the_one_before() -> None:
    history = PlainHistory(of((1, 30), (2, 130), (4, 190), (5, 310)), evidence_until=T0 + 400 * SECOND)
    found = told(history, "1m", -1, 7)

    assert [each.covered for each in found] == (
        "unknown partial empty partial partial empty complete unknown".split()
    )
    assert [each.start for each in found] == [T0 + number * MINUTE for number in range(-1, 7)]
    assert [each.candle.trades if each.candle else 0 for each in found] == [0, 1, 0, 1, 1, 0, 1, 0]


def test_a_candle_is_complete_when_one_run_goes_on_from_before_it_to_its_end() -> None:
    history = PlainHistory(of((1, -1.000001), (2, 30), (3, 61)))

    assert [each.covered for each in told(history, "1m", 0, 1)] == ["complete"]
    history = PlainHistory(of((2, -1), (3, 61)))
    assert [each.covered for each in told(history, "1m", 0, 1)] == ["unknown"], "one may be a second late"
    history = PlainHistory(of((1, -9), (2, 30), (3, 60.999999)))
    assert [each.covered for each in told(history, "1m", 0, 1)] == ["partial"], "one may be a second early"
    history = PlainHistory(of((1, -9), (2, 30)), evidence_until=T0 + 59_999_999)
    assert [each.covered for each in told(history, "1m", 0, 1)] == ["partial"]


def test_the_interval_that_is_not_over_says_so() -> None:
    history = PlainHistory(of((1, -1), (2, 30)), evidence_until=T0 + 50 * SECOND)
    found = told(history, "1m", -1, 1, now=T0 + 52 * SECOND)

    assert [(each.covered, each.open_ended) for each in found] == [("partial", False), ("partial", True)]


def test_a_page_of_candles_is_the_first_ones_from_start_or_the_last_ones_without_it() -> None:
    assert span(1, T0 + 30 * SECOND, T0 + 5 * MINUTE, 3) == (Span(1, T0, T0 + 3 * MINUTE), True)
    assert span(1, T0, T0 + 2 * MINUTE + 1, 3) == (Span(1, T0, T0 + 3 * MINUTE), False)
    assert span(1, None, T0 + 1, 3) == (Span(1, T0 - 2 * MINUTE, T0 + MINUTE), False)
    assert span(1, T0, T0, 3) == (Span(1, T0, T0), False)


@pytest.mark.parametrize(("minutes", "stored"), [(1, 1), (5, 1), (15, 1), (60, 60), (240, 60), (1440, 1440)])
def test_longer_candles_are_put_together_from_stored_ones(minutes: int, stored: int) -> None:
    assert Span(minutes, 0, 0).stored_minutes == stored
    assert stored in CANDLE_MINUTES


def test_a_vwap_has_two_more_places_than_the_prices() -> None:
    trades = [trade(1, T0, "0.00000012", "1"), trade(2, T0, "0.00000013", "2")]
    assert vwap(candle_of(trades, T0)) == Decimal("0.0000001267")
    assert str(vwap(candle_of([trade(1, T0, "115643.00000", "3")], T0))) == "115643.0000000"


# Against a plain tape.

TAPE = [trade(n, T0 + n // 3 * 7 * SECOND, f"{n}.5") for n in range(1, 60)]
SUBSETS = st.sets(st.sampled_from(TAPE), min_size=1)


@given(SUBSETS, st.integers(-5, 150), st.integers(0, 60))
def test_an_exact_price_is_that_of_the_whole_tape(
    known: set[RecordedTrade], seconds: int, after: int
) -> None:
    last = max(known, key=lambda each: each.trade_id)
    following = [each.traded_at - 1 for each in TAPE if each.trade_id > last.trade_id]
    until = min([last.traded_at + after * SECOND, *following])
    history = PlainHistory(list(known), evidence_until=until)
    answer = at(history, seconds)

    if isinstance(answer, PriceThen):
        truth = [each for each in TAPE if each.traded_at <= T0 + seconds * SECOND][-1]
        assert (answer.price, answer.trade_id) == (truth.price, truth.trade_id)
    elif isinstance(answer, Hole):
        assert answer.before in known
        assert answer.after in known or answer.after is None


_SHORT: list[Interval] = ["1m", "5m"]


@given(SUBSETS, st.sampled_from(_SHORT))
def test_no_candle_is_complete_with_a_trade_missing(known: set[RecordedTrade], interval: Interval) -> None:
    for each in told(PlainHistory(list(known)), interval, -1, 5):
        length = MINUTES[interval] * MINUTE
        truth = [t for t in TAPE if each.start <= t.traded_at < each.start + length]
        if each.covered in ("complete", "empty"):
            assert each.candle == (candle_of(truth, each.start) if truth else None)
        assert (each.candle is None) == (each.covered in ("empty", "unknown"))


@given(SUBSETS, st.integers(1, 9), st.none() | st.integers(-5, 150), st.none() | st.integers(0, 60))
def test_every_trade_of_the_tape_is_told_or_lies_in_a_gap(
    known: set[RecordedTrade], limit: int, start: int | None, after: int | None
) -> None:
    history = PlainHistory(list(known))
    begin = None if start is None else T0 + start * SECOND
    asked = Window(begin, after, FAR, FAR)
    rows = list(every_row(lambda window: ask_trades(history, BTC, window, limit), asked))
    trades = [row for row in rows if isinstance(row, RecordedTrade)]
    missing = [
        each.trade_id
        for each in TAPE
        if each.traded_at >= (begin or min(known, key=lambda t: t.traded_at).traded_at)
        and (after is None or each.trade_id > after)
        and each not in trades
    ]
    if start is None and after is None:
        missing = [number for number in missing if number > min(t.trade_id for t in known)]

    assert len(trades) == len(set(trades))
    assert trades == sorted(trades, key=lambda each: (each.traded_at, each.trade_id))
    gaps = [row for row in rows if isinstance(row, Gap)]
    for number in missing:
        assert any((g.after_trade_id or 0) < number < (g.before_trade_id or 10**9) for g in gaps), number
    for row in trades:
        assert not any((g.after_trade_id or 0) < row.trade_id < (g.before_trade_id or 10**9) for g in gaps)


# Pages.


def rows_of(history: PlainHistory, limit: int = 100, **asked: int | None) -> list[RecordedTrade | Gap]:
    window = Window(**{"start": None, "after_trade_id": None, "end": FAR, "expected_until": T0, **asked})  # type: ignore[arg-type]
    return ask_trades(history, BTC, window, limit).rows


def test_gaps_stand_where_the_trades_are_missing() -> None:
    history = PlainHistory(of((1, 0), (2, 10), (5, 20), (6, 30)), evidence_until=T0 + 40 * SECOND)
    a, b, c, d = history.recorded
    between = Gap(2, 5, b.traded_at, c.traded_at)

    assert rows_of(history) == [a, b, between, c, d]
    assert rows_of(history, after_trade_id=2) == [between, c, d]
    assert rows_of(history, after_trade_id=3) == [Gap(3, 5, b.traded_at, c.traded_at), c, d]
    assert rows_of(history, after_trade_id=4) == [c, d]
    assert rows_of(history, limit=2) == [a, b]
    assert rows_of(history, end=c.traded_at, expected_until=c.traded_at) == [a, b, between]
    assert rows_of(history, start=T0 - 1, end=b.traded_at) == [Gap(None, 1, None, T0), a]
    assert rows_of(history, start=T0 + 15 * SECOND) == [between, c, d]


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_each_of_several_gaps_at_one_microsecond_is_told(limit: int) -> None:
    history = PlainHistory(of((55, 0), (57, 10), (59, 10), (61, 10), (63, 10), (65, 10), (66, 11)))
    asked = Window(None, None, FAR, T0)
    rows = list(every_row(lambda window: ask_trades(history, BTC, window, limit), asked))

    told = [row.trade_id if isinstance(row, RecordedTrade) else row[:2] for row in rows]
    assert told == [55, (55, 57), 57, (57, 59), 59, (59, 61), 61, (61, 63), 63, (63, 65), 65, 66]


def test_a_trade_that_came_after_the_coverage_was_read_is_told_with_its_gap() -> None:
    known, new = of((1, 0), (2, 10)), of((3, 20), (5, 30), (6, 40))
    coverage = Coverage((Run(0, 1, 2, known[0].traded_at, known[1].traded_at),), None, None)
    asked = Window(None, None, FAR, T0)

    gap = Gap(3, 5, new[0].traded_at, new[1].traded_at)
    assert page(asked, [*known, *new], coverage, more=True) == [*known, new[0], gap, *new[1:]]
    gap = Gap(2, 5, known[1].traded_at, new[1].traded_at)
    assert page(asked._replace(start=T0 + 25 * SECOND), new[1:], coverage, more=True) == [gap, *new[1:]]


def test_what_is_missing_at_the_end_is_told_as_far_as_it_is_expected() -> None:
    history = PlainHistory(of((1, 0), (2, 10)), evidence_until=T0 + 40 * SECOND)

    assert rows_of(history, expected_until=T0 + 40 * SECOND) == history.recorded
    end = Gap(2, None, T0 + 40 * SECOND, None)
    assert rows_of(history, expected_until=T0 + 41 * SECOND) == [*history.recorded, end]
    assert rows_of(PlainHistory(), start=T0) == [Gap(None, None, T0, None)]


def test_deleted_trades_are_a_gap_where_they_were_asked_for() -> None:
    history = PlainHistory(of((1, 0), (2, 10), (3, 20), (4, 30)), kept_from=T0 + 15 * SECOND)
    kept = history.recorded[2:]

    assert rows_of(history) == kept
    for start in (T0, T0 + 15 * SECOND - 1):
        assert rows_of(history, start=start) == [Gap(None, 3, None, T0 + 15 * SECOND), *kept]
    assert rows_of(history, start=T0 + 15 * SECOND) == kept
    assert rows_of(history, after_trade_id=1) == [Gap(1, 3, None, T0 + 15 * SECOND), *kept]
    assert rows_of(history, after_trade_id=2) == kept
    assert rows_of(history, after_trade_id=3) == kept[1:]
    early = T0 + 12 * SECOND
    assert rows_of(history, after_trade_id=1, end=early, expected_until=early) == [
        Gap(1, None, None, T0 + 15 * SECOND)
    ]


def test_a_next_page_goes_on_amid_trades_of_one_moment() -> None:
    history = PlainHistory(of(*((number, 0) for number in range(1, 200)), (200, 5)))
    rows = list(every_row(lambda window: ask_trades(history, BTC, window, 2), Window(None, None, FAR, T0)))

    assert rows == history.recorded
