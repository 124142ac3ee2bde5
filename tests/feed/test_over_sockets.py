"""The collectors of Bybit and Binance over real sockets, against the simulated exchanges and their faults."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from ltp_service.collected.books import BookStore
from ltp_service.collected.trades import TradeStore
from ltp_service.exchanges.binance import BinanceBooks, BinanceTrades
from ltp_service.exchanges.binance_rest import ask_depth, rest_url
from ltp_service.exchanges.bybit import BybitBooks, BybitTrades
from ltp_service.feed import books as books_module
from ltp_service.feed.backoff import Backoff
from ltp_service.feed.books import BookCollector
from ltp_service.feed.connection import WebSocketConnection
from ltp_service.feed.contract import Equipment
from ltp_service.feed.dialing import Dialer
from ltp_service.feed.loop import Collector
from ltp_service.feed.trades import TradeCollector
from ltp_service.rest.http_client import HttpClient
from ltp_service.runtime.clock import SystemClock
from ltp_service.runtime.runners import CollectorManager
from ltp_service.runtime.runtime import Runtime
from tests.fakes import RecordingMeters, eventually
from tests.simulator.client import Simulator

SYMBOLS = ("BTCUSDT", "ETHUSDT")
TRADES: list[type[TradeCollector]] = [BybitTrades, BinanceTrades]
BOOKS: list[type[BookCollector]] = [BybitBooks, BinanceBooks]


class WrongClock(SystemClock):
    """Ten minutes behind, as a machine whose time nobody sets."""

    def wall(self) -> float:
        return super().wall() - 600.0


@pytest.fixture
def exchange() -> Iterator[Simulator]:
    with Simulator.start() as simulator:
        yield simulator


class Feed:
    """One collector and what it fills."""

    def __init__(self, kind: type[TradeCollector] | type[BookCollector], exchange: Simulator) -> None:
        self.meters = RecordingMeters()
        world = Runtime(WrongClock(), self.meters)
        self.trades, self.books = TradeStore(world), BookStore()
        self.name = kind.exchange
        url = exchange.bybit_url if self.name == "bybit" else exchange.binance_url
        equipment = Equipment(
            partial(WebSocketConnection, Dialer(url, timeout=30.0), poll_interval=0.05),
            Backoff(0.1, 5, world),
            world,
            30.0,
            partial(ask_depth, HttpClient(world.clock, "test"), rest_url(url), 5.0),
        )
        sink = self.trades if issubclass(kind, TradeCollector) else self.books
        self.collector: Collector = kind(SYMBOLS, sink, equipment)  # type: ignore[arg-type]

    def ids(self) -> list[str]:
        return [trade.trade_id for trade in reversed(self.trades.recent("BTCUSDT"))]

    def is_subscribed(self) -> bool:
        told = self.collector.link().subscriptions
        return len(told) == len(SYMBOLS) and set(told.values()) <= {"acknowledged", "active"}

    def in_sync(self, symbol: str) -> bool:
        view = self.books.view(symbol, self.name, 1)
        return view is not None and view.in_sync


@contextmanager
def feeding(kind: type[TradeCollector] | type[BookCollector], exchange: Simulator) -> Iterator[Feed]:
    feed = Feed(kind, exchange)
    manager = CollectorManager((feed.collector,))
    manager.start()
    try:
        eventually(feed.is_subscribed, 60.0)
        yield feed
    finally:
        assert manager.stop(60.0)


def sent(exchange: Simulator, feed: Feed, count: int) -> list[str]:
    """The ids of so many trades of one symbol."""
    told = [exchange.exchange_trade(feed.name, "BTCUSDT", "118000") for _ in range(count)]
    return [str(trade["trade_id"]) for trade in told]


@pytest.mark.parametrize("kind", TRADES)
def test_with_a_clock_ten_minutes_behind_every_trade_is_stored(
    exchange: Simulator, kind: type[TradeCollector]
) -> None:
    with feeding(kind, exchange) as feed:
        ids = sent(exchange, feed, 5)
        eventually(lambda: feed.ids() == ids, 60.0)
        assert feed.meters.refused == {}


@pytest.mark.parametrize("kind", TRADES)
def test_a_row_without_an_id_costs_itself_alone(exchange: Simulator, kind: type[TradeCollector]) -> None:
    with feeding(kind, exchange) as feed:
        exchange.fault("null_row", exchange=feed.name)
        ids = sent(exchange, feed, 3)
        eventually(lambda: feed.ids() == ids, 60.0)
        eventually(lambda: sum(feed.meters.refused.values()) == 3, 60.0)


def test_a_stream_of_microseconds_has_the_same_times(exchange: Simulator) -> None:
    with feeding(BinanceTrades, exchange) as feed:
        ids = sent(exchange, feed, 1)
        exchange.fault("microseconds", exchange="binance")
        ids += sent(exchange, feed, 2)
        eventually(lambda: feed.ids() == ids, 60.0)
        moments = [trade.timestamp for trade in feed.trades.recent("BTCUSDT")]
        assert max(moments) - min(moments) < 600.0


def test_lost_trades_are_told_as_holes_in_the_exchanges_numbers(exchange: Simulator) -> None:
    with feeding(BinanceTrades, exchange) as feed:
        exchange.fault("lost_trades", every=3)
        ids = sent(exchange, feed, 8)
        eventually(lambda: ids[-1] in feed.ids() or ids[-2] in feed.ids(), 60.0)
        got = feed.ids()
        first, last = ids.index(got[0]), ids.index(got[-1])
        lost = last - first + 1 - len(got)
        assert lost > 0
        assert sum(gap.missing or 0 for gap in feed.collector.link().gaps or ()) == lost
        assert feed.meters.missed == {"binance": lost}


@pytest.mark.parametrize("kind", BOOKS)
def test_a_deaf_book_is_not_in_sync_while_the_other_one_is(
    exchange: Simulator, kind: type[BookCollector], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(books_module, "SHORTEST_PATIENCE_SECONDS", 0.5)
    monkeypatch.setattr(books_module, "HABIT_AFTER_SECONDS", 1.0)
    with feeding(kind, exchange) as feed:
        for symbol in SYMBOLS:
            exchange.change_book(feed.name, symbol, updates=6_000, rate=50, background=True)
        eventually(lambda: feed.in_sync("BTCUSDT") and feed.in_sync("ETHUSDT"), 60.0)
        time.sleep(1.5)  # longer than YOUNG: only then has a book a habit, which nothing outside shows
        exchange.fault("deaf_channel", channel="book", pair="BTCUSDT")
        eventually(lambda: feed.in_sync("ETHUSDT") and not feed.in_sync("BTCUSDT"), 60.0)
