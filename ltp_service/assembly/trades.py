"""What collects other exchanges' trades and books."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ltp_service.assembly.equipment import equip, open_http
from ltp_service.collected.books import BookStore
from ltp_service.collected.kraken_tape import EXCHANGE as KRAKEN
from ltp_service.collected.symbols import SqliteSymbols, SymbolBackEnd, Symbols, open_symbols
from ltp_service.collected.trades import TradeStore
from ltp_service.domain.errors import ConfigError
from ltp_service.exchanges.binance_rest import ask_depth, rest_url
from ltp_service.exchanges.registry import collector_of, unknown_collectors
from ltp_service.feed.backoff import Backoff
from ltp_service.feed.loop import Collector
from ltp_service.feed.trades import TradeCollector
from ltp_service.prices.store import BookSink, TradeSink
from ltp_service.prices.witness import Witnesses
from ltp_service.runtime.database import Database
from ltp_service.runtime.runtime import Runtime
from ltp_service.settings.config import Config

if TYPE_CHECKING:
    from ltp_service.redis.topic import FleetLine, Topic

SHARE_BESIDE_PRICES = 10
"""Of the attempts to connect that Kraken allows an address, the feed of order books takes one in so many. Prices need the
others."""


@dataclass(frozen=True)
class TradeParts:
    """The parts that collect other exchanges' trades and books."""

    trades: TradeStore
    books: BookStore
    symbols: Symbols
    witnesses: Witnesses
    collectors: dict[str, Collector]
    topics: "Sequence[Topic]"
    """What these parts share with the other processes of a fleet."""

    def clocks(self) -> dict[str, Callable[[float], float]]:
        """By the name of each collector of trades: its exchange's unix time at a monotonic moment."""
        collectors = (each for each in self.collectors.values() if isinstance(each, TradeCollector))
        return {each.name: partial(self.trades.exchange_time, each.exchange) for each in collectors}


def wire_trades(config: Config, runtime: Runtime, database: Database, line: "FleetLine | None") -> TradeParts:
    """The half of other exchanges' trades and books. Raises ConfigError for a collector that does not exist."""
    if problems := unknown_collectors(config):
        raise ConfigError(problems)
    trades, books = TradeStore(runtime), BookStore()
    trade_sink: TradeSink = trades
    book_sink: BookSink = books
    back_end: SymbolBackEnd = SqliteSymbols(database)
    topics: Sequence[Topic] = ()
    if line is not None:
        from ltp_service.redis.books import SharedBooks  # noqa: PLC0415 - loaded only with Redis
        from ltp_service.redis.symbols import RedisSymbols  # noqa: PLC0415
        from ltp_service.redis.trades import SharedTrades  # noqa: PLC0415

        shared_trades = SharedTrades(trades, line, loaded=trades.came_from_elsewhere)
        shared_books = SharedBooks(books, line)
        trade_sink, book_sink, topics = shared_trades, shared_books, (shared_trades, shared_books)
        back_end = RedisSymbols(line.client)
    symbols = open_symbols(config, back_end)
    pair_names = tuple(map(str, config.plain_pairs))
    collectors: dict[str, Collector] = {}
    following_symbols: list[Collector] = []
    for name in config.collectors:
        kind = collector_of(name, config)
        followed = pair_names if kind.exchange == KRAKEN else symbols.all()
        url = str(getattr(config, f"{kind.exchange}_websocket_url", kind.url))
        processes = 1 if line else config.web_concurrency
        sharers = processes * SHARE_BESIDE_PRICES if kind.exchange == KRAKEN else 1
        backoff = Backoff(1.0, config.kraken_max_reconnect_tries, runtime, processes=sharers)
        if issubclass(kind, TradeCollector):
            collectors[name] = kind(followed, trade_sink, equip(config, url, backoff, runtime))
        else:
            http = open_http(runtime.clock)
            depth = partial(ask_depth, http, rest_url(url), config.kraken_request_timeout)
            collectors[name] = kind(followed, book_sink, equip(config, url, backoff, runtime, depth))
        if kind.exchange != KRAKEN:
            following_symbols.append(collectors[name])

    def follow() -> None:
        for collector in following_symbols:
            collector.want(symbols.all())

    symbols.on_change(follow)
    exchanges = [each.exchange for each in collectors.values() if isinstance(each, TradeCollector)]
    witnesses = Witnesses(exchanges, trades.last, trades.age, trades.has)
    return TradeParts(trades, books, symbols, witnesses, collectors, topics)
