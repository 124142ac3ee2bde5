"""ltp_service.prices.witness"""

from decimal import Decimal

import msgspec
import pytest

from ltp_service.collected.trades import TradeStore
from ltp_service.domain.pairs import Pair
from ltp_service.domain.trade import Trade
from ltp_service.prices.freshness import FRESH_SECONDS
from ltp_service.prices.witness import Witness, Witnesses
from tests.fakes import NOON, FakeClock, runtime

PAIR = Pair("BTC", "USDT")


def trade(exchange: str, price: str, symbol: str = "BTCUSDT") -> Trade:
    return Trade(exchange, symbol, "buy", Decimal(price), Decimal(1), NOON, price, NOON, "")


@pytest.fixture
def store(clock: FakeClock) -> TradeStore:
    return TradeStore(runtime(clock))


def test_each_collected_exchange_is_a_witness(store: TradeStore, clock: FakeClock) -> None:
    for each in (trade("coinville", "7"), trade("bybit", "8", "ETHUSDT"), trade("binance", "9")):
        store.put(each)
    clock.advance(3)

    assert Witnesses(["bybit", "binance", "coinville"], store.last, store.age).of(PAIR) == [
        Witness("binance", Decimal(9), 3.0),
        Witness("coinville", Decimal(7), 3.0),
    ]


def test_only_what_is_fresh_speaks_of_now(store: TradeStore, clock: FakeClock) -> None:
    store.put(trade("bybit", "8"))
    witnesses = Witnesses(["bybit"], store.last, store.age)
    clock.advance(FRESH_SECONDS)
    assert witnesses.fresh_prices(PAIR) == [Decimal(8)]
    clock.advance(0.1)
    assert witnesses.fresh_prices(PAIR) == []


@pytest.mark.parametrize("step", [-3600.0, 3600.0])
def test_the_wall_clock_makes_no_witness_younger_or_older(
    store: TradeStore, clock: FakeClock, step: float
) -> None:
    store.put(trade("bybit", "8"))
    clock.set_wall(NOON + step)
    clock.advance(FRESH_SECONDS + 1)

    assert Witnesses(["bybit"], store.last, store.age).of(PAIR)[0].age == FRESH_SECONDS + 1


def test_a_source_that_resumes_with_old_trades_does_not_speak_of_now(
    store: TradeStore, clock: FakeClock
) -> None:
    store.put(trade("bybit", "8"))
    clock.advance(300)
    store.put(msgspec.structs.replace(trade("bybit", "9"), timestamp=NOON + 60))
    witnesses = Witnesses(["bybit"], store.last, store.age)

    assert [each.price for each in witnesses.of(PAIR)] == [Decimal(9)]
    assert witnesses.fresh_prices(PAIR) == []


@pytest.mark.parametrize(
    ("theirs", "ours", "points"),
    [("101", "100", "100.0"), ("99", "100", "-100.0"), ("100", "100", "0"), ("99.9999999", "100", "0")],
)
def test_the_divergence_is_in_basis_points_of_our_price(theirs: str, ours: str, points: str) -> None:
    assert str(Witness("bybit", Decimal(theirs), 0.0).divergence(Decimal(ours))) == points


def test_prices_that_are_worlds_apart_diverge_by_a_number_all_the_same() -> None:
    apart = Witness("bybit", Decimal(999999999999999), 0.0).divergence(Decimal("0.000000000000000001"))

    assert apart > Decimal(10) ** 30
