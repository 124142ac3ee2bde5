"""Builds the trade half of the service: the collectors of other exchanges and their stores."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from ltp_service.assembly.prices import RANDOM, equip
from ltp_service.collected.books import BookStore
from ltp_service.collected.symbols import SqliteSymbols, SymbolBackEnd, Symbols, open_symbols
from ltp_service.collected.trades import TradeStore
from ltp_service.domain.book import BookSnapshot
from ltp_service.domain.errors import ConfigError, Unreachable
from ltp_service.exchanges.binance import DEPTH_PATH, read_depth
from ltp_service.exchanges.registry import COLLECTORS, unknown_collectors
from ltp_service.feed.backoff import Backoff
from ltp_service.feed.loop import Collector
from ltp_service.feed.trades import TradeCollector
from ltp_service.meters import Meters
from ltp_service.prices.store import BookSink, TradeSink
from ltp_service.prices.witness import Witnesses
from ltp_service.rest.http_client import HttpClient
from ltp_service.runtime.clock import Clock
from ltp_service.runtime.database import Database
from ltp_service.settings.config import Config
from ltp_service.version import VERSION

if TYPE_CHECKING:
    from ltp_service.redis.client import RedisClient
    from ltp_service.redis.topic import FleetLine, Topic

_REST_HOSTS = {
    "stream.binance.com": "https://api.binance.com",
    "data-stream.binance.vision": "https://data-api.binance.vision",
}


@dataclass(frozen=True)
class TradeParts:
    """The parts that collect other exchanges' trades and books."""

    trades: TradeStore
    books: BookStore
    symbols: Symbols
    witnesses: Witnesses
    collectors: dict[str, Collector]
    topics: "Sequence[Topic]" = ()
    """What these parts share with the other processes of a fleet."""


def wire_trades(
    config: Config, clock: Clock, meters: Meters, database: Database, line: "FleetLine | None" = None
) -> TradeParts:
    """Builds everything and starts nothing. Raises ConfigError for a collector that does not exist."""
    if problems := unknown_collectors(config):
        raise ConfigError(problems)
    trades, books = TradeStore(clock, meters), BookStore()
    sinks = _Sinks(trades, books) if line is None else _shared_sinks(trades, books, line)
    symbols = open_symbols(config, _redis_symbols(line.client) if line else SqliteSymbols(database))
    collectors: dict[str, Collector] = {
        name: _collector(name, config, symbols, sinks, clock, meters) for name in config.collectors
    }
    symbols.on_change(lambda: _follow(collectors, symbols))
    exchanges = [each.exchange for each in collectors.values() if isinstance(each, TradeCollector)]
    return TradeParts(trades, books, symbols, Witnesses(exchanges, trades, clock), collectors, sinks.topics)


class _Sinks(NamedTuple):
    """The stores that the collectors fill."""

    trades: TradeSink
    books: BookSink
    topics: "Sequence[Topic]" = ()


def _shared_sinks(trades: TradeStore, books: BookStore, line: "FleetLine") -> _Sinks:
    from ltp_service.redis.books import SharedBooks  # noqa: PLC0415 - loaded only with Redis
    from ltp_service.redis.trades import SharedTrades  # noqa: PLC0415

    shared_trades, shared_books = SharedTrades(trades, line), SharedBooks(books, line)
    return _Sinks(shared_trades, shared_books, (shared_trades, shared_books))


def _redis_symbols(redis: "RedisClient") -> SymbolBackEnd:
    from ltp_service.redis.symbols import RedisSymbols  # noqa: PLC0415 - loaded only with Redis

    return RedisSymbols(redis)


def _follow(collectors: dict[str, Collector], symbols: Symbols) -> None:
    for collector in collectors.values():
        collector.want(symbols.all())


def _collector(
    name: str, config: Config, symbols: Symbols, sinks: _Sinks, clock: Clock, meters: Meters
) -> Collector:
    kind = COLLECTORS[name]
    url = str(getattr(config, f"{kind.exchange}_websocket_url", kind.url))
    backoff = Backoff(1.0, config.kraken_max_reconnect_tries, clock.monotonic, RANDOM)
    if issubclass(kind, TradeCollector):
        return kind(symbols.all(), sinks.trades, equip(config, url, backoff, clock, meters))
    depth = _depth(url, config, clock)
    return kind(symbols.all(), sinks.books, equip(config, url, backoff, clock, meters, depth))


def _depth(stream_url: str, config: Config, clock: Clock) -> Callable[[str], BookSnapshot]:
    """A function that asks for one order book over REST and raises ExchangeError."""
    http = HttpClient(clock, f"ltp_service/{VERSION}")
    url = f"{rest_url(stream_url)}{DEPTH_PATH}"

    def ask(symbol: str) -> BookSnapshot:
        answer = http.get(url, {"symbol": symbol, "limit": "1000"}, config.kraken_request_timeout)
        if answer.status != 200:
            raise Unreachable(
                f"{url} answered HTTP {answer.status}", reason="http_status", retry_after=answer.retry_after
            )
        return read_depth(symbol, answer.body)

    return ask


def rest_url(stream_url: str) -> str:
    """The REST address of the exchange that streams at `stream_url`: another host, or the same one."""
    parts = urlsplit(stream_url)
    same = f"{'https' if parts.scheme == 'wss' else 'http'}://{parts.netloc}"
    return _REST_HOSTS.get(parts.hostname or "", same)
