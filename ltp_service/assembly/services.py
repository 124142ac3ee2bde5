"""All parts of one process, for the views and the gunicorn hooks. Making them starts none."""

import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from ltp_service.assembly.equipment import ADVICE_WITHOUT_A_NETWORK
from ltp_service.assembly.history import wire_history
from ltp_service.assembly.keys import open_keyring, open_tickets
from ltp_service.assembly.prices import PriceParts, open_line_if_asked, wire_prices
from ltp_service.assembly.sources import wire_sources
from ltp_service.assembly.trades import TradeParts, wire_trades
from ltp_service.collected.pair_books import PairBooks
from ltp_service.collected.symbols import SymbolReload
from ltp_service.exchanges.kraken_books import KrakenBooks
from ltp_service.feed.books import BookCollector
from ltp_service.feed.contract import Gap, Link
from ltp_service.feed.loop import Collector
from ltp_service.feed.trades import TradeCollector
from ltp_service.history.access import History
from ltp_service.keys.first_key import FirstKey
from ltp_service.keys.keyring import KeyReload, Keyring
from ltp_service.keys.tickets import Tickets
from ltp_service.limits.buckets import MemoryLimiter
from ltp_service.limits.failures import FailureBudget
from ltp_service.meters import Meters
from ltp_service.prices.other_markets import OtherMarkets
from ltp_service.runtime.clock import Clock
from ltp_service.runtime.database import Database, DatabaseWatch, Reload
from ltp_service.runtime.pauses import Pauses
from ltp_service.runtime.proxies import described
from ltp_service.runtime.runners import CollectorManager, Runner, RunnerState
from ltp_service.runtime.runtime import Runtime
from ltp_service.runtime.spawn import when_readable
from ltp_service.settings.config import Config
from ltp_service.streams.places import Places
from ltp_service.streams.pump import Pump
from ltp_service.streams.question import ExchangeEvents
from ltp_service.streams.sources import Collecting, Sources

if TYPE_CHECKING:
    from ltp_service.redis.client import RedisClient


@dataclass(frozen=True)
class Services:
    """The parts of one process, for the views and the gunicorn hooks."""

    config: Config
    clock: Clock
    sleep: Callable[[float], None]
    """As of Runtime."""
    meters: Meters
    prices: PriceParts
    trades: TradeParts
    other_markets: OtherMarkets
    pair_books: PairBooks | None
    """Kraken's best bid and ask; None where its books are not collected."""
    streams: Pump
    history: History | None
    """None where HISTORY_URL is empty."""
    collectors: dict[str, Collector]
    manager: CollectorManager
    keyring: Keyring
    tickets: Tickets
    first_key: FirstKey
    database: DatabaseWatch | None
    """None with Redis, where nothing is kept in a file."""
    limiter: MemoryLimiter | None
    """None without a rate limit."""
    key_failures: FailureBudget
    started_at: float
    """Monotonic seconds."""
    _serving: list[Callable[[], bool]] = field(default_factory=list)
    _at_the_end: list[Callable[[], None]] = field(default_factory=list)

    def start(self, serving: Callable[[], bool]) -> None:
        """Starts the runners. `serving` returns False once the process was told to end."""
        self._serving.append(serving)
        if self.prices.kraken:
            self.prices.quotes.expect_feed()
        self.manager.start()

    def stop(self, timeout: float) -> None:
        """Stops the runners and waits at most `timeout` seconds."""
        self.manager.stop(timeout)

    @cached_property
    def ways(self) -> tuple[str, str]:
        """How the exchange's WebSocket and REST are reached: directly, or through which proxy."""
        urls = self.config.kraken_websocket_url, self.config.kraken_rest_url
        websocket, rest = (described(url, os.environ) for url in urls)
        return websocket, rest

    def pauses(self) -> Pauses:
        """For a piece of work that begins now and may take many milliseconds."""
        return Pauses(self.clock.monotonic, self.sleep)

    def links(self) -> dict[str, Link]:
        """The present state of every collector, also of one that runs in another process of the fleet."""
        return {name: self._link(collector) for name, collector in self.collectors.items()}

    def link(self, name: str) -> Link | None:
        """The same of one collector; None where none has that name."""
        collector = self.collectors.get(name)
        return None if collector is None else self._link(collector)

    def _link(self, collector: Collector) -> Link:
        fleet = self.prices.fleet
        return collector.link() if fleet is None else fleet.seen(collector.link())

    def tasks(self) -> list[RunnerState]:
        """The state of every runner, of the collectors too."""
        fleet = self.prices.fleet
        return self.manager.states() + (fleet.lease.collectors() if fleet else [])

    def at_the_end(self, act: Callable[[], None]) -> None:
        """Calls `act` when the worker tells that the process is to end."""
        self._at_the_end.append(act)

    def told_to_end(self) -> None:
        """The process was told to end; requests under way may finish."""
        for act in self._at_the_end:
            act()

    def draining(self) -> bool:
        """True once the process was told to end."""
        return not all(serving() for serving in self._serving)


def assemble(config: Config, runtime: Runtime, beside: Sequence[Runner]) -> Services:
    """Every part of one process. `beside` are the runners of the rooms above. Raises ConfigError."""
    database = Database(config.database_path, runtime)
    # With Redis nothing is kept in the file.
    watch = DatabaseWatch(database) if config.cache_backend == "memory" else None
    line = open_line_if_asked(config, runtime)
    redis = line.client if line else None
    trades = wire_trades(config, runtime, database, line)
    sources, feeds = wire_sources(config, runtime, line)
    prices = wire_prices(
        config, runtime, line, trades, sources=sources, feeds=feeds, advice=ADVICE_WITHOUT_A_NETWORK
    )
    other_markets = OtherMarkets(
        prices.store, prices.sources, trades.witnesses.of, config.price_divergence_limit, runtime.clock
    )
    pair_books = wire_pair_books(runtime, prices, trades)
    streams = wire_streams(config, runtime, prices, trades, other_markets, pair_books)
    history = wire_history(config, runtime, prices)
    limiter, limit_runners = open_limiter(config, runtime.clock.monotonic, redis)
    keyring = open_keyring(config, runtime, database, redis)
    runners: list[Runner] = [
        *prices.runners,
        *(() if line else trades.collectors.values()),
        KeyReload(keyring),
        SymbolReload(trades.symbols),
        *limit_runners,
        *([streams] if streams.is_supported else []),
        *(history.runners if history else []),
        *beside,
        *([watch] if watch else []),
    ]
    services = Services(
        config=config,
        clock=runtime.clock,
        sleep=runtime.sleep,
        meters=runtime.meters,
        prices=prices,
        trades=trades,
        other_markets=other_markets,
        pair_books=pair_books,
        streams=streams,
        history=history,
        collectors={
            **({prices.kraken.name: prices.kraken} if prices.kraken else {}),
            **feeds.collectors,
            **trades.collectors,
        },
        manager=CollectorManager(runners),
        keyring=keyring,
        tickets=open_tickets(keyring, runtime, database, redis),
        first_key=FirstKey(keyring, config.database_path, secrets.token_bytes),
        database=watch,
        limiter=limiter,
        key_failures=FailureBudget(runtime.clock.monotonic),
        started_at=runtime.clock.monotonic(),
    )
    services.at_the_end(streams.end)
    prices.served.on_change(lambda _: streams.end_those_of_all_pairs())
    return services


def wire_pair_books(runtime: Runtime, prices: PriceParts, trades: TradeParts) -> PairBooks | None:
    """What knows Kraken's best bid and ask; None where its books are not collected."""
    collector, fleet = trades.collectors.get(KrakenBooks.name), prices.fleet
    if collector is None:
        return None
    prices.served.on_change(lambda pairs: collector.want(tuple(map(str, pairs))))

    def as_of() -> float | None:
        link = collector.link()
        return (fleet.seen(link) if fleet else link).as_of

    return PairBooks(trades.books, as_of, runtime.clock.monotonic)


def wire_streams(
    config: Config,
    runtime: Runtime,
    prices: PriceParts,
    trades: TradeParts,
    other_markets: OtherMarkets,
    pair_books: PairBooks | None,
) -> Pump:
    """What sends the streams of this process."""

    def links(events: ExchangeEvents) -> list[tuple[str, Link]]:
        kind, fleet = TradeCollector if events == "trades" else BookCollector, prices.fleet
        found = [each for each in trades.collectors.values() if isinstance(each, kind)]
        return [(each.exchange, fleet.seen(each.link()) if fleet else each.link()) for each in found]

    def gaps(exchange: str) -> list[Gap]:
        fleet, found = prices.fleet, list[Gap]()
        for each in trades.collectors.values():
            if isinstance(each, TradeCollector) and each.exchange == exchange:
                found += fleet.gaps(each.name, each.gaps()) if fleet else each.gaps()
        return found

    sources = Sources(
        prices.quotes,
        prices.changes,
        runtime.clock,
        tape=prices.tape,
        trades=trades.trades,
        books=trades.books,
        collecting=Collecting(links, gaps),
        pair_books=pair_books,
    )
    sources.deviates = other_markets.deviates
    places = Places(config.stream_max, config.stream_max_per_client)
    return Pump(sources, places, runtime, when_readable())


def open_limiter(
    config: Config, monotonic: Callable[[], float], redis: "RedisClient | None" = None
) -> tuple[MemoryLimiter | None, list[Reload]]:
    """The limiter of the settings, or None without a limit, and the runners that it needs."""
    if not config.rate_limit_enabled:
        return None, []
    capacity, refill_rate = config.rate_limit_capacity, config.rate_limit_refill_rate
    if redis is None:
        return MemoryLimiter(capacity, refill_rate, monotonic), []
    from ltp_service.redis.limits import LimitExchange, SharedLimiter  # noqa: PLC0415 - loaded only with Redis

    limiter = SharedLimiter(capacity, refill_rate, monotonic, redis)
    return limiter, [LimitExchange(limiter)]
