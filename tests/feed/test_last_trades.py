"""Collectors of last trades against the simulated exchanges, over real sockets."""

import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import count

import pytest

from ltp_service.assembly.sources import wire_sources
from ltp_service.domain.pairs import Pair
from ltp_service.domain.tick import Price
from ltp_service.feed.last_trades import LastTradeCollector
from ltp_service.meters import FRAMES_REFUSED, TRADES_MISSED
from ltp_service.runtime.runtime import Runtime
from ltp_service.settings.config import Config
from tests.deadline import DEADLINE
from tests.fakes import BTC, RecordingMeters, eventually
from tests.simulator.client import Simulator

EXCHANGES = ("coinbase", "bitstamp")
REFUSED = Pair("BTC", "CHF")


class Feeds:
    """Both collectors, each in a thread of its own, and the simulator that they are connected to."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.meters = RecordingMeters()
        self.runtime = Runtime(meters=self.meters)
        config = Config(
            supported_pairs=(BTC, REFUSED),
            price_sources=("kraken", "coinbase", "bitstamp"),
            coinbase_websocket_url=simulator.coinbase_url,
            bitstamp_websocket_url=simulator.bitstamp_url,
            bitstamp_rest_url=simulator.bitstamp_rest_url,
        )
        self._stores, feeds = wire_sources(config, self.runtime, None)
        self.collectors: dict[str, LastTradeCollector] = dict(feeds.collectors)
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=each.run, args=(self._stop,)) for each in self.collectors.values()
        ]
        self._numbers = count(100_000)

    def __enter__(self) -> "Feeds":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(DEADLINE)

    def held(self, exchange: str) -> Price | None:
        return self._stores[exchange].all().get(BTC)

    def trade(self, exchange: str, *, silent: bool = False) -> str:
        """A trade now at a price that was not there before."""
        price = f"{next(self._numbers)}.50"
        self.simulator.exchange_trade(exchange, "BTCUSD", price, silent=silent)
        return price

    def shows(self, exchange: str, price: str) -> Callable[[], bool]:
        def shown() -> bool:
            held = self.held(exchange)
            return held is not None and held.tick.price == price

        return shown

    def silence(self, exchange: str) -> float:
        """Seconds since the last evidence."""
        held = self.held(exchange)
        assert held is not None
        return self.runtime.clock.monotonic() - held.confirmed_at

    def fresh(self, exchange: str) -> Callable[[], bool]:
        """Whether there is evidence of a moment after this one."""
        now = self.runtime.clock.monotonic()
        return lambda: (held := self.held(exchange)) is not None and held.confirmed_at > now


@pytest.fixture(scope="module")
def running() -> Iterator[Feeds]:
    with Simulator.start("--heartbeat", "0.05") as simulator, Feeds(simulator) as feeds:
        yield feeds


@pytest.fixture
def feeds(running: Feeds) -> Iterator[Feeds]:
    """Both collectors, with a price of BTC/USD each."""
    for exchange in EXCHANGES:
        running.simulator.wait(exchange=exchange, subscriptions=1)
        eventually(running.shows(exchange, running.trade(exchange)))
    yield running
    running.simulator.clear()


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_trade_becomes_the_price_with_its_digits_and_its_source(feeds: Feeds, exchange: str) -> None:
    price = feeds.trade(exchange)
    eventually(feeds.shows(exchange, price))
    held = feeds.held(exchange)
    assert held is not None
    assert (held.tick.amount, held.tick.source) == (Decimal(price), f"{exchange}:websocket")
    eventually(feeds.fresh(exchange))


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_pair_that_the_exchange_refuses_is_told_and_costs_its_neighbour_nothing(
    feeds: Feeds, exchange: str
) -> None:
    collector = feeds.collectors[exchange]
    symbol = collector.symbol_of(REFUSED)
    eventually(lambda: collector.labels()[symbol].startswith("refused: "))
    assert collector.labels()[collector.symbol_of(BTC)] == "active"


def test_a_hole_that_a_heartbeat_shows_is_filled_by_a_new_subscription(feeds: Feeds) -> None:
    eventually(feeds.shows("coinbase", feeds.trade("coinbase", silent=True)))
    assert feeds.meters.counted[TRADES_MISSED]["coinbase"] >= 1
    eventually(feeds.fresh("coinbase"))


def test_a_deaf_pair_has_no_evidence_although_heartbeats_go_on(feeds: Feeds) -> None:
    feeds.simulator.fault("deaf_pair", exchange="coinbase", pair="BTCUSD")
    missing = feeds.trade("coinbase")
    eventually(lambda: feeds.silence("coinbase") > 1.0)
    feeds.simulator.clear()
    feeds.simulator.cut(exchange="coinbase")
    eventually(feeds.shows("coinbase", missing))


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_trade_that_cannot_be_used_is_refused_alone(feeds: Feeds, exchange: str) -> None:
    refused = feeds.meters.counted[FRAMES_REFUSED]["malformed"]
    feeds.simulator.fault("null_row", exchange=exchange)
    eventually(feeds.shows(exchange, feeds.trade(exchange)))
    eventually(lambda: feeds.meters.counted[FRAMES_REFUSED]["malformed"] > refused)
    feeds.simulator.clear()
    eventually(feeds.shows(exchange, feeds.trade(exchange)))


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_after_a_cut_the_feed_tells_prices_again(feeds: Feeds, exchange: str) -> None:
    generation = feeds.collectors[exchange].link().generation
    feeds.simulator.cut(exchange=exchange)
    eventually(lambda: feeds.collectors[exchange].link().generation > generation)
    feeds.simulator.wait(exchange=exchange, open=1, subscriptions=1)
    eventually(feeds.shows(exchange, feeds.trade(exchange)))


def test_a_request_to_reconnect_is_followed_without_an_error(feeds: Feeds) -> None:
    collector = feeds.collectors["bitstamp"]
    before, failures = collector.link(), len(feeds.meters.failures)
    feeds.simulator.fault("server_shutdown", exchange="bitstamp")
    eventually(lambda: collector.link().generation > before.generation)
    assert len(feeds.meters.failures) == failures
