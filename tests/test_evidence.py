"""What counts as evidence for a price: the price half of the service, whole, against the exchange's faults over real
sockets. Exact moments are held by the unit tests of each part.
"""

from collections.abc import Callable
from typing import Self

import pytest

from ltp_service.assembly.prices import wire_prices
from ltp_service.domain.decimals import plain
from ltp_service.domain.pairs import Pair
from ltp_service.domain.tick import REST, WEBSOCKET
from ltp_service.prices.quotes import Quote
from ltp_service.runtime.runners import CollectorManager
from ltp_service.runtime.runtime import Runtime
from ltp_service.settings.config import Config
from tests.deadline import DEADLINE
from tests.fakes import BTC, ETH, eventually
from tests.simulator.client import Simulator

PROVEN = ("live", "quiet")


@pytest.fixture(params=["v1", "v2"])
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def early_listings(monkeypatch: pytest.MonkeyPatch) -> None:
    """REST is asked for its list two seconds after the start and not five, when the test has begun its fault."""
    monkeypatch.setattr("ltp_service.rest.poll.FIRST_LISTINGS_AFTER_SECONDS", 2.0)


class Prices:
    """Feed, fallback and quotes of one process, at work."""

    def __init__(self, exchange: Simulator, protocol: str) -> None:
        url = exchange.v1_url if protocol == "v1" else exchange.v2_url
        config = Config(
            kraken_websocket_url=url,
            kraken_rest_url=exchange.rest_url,
            kraken_reconnect_delay=0.01,
            supported_pairs=(BTC, ETH),
        )
        runtime = Runtime()
        self._exchange = exchange
        self._clock = runtime.clock
        self._parts = wire_prices(config, runtime)
        self._manager = CollectorManager(self._parts.runners)

    def __enter__(self) -> Self:
        self._manager.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._manager.stop(DEADLINE)

    def quote(self, pair: Pair = BTC) -> Quote:
        (quote,) = self._parts.quotes.look([pair])
        return quote

    def state(self, pair: Pair = BTC) -> str:
        return self.quote(pair).verdict.state

    def price(self, pair: Pair = BTC) -> str | None:
        held = self.quote(pair).price
        return None if held is None else plain(held.tick.amount)

    def confirmed_by(self, pair: Pair = BTC) -> str | None:
        held = self.quote(pair).price
        return None if held is None else held.confirmed_by

    def lag(self) -> float:
        kraken = self._parts.kraken
        assert kraken is not None
        return kraken.lag()

    def settle_down(self) -> None:
        """Waits until the feed vouches for both pairs, and both channels of each are subscribed."""
        eventually(lambda: {self.confirmed_by(BTC), self.confirmed_by(ETH)} == {WEBSOCKET})
        # A symbol is active from its first channel on. A trade made before the second one is subscribed is not told.
        both = {"BTC/USD": 1, "ETH/USD": 1}
        eventually(lambda: self._exchange.wait()["subscriptions"].get("trade") == both)

    def evidence_until(self, done: Callable[[], bool]) -> float:
        """The newest evidence, in monotonic seconds, that was claimed for BTC's price before `done`."""
        newest = 0.0

        def look() -> bool:
            nonlocal newest
            held = self.quote().price
            if done():
                return True
            newest = max(newest, held.confirmed_at if held else 0.0)
            return False

        eventually(look)
        return newest

    def now(self) -> float:
        return self._clock.monotonic()


def trade(exchange: Simulator, price: str, pair: str = "BTC/USD") -> None:
    exchange.trade(pair, price)


def trade_and_see(exchange: Simulator, prices: Prices, of_btc: str, of_eth: str) -> None:
    trade(exchange, of_btc)
    trade(exchange, of_eth, "ETH/USD")
    eventually(lambda: (prices.price(), prices.price(ETH)) == (of_btc, of_eth))


def test_an_unusable_frame_ends_the_evidence_and_rest_tells(exchange: Simulator, protocol: str) -> None:
    trade(exchange, "115643")
    with Prices(exchange, protocol) as prices:
        prices.settle_down()
        exchange.fault("wrong_type", pair="BTC/USD")
        told_at = prices.now()
        trade(exchange, "118000")
        exchange.fault("wrong_type", on=False)
        newest = prices.evidence_until(lambda: prices.price() == "118000")

        # The frame arrives moments after it was sent: a second is for the machine.
        assert newest < told_at + 1.0
        assert prices.state(ETH) in (*PROVEN, "fallback")


@pytest.mark.parametrize("fault", ["wrong_type", "wrong_names"])
def test_a_pair_without_usable_frames_comes_from_rest(exchange: Simulator, protocol: str, fault: str) -> None:
    trade(exchange, "115643")
    exchange.fault(fault, pair="BTC/USD")
    with Prices(exchange, protocol) as prices:
        for number in range(3):
            trade(exchange, f"{116000 + number}")
            eventually(lambda number=number: prices.price() == f"{116000 + number}")  # type: ignore[misc]
            assert prices.confirmed_by() == REST
        exchange.clear()
        trade(exchange, "117000")
        eventually(lambda: prices.price() == "117000" and prices.confirmed_by() == WEBSOCKET)


def test_acknowledgements_behind_make_no_trade_one_of_the_future_for_long(exchange: Simulator) -> None:
    exchange.fault("acks_behind", seconds=10.0)
    with Prices(exchange, "v2") as prices:
        prices.settle_down()

        def follows() -> bool:
            trade(exchange, "116000")
            trade(exchange, "116001")
            return prices.price() == "116001" and prices.confirmed_by() == WEBSOCKET

        eventually(follows)
        eventually(lambda: prices.state() == "live")


def test_a_row_without_an_id_or_a_price_costs_itself_alone(exchange: Simulator, protocol: str) -> None:
    trade(exchange, "115643")
    with Prices(exchange, protocol) as prices:
        prices.settle_down()
        exchange.fault("null_row", pair="BTC/USD")
        exchange.fault("deaf_channel", channel="ticker", pair="BTC/USD")
        trade(exchange, "116500")
        eventually(lambda: prices.price() == "116500")
        held = prices.quote().price

        assert held is not None
        assert held.tick.source == WEBSOCKET


@pytest.mark.parametrize("ahead", [-600.0, 120.0])
def test_what_settles_a_doubt_is_believed_by_any_machines_clock(protocol: str, ahead: float) -> None:
    with Simulator.start("--clock-ahead", str(ahead)) as exchange, Prices(exchange, protocol) as prices:
        prices.settle_down()
        trade(exchange, "115643")
        eventually(lambda: prices.price() == "115643")
        exchange.fault("wrong_type", pair="BTC/USD")
        trade(exchange, "150335.9")
        exchange.clear()

        eventually(lambda: prices.price() == "150335.9")


def test_a_ticker_alone_is_served_when_the_trade_channel_is_deaf(exchange: Simulator) -> None:
    with Prices(exchange, "v1") as prices:
        prices.settle_down()
        trade(exchange, "115643")
        eventually(lambda: prices.price() == "115643")
        exchange.fault("deaf_channel", channel="trade", pair="BTC/USD")
        told_at = prices.now()
        trade(exchange, "115700")
        newest = prices.evidence_until(lambda: prices.price() == "115700")

        assert newest < told_at + 1.0


@pytest.mark.parametrize(("age", "known"), [(5.0, "live"), (1800.0, "quiet")])
def test_v1_calls_no_market_quiet_before_it_knows(exchange: Simulator, age: float, known: str) -> None:
    exchange.restart("BTC/USD", age=age)
    seen: set[str] = set()
    with Prices(exchange, "v1") as prices:

        def dated() -> bool:
            seen.add(prices.state())
            trade(exchange, "2000.5", "ETH/USD")  # from which the exchange's clock is learnt
            return prices.state() == known

        eventually(dated)

    assert seen <= {"unknown", known, "fallback"}


@pytest.mark.usefixtures("early_listings")
def test_a_pair_that_the_exchange_does_not_match_is_halted_alone(exchange: Simulator, protocol: str) -> None:
    trade(exchange, "115643")
    if protocol == "v1":  # REST alone tells, soon after the start
        exchange.fault("pair_status", pair="BTC/USD", status="cancel_only")
    with Prices(exchange, protocol) as prices:
        prices.settle_down()
        exchange.fault("pair_status", pair="BTC/USD", status="cancel_only")
        eventually(lambda: prices.state() == "halted")

        assert prices.state(ETH) != "halted"
        if protocol == "v2":
            exchange.fault("pair_status", on=False, pair="BTC/USD")
            eventually(lambda: prices.state() != "halted")


@pytest.mark.usefixtures("early_listings")
def test_a_pair_not_listed_any_more_is_served_as_stale_alone(exchange: Simulator, protocol: str) -> None:
    trade(exchange, "115643")
    with Prices(exchange, protocol) as prices:
        prices.settle_down()
        exchange.fault("pair_status", pair="BTC/USD", status="delisted")
        eventually(lambda: prices.state() == "stale" and not prices.quote().verdict.servable)

        assert prices.state(ETH) != "stale"


@pytest.mark.parametrize("word", [None, "napping"])
def test_an_unknown_status_ends_no_halt(exchange: Simulator, protocol: str, word: str | None) -> None:
    with Prices(exchange, protocol) as prices:
        prices.settle_down()
        exchange.fault("status", system="maintenance")
        eventually(lambda: prices.state() == "halted")
        exchange.fault("odd_status", system=word)
        exchange.send_text('{"channel":"heartbeat"}' if protocol == "v2" else '{"event":"heartbeat"}')
        until = prices.now() + 0.5
        eventually(lambda: prices.now() > until)

        assert prices.state() == "halted"


def test_a_late_feed_counts_its_lag_in_every_age(exchange: Simulator, protocol: str) -> None:
    with Prices(exchange, protocol) as prices:
        prices.settle_down()
        # One message in time is enough to know the exchange's clock. On a busy machine the first few may all be late.
        for number in range(5):
            trade_and_see(exchange, prices, str(115000 + number), str(2000 + number))
        exchange.fault("late_data", seconds=3.0)
        trade(exchange, "115643")
        # A machine that is busy may ask REST meanwhile, which tells the price in time.
        eventually(lambda: prices.lag() >= 1.5)
        eventually(lambda: {prices.confirmed_by(BTC), prices.confirmed_by(ETH)} == {WEBSOCKET})

        for pair in (BTC, ETH):
            age = prices.quote(pair).verdict.age
            assert age is not None
            assert age >= 1.5
