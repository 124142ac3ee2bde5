"""Which trades are held back, and for how long."""

from decimal import Decimal

import msgspec
import pytest

from ltp_service.domain.pairs import Pair
from ltp_service.domain.tick import REST
from ltp_service.prices.accept import merge
from ltp_service.prices.quarantine import Quarantine
from tests.fakes import BTC, tick


class Market:
    """A pair that trades at 100, and what other exchanges say."""

    def __init__(self, *witnesses: str) -> None:
        self.said = [Decimal(text) for text in witnesses]
        self.quarantine = Quarantine(0.05, self.witnesses)
        self.now = 1000.0
        self.trade("100.0")

    def witnesses(self, pair: Pair) -> list[Decimal]:
        return self.said

    def trade(self, price: str, after: float = 1.0, traded_at: float | None = None) -> bool:
        self.now += after
        told = tick(price, traded_at=traded_at or self.now, received_at=self.now)
        return self.quarantine.admit(told, self.now)


def nothing_served(_: Pair) -> None:
    """No price of any pair is served."""


def test_the_first_price_of_a_pair_passes() -> None:
    assert Market().trade("100.0")


@pytest.mark.parametrize("price", ["95.0", "105.0", "100.1"])
def test_a_usual_move_passes_at_once(price: str) -> None:
    assert Market().trade(price)


@pytest.mark.parametrize("price", ["94.9", "105.1", "1000.0", "10.0"])
def test_a_lone_leap_is_held(price: str) -> None:
    market = Market()

    assert not market.trade(price)
    held = market.quarantine.held(BTC)
    assert held
    assert held.price == price


def test_a_second_trade_confirms_the_leap() -> None:
    market = Market()
    market.trade("150.0")

    assert market.trade("151.0")
    assert market.quarantine.held(BTC) is None


def test_the_same_print_told_by_another_channel_is_no_second_trade() -> None:
    market = Market()
    market.trade("150.0", traded_at=5000.0)

    assert not market.trade("150.0", traded_at=5000.0)


def test_a_return_to_the_old_price_forgets_the_leap() -> None:
    market = Market()
    market.trade("150.0")

    assert market.trade("100.1")
    assert market.quarantine.due(market.now + 10, nothing_served) == []


def test_after_two_seconds_without_contradiction_the_leap_is_due() -> None:
    market = Market()
    market.trade("150.0")

    assert market.quarantine.due(market.now + 1.9, nothing_served) == []
    assert [held.price for held in market.quarantine.due(market.now + 2.0, nothing_served)] == ["150.0"]


def test_what_was_served_after_its_time_is_the_new_measure() -> None:
    market = Market()
    market.trade("150.0")
    (held,) = market.quarantine.due(market.now + 2.0, nothing_served)
    market.quarantine.learn(held, market.now + 2.0)

    assert market.trade("152.0", after=3.0)


def test_a_move_that_another_exchange_shares_passes_at_once() -> None:
    assert Market("149.0").trade("150.0")


def test_witnesses_that_disagree_too_do_not_help() -> None:
    assert not Market("100.0", "99.0").trade("150.0")


def test_a_slow_climb_is_no_leap() -> None:
    market = Market()
    price = Decimal(100)
    for _ in range(50):
        price *= Decimal("1.03")
        assert market.trade(str(price), after=20.0)


def test_the_measure_is_the_last_minute_and_not_the_last_hour() -> None:
    market = Market()
    market.trade("104.0")
    for _ in range(8):
        market.trade("104.0", after=15.0)

    assert market.trade("109.0")
    assert not market.trade("94.0", after=0.1)


def test_the_channel_that_knows_the_time_completes_the_held_print() -> None:
    market = Market()
    market.quarantine.admit(tick("150.0"), market.now)
    market.quarantine.admit(tick("150.0", traded_at=5000.0, trade_id=7), market.now)

    held = market.quarantine.held(BTC)
    assert held
    assert (held.traded_at, held.trade_id) == (5000.0, 7)


def test_a_connection_that_ends_takes_what_it_held_with_it() -> None:
    market = Market()
    market.trade("150.0")
    market.quarantine.forget()

    assert market.quarantine.due(market.now + 60, nothing_served) == []


@pytest.mark.parametrize(("later", "counts"), [(40.0, True), (60.0, False)])
def test_a_price_counts_for_the_last_minute(later: float, counts: bool) -> None:
    market = Market()
    market.trade("104.0", after=4.0)
    market.trade("104.0", after=later)

    assert market.trade("95.5", after=0.1) is counts


def test_another_exchanges_price_is_the_measure_of_how_near_is_near() -> None:
    assert Market("142.0").trade("149.1")
    assert not Market("142.0").trade("149.2")


def test_a_ticker_never_takes_the_place_of_a_held_trade() -> None:
    market = Market()
    market.quarantine.admit(tick("150.0", traded_at=5000.0), market.now)
    assert not market.quarantine.admit(tick("150.0"), market.now)

    assert market.quarantine.admit(tick("150.0", traded_at=5000.002), market.now)


@pytest.mark.parametrize(
    ("price", "told_at", "forgets"),
    [
        ("100.1", None, True),
        ("100.0", None, False),
        ("100.1", 4999.0, False),
        ("100.0", 5001.0, True),
    ],
)
def test_a_leap_that_has_a_time_is_forgotten_when_a_ticker_tells_what_came_after_it(
    price: str, told_at: float | None, forgets: bool
) -> None:
    market = Market()
    market.quarantine.admit(tick("150.0", traded_at=5000.0, received_at=market.now), market.now)
    near = msgspec.structs.replace(tick(price, received_at=market.now + 1), told_at=told_at)

    assert market.quarantine.admit(near, market.now + 1)
    assert (market.quarantine.held(BTC) is None) is forgets


def test_of_a_sweep_the_last_trade_is_held() -> None:
    market = Market()
    for number, price in ((7, "150.0"), (8, "151.0"), (6, "149.0")):
        assert not market.quarantine.admit(tick(price, traded_at=5000.0, trade_id=number), market.now)

    held = market.quarantine.held(BTC)
    assert held
    assert (held.price, held.trade_id) == ("151.0", 8)


def test_a_trade_from_before_the_held_one_does_not_speak_against_it() -> None:
    market = Market()
    market.quarantine.admit(tick("150.0", traded_at=5000.0), market.now)

    assert market.quarantine.admit(tick("100.1", traded_at=4999.9), market.now)
    assert market.quarantine.held(BTC)
    assert market.quarantine.admit(tick("100.1", traded_at=5000.1), market.now)
    assert market.quarantine.held(BTC) is None


def test_trades_told_together_confirm_each_other() -> None:
    market = Market()

    assert not market.quarantine.admit(tick("150.0", traded_at=5000.0), market.now, [Decimal("100.0")])
    assert Market().quarantine.admit(tick("150.0", traded_at=5000.0), market.now, [Decimal("151.0")])


@pytest.mark.parametrize(("served", "is_alone"), [("149.0", False), ("140.0", True)])
def test_a_leap_is_no_lone_one_where_the_served_price_is_near(served: str, is_alone: bool) -> None:
    market = Market()
    told = merge(None, tick(served, source=REST), "newer")
    market.trade("150.0")

    assert (market.quarantine.due(market.now, {BTC: told}.get) == []) is is_alone
    assert Market().quarantine.admit(tick("150.0"), market.now, served=told) is not is_alone
