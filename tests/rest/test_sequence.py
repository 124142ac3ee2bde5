"""REST's answers in the order in which they happened, whatever cache each one comes from."""

from decimal import Decimal

import msgspec
import pytest

from ltp_service.domain.tick import REST, Price, Tick
from ltp_service.prices.accept import merge
from ltp_service.rest.sequence import (
    DATED_NEWER_SECONDS,
    LONGEST_CACHE_SECONDS,
    NO_DETAIL,
    Detail,
    NewestTrades,
    Progress,
    Row,
    Sequence,
)
from tests.fakes import NOON, tick

NOW = 1000.0


def told(price: str, at: float = NOW) -> Tick:
    """What Ticker tells."""
    return tick(price, source=REST, received_at=at)


def day(trades: int, volume: str, last: str = "1") -> Detail:
    return Detail(Decimal(last), Progress(trades, Decimal(volume)))


def held(tick: Tick) -> Price:
    return merge(None, tick, "newer")


def trades(*rows: tuple[str, str], at: float = NOW, happened_at: float | None = None) -> NewestTrades:
    newest = tick(
        rows[-1][0], source=REST, traded_at=NOON, trade_id=9, received_at=at, happened_at=happened_at
    )
    return NewestTrades(newest, [Row(Decimal(price), Decimal(volume)) for price, volume in rows])


@pytest.fixture
def sequence() -> Sequence:
    """100 is held, as Ticker told it when the day had 7 trades."""
    sequence = Sequence()
    sequence.apply(told("100"), NOW, day(7, "70", last="2"))
    return sequence


HELD = held(told("100"))


def test_the_first_price_is_news(sequence: Sequence) -> None:
    assert sequence.order(None, told("100"), NOW, NO_DETAIL) == "newer"


@pytest.mark.parametrize(
    ("price", "detail", "order"),
    [
        ("101", day(8, "71"), "newer"),
        ("100", day(8, "71"), "newer"),
        ("101", day(7, "71"), "newer"),
        ("99", day(6, "69"), "older"),
        ("100", day(6, "69"), "older"),
        ("100", day(7, "70"), "same"),
        ("99", day(7, "70"), "unknown"),
        ("99", day(8, "69"), "unknown"),
        ("99", NO_DETAIL, "unknown"),
        ("100", NO_DETAIL, "same"),
    ],
)
def test_the_days_trades_only_grow(sequence: Sequence, price: str, detail: Detail, order: str) -> None:
    assert sequence.order(HELD, told(price, NOW + 2), NOW + 2, detail) == order


def test_how_far_the_day_had_come_counts_for_the_price_held_alone(sequence: Sequence) -> None:
    fed = held(tick("102", traded_at=NOON, trade_id=8, received_at=NOW + 1))
    assert sequence.order(fed, told("101", NOW + 2), NOW + 2, day(8, "71")) == "unknown"


def test_after_twenty_seconds_an_answer_is_newer_and_one_that_knows_fewer_trades_is_left_to_trades(
    sequence: Sequence,
) -> None:
    before, after = NOW + LONGEST_CACHE_SECONDS - 0.1, NOW + LONGEST_CACHE_SECONDS
    assert sequence.order(HELD, told("99", before), before, day(1, "1")) == "older"
    assert sequence.order(HELD, told("99", after), after, NO_DETAIL) == "newer"  # no cache keeps one longer
    assert sequence.order(HELD, told("99", after), after, day(8, "69")) == "newer"
    assert sequence.order(HELD, told("99", after), after, day(1, "1")) == "unknown"  # midnight or lag
    assert sequence.order(HELD, told("100", after), after, day(1, "1")) == "same"


def test_an_answer_that_tells_its_age_is_ordered_by_it(sequence: Sequence) -> None:
    dated = NO_DETAIL._replace(dated=True)
    before, after = NOW + DATED_NEWER_SECONDS - 0.1, NOW + DATED_NEWER_SECONDS
    assert sequence.order(HELD, told("101", before), before + 5, dated) == "unknown"
    assert sequence.order(HELD, told("101", after), after + 5, dated) == "newer"


def test_an_answer_that_is_young_and_knows_fewer_trades_orders_nothing(sequence: Sequence) -> None:
    later = NOW + DATED_NEWER_SECONDS
    assert sequence.order(HELD, told("99", later), later, day(6, "69")._replace(dated=True)) == "unknown"
    assert sequence.order(HELD, told("99", later), later, day(7, "70")._replace(dated=True)) == "newer"


def test_what_ticker_told_is_found_among_the_newest_trades_and_counts_from_there(sequence: Sequence) -> None:
    sequence.order(HELD, told("101", NOW + 2), NOW + 2, day(20, "200", last="0.5"))
    found = trades(("100", "2"), ("101", "0.5"), ("102", "3"), ("103", "4"))
    sequence.apply_trades(found, NOW + 3)
    now_held = held(found.newest)

    assert sequence.order(now_held, told("102", NOW + 4), NOW + 4, day(21, "203")) == "older"
    assert sequence.order(now_held, told("104", NOW + 4), NOW + 4, day(23, "208")) == "newer"


def test_where_ticker_lags_the_day_counts_from_the_trade_that_was_held_before(sequence: Sequence) -> None:
    sequence.order(HELD, told("99", NOW + 2), NOW + 2, day(6, "68"))
    for found in (trades(("100", "2")), trades(("100", "2"), ("101", "3"))):
        sequence.apply_trades(found, NOW + 3)
        assert sequence.order(held(found.newest), told("99", NOW + 4), NOW + 4, day(6, "68")) == "older"
    assert sequence.order(held(found.newest), told("101", NOW + 4), NOW + 4, day(8, "73")) == "same"
    assert sequence.order(held(found.newest), told("102", NOW + 4), NOW + 4, day(9, "74")) == "newer"


@pytest.mark.parametrize(
    "rows", [(("101", "0.5"), ("101", "0.5")), (("101", "0.7"),), (("100", "0.5"), ("102", "1"))]
)
def test_a_trade_twice_or_never_orders_nothing(sequence: Sequence, rows: tuple[tuple[str, str], ...]) -> None:
    sequence.order(HELD, told("101", NOW + 2), NOW + 2, day(20, "200", last="0.5"))
    found = trades(*rows)
    sequence.apply_trades(found, NOW + 3)

    assert sequence.order(held(found.newest), told("99", NOW + 4), NOW + 4, day(90, "900")) == "unknown"


def test_trades_that_do_not_know_what_ticker_told_may_be_older(sequence: Sequence) -> None:
    assert sequence.is_overtaken(HELD, trades(("98", "1"), ("99", "1")))
    assert not sequence.is_overtaken(HELD, trades(("100", "2"), ("99", "1")))
    assert sequence.is_overtaken(HELD, trades(("100", "1"), ("99", "1")))  # another one at that price


def test_a_trade_after_ticker_answered_is_newer_for_sure(sequence: Sequence) -> None:
    assert sequence.is_overtaken(HELD, trades(("99", "1"), happened_at=NOW))
    assert not sequence.is_overtaken(HELD, trades(("99", "1"), happened_at=NOW + 0.1))


def test_trades_asked_for_long_after_are_newer_for_sure(sequence: Sequence) -> None:
    assert not sequence.is_overtaken(HELD, trades(("99", "1"), at=NOW + LONGEST_CACHE_SECONDS))


def test_without_a_volume_the_same_price_is_the_same_trade() -> None:
    sequence = Sequence()
    sequence.apply(told("100"), NOW, NO_DETAIL)
    assert not sequence.is_overtaken(HELD, trades(("100", "1")))
    assert sequence.is_overtaken(HELD, trades(("99", "1")))


def test_where_a_time_is_known_it_decides(sequence: Sequence) -> None:
    timed = held(msgspec.structs.replace(told("100"), traded_at=NOON, trade_id=8))
    assert not sequence.is_overtaken(None, trades(("99", "1")))
    assert not sequence.is_overtaken(timed, trades(("99", "1")))
    assert not sequence.is_overtaken(held(tick("100")), trades(("99", "1")))


def test_what_another_process_holds_may_be_newer_than_any_answer(sequence: Sequence) -> None:
    assert sequence.is_overtaken(held(told("105", NOW + 1)), trades(("100", "2"), ("99", "1")))
