"""When silence proves that there was no trade, and what is known without ids."""

from decimal import Decimal

import msgspec
import pytest

from ltp_service.domain.tick import REST
from ltp_service.history.evidence import (
    MARGIN_SECONDS,
    RENUMBERED_AFTER,
    Told,
    View,
    evidence_until,
    newer,
    newest_of,
    observation,
    recorded,
    told_by,
)
from ltp_service.history.rows import Observation
from tests.fakes import BTC
from tests.history.fakes import BEGINNING, price, trade, view

TOLD = Told(7, BEGINNING, 1000.1)
PATIENCE = 30_000_000

SINCE = 1000.0
"""When the subscription of BTC began."""


def confirmed(**more: object) -> View:
    """Ten seconds after the trade 7, which is the last one by everything that is known."""
    return view(1010.0, price(7, confirmed_at=1010.0), **more)  # type: ignore[arg-type]


def test_a_feed_in_step_proves_that_nothing_followed_the_trade_that_it_told() -> None:
    assert evidence_until(BTC, TOLD, confirmed(), SINCE) == BEGINNING + round(1e6 * (10 - MARGIN_SECONDS))


@pytest.mark.parametrize(
    ("told", "seen"),
    [
        (None, confirmed()),  # no trade was told yet
        (TOLD, confirmed(since=None)),  # the trade channel is not subscribed, or not in step
        (TOLD, confirmed(since=1000.1)),  # what is proven is of a subscription before this one
        (
            TOLD._replace(trade_id=8),
            confirmed(),
        ),  # the price is of an earlier trade: the last one is held back
        (TOLD._replace(trade_id=6), confirmed()),  # the price is of a later trade, which REST told
        (TOLD, confirmed(doubted=[BTC])),
        (TOLD, confirmed(ahead=None)),  # the exchange's clock is not known
        (TOLD, view(1010.0)),  # there is no price
        (TOLD, view(1010.0, price(7, confirmed_at=1010.0, confirmed_by=REST))),
        (TOLD, view(1010.0, price(None, at=None, confirmed_at=1010.0))),  # a ticker told another price
        (TOLD, view(1000.5, price(7, confirmed_at=1000.5))),  # the margin reaches back before the trade
    ],
)
def test_silence_proves_nothing_when_a_trade_may_have_been_missed(told: Told | None, seen: View) -> None:
    assert evidence_until(BTC, told, seen, SINCE) is None


def test_silence_proves_nothing_before_it_is_proven_that_nothing_was_missed() -> None:
    assert evidence_until(BTC, TOLD, confirmed(), None) is None
    assert evidence_until(BTC, TOLD, confirmed(since=None), None) is None


def test_a_trade_that_is_stamped_ahead_of_the_clock_does_not_move_the_evidence() -> None:
    stamped = price(7, at=3.0, happened_at=1000.0, confirmed_at=1010.0)
    assert evidence_until(BTC, TOLD, view(1010.0, stamped), SINCE) == BEGINNING + 9_000_000


def test_a_higher_id_is_newer_and_so_is_a_lower_one_that_is_more_than_a_second_later() -> None:
    later = RENUMBERED_AFTER + 1
    assert newer(None, TOLD) == TOLD
    assert newer(TOLD, TOLD._replace(trade_id=8)).trade_id == 8
    assert newer(TOLD, TOLD._replace(trade_id=6)) == TOLD
    assert newer(TOLD, TOLD._replace(trade_id=6, traded_at=BEGINNING + RENUMBERED_AFTER)) == TOLD
    assert newer(TOLD, TOLD._replace(trade_id=6, traded_at=BEGINNING + later)).trade_id == 6


def test_the_newest_of_a_page_is_the_last_one_also_where_the_exchange_numbers_anew() -> None:
    rows = [row for row in map(recorded, (trade(8), trade(9, 0.5), trade(1, 3.0), trade(2, 2.9))) if row]
    assert newest_of(rows, 1005.0) == Told(2, BEGINNING + 2_900_000, 1005.0)
    assert newest_of(rows[:2], 1005.0) == Told(9, BEGINNING + 500_000, 1005.0)
    assert newest_of([], 1005.0) is None


def test_a_trade_that_is_told_again_counts_for_the_connection_that_told_it_last() -> None:
    assert newer(TOLD, TOLD._replace(received_at=1005.0)).received_at == 1005.0
    assert newer(TOLD, TOLD._replace(received_at=999.0)).received_at == 1000.1


def test_a_trade_keeps_its_digits_and_its_microseconds() -> None:
    row = recorded(trade(5, at=0.000001, price="115643.00000"))
    assert row is not None
    assert (row.trade_id, row.traded_at, str(row.price), str(row.quantity)) == (
        5,
        BEGINNING + 1,
        "115643.00000",
        "0.5",
    )


def test_a_trade_without_a_proper_id_is_not_recorded() -> None:
    assert [recorded(trade(number)) for number in (0, -1)] == [None, None]


def test_only_a_numbered_trade_of_the_feed_is_told_by_it() -> None:
    assert told_by(price(7).tick) == Told(7, BEGINNING, 1000.0)
    others = (price(7, source=REST), price(None), price(7, at=None))
    assert [told_by(each.tick) for each in others] == [None, None, None]


# Without ids.


def test_a_ticker_is_observed_from_its_arrival_until_its_last_confirmation() -> None:
    seen = observation(BTC, view(1010.0, price(None, at=None, confirmed_at=1009.0)), None, PATIENCE)
    assert seen is not None
    assert (str(seen.price), seen.observed_at, seen.evidence_until) == (
        "100.10",
        BEGINNING,
        BEGINNING + 9_000_000,
    )
    assert (seen.traded_at, seen.source) == (None, "kraken:websocket")


def test_a_price_from_a_cache_is_not_observed_before_it_was_seen() -> None:
    """What REST tells at 1002 counts as of 1000, because it may lie in a cache for two seconds, or as of 1002."""
    cached = price(None, at=None, source=REST, received_at=1000.0, confirmed_at=1000.0)
    seen = observation(BTC, view(1002.0, cached), None, PATIENCE)
    assert seen is not None
    assert seen.observed_at == seen.evidence_until == BEGINNING + 2_000_000

    late = msgspec.structs.replace(cached, confirmed_at=1098.0)
    again = observation(BTC, view(1100.0, late), seen, PATIENCE)
    assert again is not None
    assert again.observed_at == again.evidence_until == BEGINNING + 100_000_000


def test_what_was_confirmed_long_ago_is_not_observed_now() -> None:
    seen = view(1010.0 + PATIENCE / 1e6, price(None, at=None, confirmed_at=1009.0, source=REST))
    assert observation(BTC, seen, None, PATIENCE) is None
    other = Observation(Decimal(7), 1, 2, None, REST)
    assert observation(BTC, seen, other, PATIENCE) is None
    timed = seen._replace(prices={BTC: price(None, at=-5.0, confirmed_at=1009.0, source=REST)})
    assert observation(BTC, timed, other, PATIENCE) is not None, "its trade has a time"


def test_a_trade_without_an_id_is_observed_from_its_own_time() -> None:
    seen = observation(BTC, view(1010.0, price(None, at=-5.0, confirmed_at=1009.0)), None, PATIENCE)
    assert seen is not None
    assert seen.observed_at == seen.traded_at == BEGINNING - 5_000_000


def test_what_rest_told_is_observed_with_an_id_too() -> None:
    assert observation(BTC, view(1010.0, price(7, source=REST)), None, PATIENCE) is not None


@pytest.mark.parametrize(
    "seen",
    [
        view(1010.0),
        view(1010.0, price(None), doubted=[BTC]),
        view(1010.0, price(None), ahead=None),
        view(1010.0, price(7)),  # the feed numbers it, so it is recorded
    ],
)
def test_what_is_doubted_or_recorded_is_not_observed(seen: View) -> None:
    assert observation(BTC, seen, None, PATIENCE) is None


def test_the_same_price_goes_on_and_keeps_its_first_moment() -> None:
    before = Observation(price(None).tick.amount, BEGINNING + 3, BEGINNING + 5, None, "kraken:websocket")
    seen = observation(BTC, view(1010.0, price(None, at=None, confirmed_at=1009.0)), before, PATIENCE)
    assert seen is not None
    assert (seen.observed_at, seen.evidence_until) == (BEGINNING + 3, BEGINNING + 9_000_000)


def test_the_same_price_after_a_time_without_evidence_begins_anew() -> None:
    before = Observation(price(None).tick.amount, BEGINNING, BEGINNING + 5, None, "kraken:websocket")
    late = price(None, at=None, confirmed_at=1100.0)
    seen = observation(BTC, view(1100.0, late), before, PATIENCE)
    assert seen is not None
    assert seen.observed_at == seen.evidence_until == BEGINNING + 100_000_000

    dated = before._replace(traded_at=BEGINNING)
    seen = observation(BTC, view(1100.0, price(None, confirmed_at=1100.0)), dated, PATIENCE)
    assert seen is not None
    assert seen.observed_at == BEGINNING
