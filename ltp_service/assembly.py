"""The one place that makes the parts of a process and joins them. It starts none.

`LastPrices` uses it, too, so nothing here loads Flask or gunicorn. Redis is loaded only where it is configured, so it is
imported inside functions.
"""

import os
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING

from ltp_service.collected.books import BookStore
from ltp_service.collected.kraken_tape import EXCHANGE as KRAKEN
from ltp_service.collected.kraken_tape import KrakenTape
from ltp_service.collected.pair_books import PairBooks
from ltp_service.collected.symbols import SqliteSymbols, SymbolBackEnd, SymbolReload, Symbols, open_symbols
from ltp_service.collected.trades import TradeStore
from ltp_service.domain.book import BookSnapshot
from ltp_service.domain.errors import ConfigError
from ltp_service.domain.exchange_clock import ExchangeClock
from ltp_service.domain.pairs import Pair
from ltp_service.domain.trade import Trade
from ltp_service.exchanges.binance_rest import ask_depth, rest_url
from ltp_service.exchanges.kraken import KrakenCollector, is_v2, tape_reader
from ltp_service.exchanges.kraken_books import KrakenBooks
from ltp_service.exchanges.kraken_filler import TapeFiller
from ltp_service.exchanges.kraken_rest import KrakenRest
from ltp_service.exchanges.kraken_v2 import is_live
from ltp_service.exchanges.registry import ASK_NEWEST, SOURCES, collector_of, unknown_collectors
from ltp_service.feed.backoff import Backoff
from ltp_service.feed.books import BookCollector
from ltp_service.feed.connection import WebSocketConnection
from ltp_service.feed.contract import Equipment, Link, Newest
from ltp_service.feed.dialing import Dialer
from ltp_service.feed.last_trades import LastTradeCollector
from ltp_service.feed.loop import Collector
from ltp_service.feed.trades import TradeCollector
from ltp_service.history.access import History
from ltp_service.history.backfill import Backfill
from ltp_service.history.contract import HistoryStore, WriterLock
from ltp_service.history.evidence import View
from ltp_service.history.file_lock import FileLock
from ltp_service.history.recorder import Recorder
from ltp_service.history.sqlite import SqliteEngine
from ltp_service.history.store import SqlHistory
from ltp_service.history.writer import Writer
from ltp_service.keys.first_key import FirstKey
from ltp_service.keys.keyring import KeyBackEnd, KeyReload, Keyring
from ltp_service.keys.sqlite import SqliteKeys, SqliteTickets
from ltp_service.keys.tickets import TicketBackEnd, Tickets
from ltp_service.limits.buckets import MemoryLimiter
from ltp_service.limits.failures import FailureBudget
from ltp_service.meters import Meters
from ltp_service.prices.changes import Changes
from ltp_service.prices.doubts import Doubts
from ltp_service.prices.memory import Journal, MemoryStore
from ltp_service.prices.other_markets import OtherMarkets, Substitutes
from ltp_service.prices.quarantine import Quarantine
from ltp_service.prices.quotes import Quotes
from ltp_service.prices.served import ServedPairs
from ltp_service.prices.store import BookSink, Store, TradeSink
from ltp_service.prices.witness import Witnesses
from ltp_service.rest.breaker import CircuitBreaker
from ltp_service.rest.http_client import HttpClient
from ltp_service.rest.poll import Poll
from ltp_service.rest.source import RestSource
from ltp_service.runtime.clock import Clock
from ltp_service.runtime.database import Database, DatabaseWatch, Reload
from ltp_service.runtime.pauses import Pauses
from ltp_service.runtime.proxies import described
from ltp_service.runtime.runners import CollectorManager, Runner, RunnerState
from ltp_service.runtime.runtime import Runtime
from ltp_service.runtime.spawn import NativeThread, when_readable
from ltp_service.settings.config import Config
from ltp_service.settings.types import HistoryUrl
from ltp_service.streams.places import Places
from ltp_service.streams.pump import Pump
from ltp_service.streams.question import ExchangeEvents
from ltp_service.streams.sources import Sources
from ltp_service.version import VERSION

if TYPE_CHECKING:
    from ltp_service.redis.client import RedisClient
    from ltp_service.redis.fleet import FleetParts
    from ltp_service.redis.topic import FleetLine, Topic

LONGEST_READ_SECONDS = 0.2
"""Seconds that a read of the WebSocket waits at most, before silence and the order to stop are checked."""

ADVICE_WITHOUT_A_NETWORK = "`ltp demo`, or `make demo` in a checkout, runs the service without a network"
"""Told when an exchange cannot be reached. A program that uses LastPrices is not told so."""

SHARE_BESIDE_PRICES = 10
"""Of the attempts to connect that Kraken allows an address, the feed of order books takes one in so many. Prices need the
others."""

GTHREAD_THREADS = 16
"""Threads of a gthread worker."""


@dataclass(frozen=True)
class PriceParts:
    """The parts that know prices."""

    served: ServedPairs
    store: Store
    changes: Changes
    quotes: Quotes
    journal: Journal
    kraken: KrakenCollector | None
    source: RestSource
    breaker: CircuitBreaker
    poll: Poll
    doubts: Doubts
    exchange_clock: ExchangeClock
    rest: KrakenRest
    tape: KrakenTape | None
    """Kraken's trades; None with its protocol v1, which numbers none, and without its WebSocket."""
    filler: TapeFiller | None
    fleet: "FleetParts | None"
    """The parts that share prices through Redis; None without it."""
    substitutes: Substitutes
    sources: Mapping[str, Store] = field(default_factory=dict)
    """Exchange → the last trades that it told, for each exchange of PRICE_SOURCES but Kraken. They are never in `store`."""
    source_collectors: Mapping[str, LastTradeCollector] = field(default_factory=dict)
    """The feeds of `sources`, by exchange."""

    @property
    def runners(self) -> list[Runner]:
        """The runners that bring prices."""
        asking: list[Runner] = [self.poll, *([self.filler] if self.filler else [])]
        if self.fleet is not None:
            return [*self.fleet.runners, *asking]
        feeds: list[Runner] = [*([self.kraken] if self.kraken else []), *self.source_collectors.values()]
        return [*feeds, *asking]


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


@dataclass(frozen=True)
class SourceFeeds:
    """What fills the stores of the other exchanges of PRICE_SOURCES."""

    collectors: Mapping[str, LastTradeCollector] = field(default_factory=dict)
    """By exchange."""
    topics: "Sequence[Topic]" = ()
    """The stores, where a fleet shares them."""
    news: Changes = field(default_factory=Changes)
    """Where the stores announce new prices."""


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


NO_FEEDS = SourceFeeds()
"""Of a process that knows Kraken's prices alone."""


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


def open_line_if_asked(config: Config, runtime: Runtime) -> "FleetLine | None":
    """The connection of this process with its fleet; None with CACHE_BACKEND=memory."""
    if config.cache_backend != "redis":
        return None
    from ltp_service.redis.topic import open_line  # noqa: PLC0415 - loaded only with Redis

    return open_line(config, runtime.clock.monotonic)


def wire_prices(
    config: Config,
    runtime: Runtime,
    line: "FleetLine | None" = None,
    others: TradeParts | None = None,
    *,
    sources: Mapping[str, Store] | None = None,
    feeds: SourceFeeds = NO_FEEDS,
    advice: str = "",
    keep_trades: bool = True,
) -> PriceParts:
    """The price half. `others` are the trades of other exchanges, which help to judge a lone trade. `sources` are the
    last trades of the other exchanges of PRICE_SOURCES, and `feeds` fill them. `advice` is told when the exchange cannot be reached.
    `keep_trades`: streams or a history need each trade."""
    clock = runtime.clock
    # With gthread each waiting request holds a thread, so that at most half of the threads may wait.
    changes = Changes(GTHREAD_THREADS // 2) if config.worker_class == "gthread" else Changes()
    served, doubts, exchange_clock, journal = (
        ServedPairs(config.supported_pairs),
        Doubts(),
        ExchangeClock(),
        Journal(),
    )
    local, shared = MemoryStore(clock, changes, journal), None
    if line is not None:
        from ltp_service.redis.prices import RedisStore  # noqa: PLC0415 - loaded only with Redis

        shared = RedisStore(local, line, served=served)
    store: Store = shared or local
    # Without a price to serve the breaker probes REST often; with one it spares the failing exchange.
    breaker = CircuitBreaker(runtime, urgent=lambda: not quotes.hears_kraken(poll.pairs))
    rest = KrakenRest(config, HttpClient(clock, f"ltp_service/{VERSION}"), breaker, runtime)
    source = RestSource(config, rest, store, doubts, exchange_clock, runtime)
    held = sources or {}
    stand_ins = [held[name] for name in config.substitute_sources if name in held]
    substitutes = Substitutes(store, stand_ins, clock, config.cache_ttl)
    if stand_ins:
        _join_substitutes(substitutes, served, feeds, changes)
    kraken: KrakenCollector | None = None
    tape = None

    def is_refused(pair: Pair) -> bool:
        return kraken is not None and kraken.is_refused(pair)

    quotes = Quotes(
        store,
        changes,
        clock,
        ttl=config.cache_ttl,
        fetch=source.fetch,
        refused=is_refused,
        substitutes=substitutes,
    )
    if config.kraken_websocket_enabled:
        backoff = Backoff(
            config.kraken_reconnect_delay,
            config.kraken_max_reconnect_tries,
            runtime,
            # While REST fails too, there is no source of prices, so the feed reconnects fast.
            urgent=lambda: breaker.state().state != "closed",
            processes=1 if line else config.web_concurrency,
        )
        equipment = equip(config, config.kraken_websocket_url, backoff, runtime, advice=advice)
        limit = config.price_divergence_limit
        quarantine = Quarantine(limit, others.witnesses.fresh_prices) if others else Quarantine(limit)
        if keep_trades and is_v2(config):
            tape = KrakenTape(tape_reader(served), clock)
        kraken = KrakenCollector(config, served, store, quarantine, equipment, doubts, exchange_clock, tape)
        kraken.on_refusal = changes.announce
    fleet = None
    if line is not None and shared is not None:
        from ltp_service.redis.fleet import wire_fleet  # noqa: PLC0415 - loaded only with Redis

        collectors = [
            *([kraken] if kraken else []),
            *feeds.collectors.values(),
            *(others.collectors.values() if others else ()),
        ]
        topics = [
            *feeds.topics,
            *(others.topics if others else ()),
            *([share_tape(tape, line)] if tape else []),
        ]
        fleet = wire_fleet(line, shared, collectors, topics, clock, config.web_concurrency)
    poll = Poll(config, served, source, store, doubts, runtime, feed=kraken, fleet=fleet)

    def is_busy() -> bool:
        return poll.needs_rest() or not rest.is_free()

    filler = TapeFiller(tape, rest, is_busy, clock.monotonic) if tape else None
    follow_list(served, kraken, feeds.collectors.values(), poll, doubts, clock)
    return PriceParts(
        served=served,
        store=store,
        changes=changes,
        quotes=quotes,
        journal=journal,
        kraken=kraken,
        source=source,
        breaker=breaker,
        poll=poll,
        doubts=doubts,
        exchange_clock=exchange_clock,
        rest=rest,
        tape=tape,
        filler=filler,
        fleet=fleet,
        sources=held,
        source_collectors=feeds.collectors,
        substitutes=substitutes,
    )


def wire_sources(
    config: Config, runtime: Runtime, line: "FleetLine | None"
) -> tuple[dict[str, Store], SourceFeeds]:
    """The stores of the other exchanges of PRICE_SOURCES, by exchange, and what fills them."""
    stores: dict[str, Store] = {}
    collectors: dict[str, LastTradeCollector] = {}
    topics: list[Topic] = []
    news = Changes()
    for name in config.price_sources:
        if name not in SOURCES:  # Kraken
            continue
        local = MemoryStore(runtime.clock, news, Journal())
        stores[name] = local
        if line is not None:
            from ltp_service.redis.prices import RedisStore  # noqa: PLC0415 - loaded only with Redis

            stores[name] = shared = RedisStore(local, line, name)
            topics.append(shared)
        url = str(getattr(config, f"{name}_websocket_url"))
        backoff = Backoff(1.0, config.kraken_max_reconnect_tries, runtime)
        newest: Callable[[str], Newest] | None = None
        if name in ASK_NEWEST:
            http = HttpClient(runtime.clock, f"ltp_service/{VERSION}")
            address = str(getattr(config, f"{name}_rest_url"))
            newest = partial(ASK_NEWEST[name], http, address, config.kraken_request_timeout)
        equipment = equip(config, url, backoff, runtime, newest=newest)
        collectors[name] = SOURCES[name](config.plain_pairs, stores[name], equipment)
    return stores, SourceFeeds(collectors, topics, news)


def follow_list(
    served: ServedPairs,
    kraken: KrakenCollector | None,
    sources: Iterable[LastTradeCollector],
    poll: Poll,
    doubts: Doubts,
    clock: Clock,
) -> None:
    """Has the sources follow the list of pairs, and the list what the feed tells of the exchange's."""

    def follow(pairs: Sequence[Pair]) -> None:
        if kraken is not None:
            kraken.follow(pairs)
        for collector in sources:
            collector.follow(pairs)
        poll.follow(pairs)
        for pair in set(doubts).difference(pairs):
            doubts.settle(pair)

    served.on_change(follow)
    if kraken is not None and served.wildcards:
        kraken.on_listed = lambda pairs: served.listed(pairs, clock.monotonic(), complete=False)


def _join_substitutes(
    substitutes: Substitutes, served: ServedPairs, feeds: SourceFeeds, changes: Changes
) -> None:
    """Has them follow the list of pairs, and their prices told where they are served."""
    substitutes.follow(served)
    served.on_change(substitutes.follow)
    feeds.news.listener = partial(_announce_substitute, substitutes, changes)


def _announce_substitute(substitutes: Substitutes, changes: Changes, pair: Pair) -> None:
    """Another exchange has told a new price, which is news where it is served."""
    if substitutes.are_serving(pair):
        changes.announce(pair)


def share_tape(tape: KrakenTape, line: "FleetLine") -> "Topic":
    """Has each trade on the tape of the feed's owner sent to the tapes of the other processes."""
    from ltp_service.redis.trades import SharedTrades  # noqa: PLC0415 - loaded only with Redis

    shared = SharedTrades(tape, line, "tape")

    def share(trade: Trade) -> None:
        shared.share(trade)
        line.news.set()  # a trade that leaves the price as it was is no news of the price

    tape.share = share
    return shared


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
            http = HttpClient(runtime.clock, f"ltp_service/{VERSION}")
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


def wire_pair_books(runtime: Runtime, prices: PriceParts, trades: TradeParts) -> PairBooks | None:
    """What knows Kraken's best bid and ask; None where its books are not collected."""
    collector, fleet = trades.collectors.get(KrakenBooks.name), prices.fleet
    if collector is None:
        return None
    prices.served.on_change(lambda pairs: collector.want(tuple(map(str, pairs))))

    def heard_at() -> float | None:
        link = collector.link()
        return (fleet.seen(link) if fleet else link).last_frame_at

    return PairBooks(trades.books, heard_at, runtime.clock.monotonic)


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

    sources = Sources(
        prices.quotes,
        prices.changes,
        runtime.clock,
        tape=prices.tape,
        trades=trades.trades,
        books=trades.books,
        links=links,
        pair_books=pair_books,
    )
    sources.deviates = other_markets.deviates
    places = Places(config.stream_max, config.stream_max_per_client)
    return Pump(sources, places, runtime, when_readable())


def wire_history(config: Config, runtime: Runtime, prices: PriceParts) -> History | None:
    """What records and answers the history; None where none is kept. Raises ConfigError."""
    if not config.history_url.get_secret_value():
        return None
    kraken, tape, fleet = prices.kraken, prices.tape, prices.fleet

    def look() -> View:
        now = runtime.clock.monotonic()
        unix_now = prices.exchange_clock.age(0.0, now)  # the age of 1970
        ahead = prices.rest.unix_ahead() if unix_now is None else unix_now - now
        since = {pair: kraken.told_since(pair) for pair in prices.served} if kraken else {}
        return View(
            now,
            ahead,
            prices.store.all(),
            {pair: at for pair, at in since.items() if at is not None},
            frozenset(prices.doubts),
        )

    def leads() -> bool:
        return fleet is None or fleet.leads()

    def is_busy() -> bool:
        """Prices come first, then streams."""
        awaited = tape is not None and tape.on_news is not None and tape.wanted()
        return prices.poll.needs_rest() or not prices.rest.is_free() or bool(awaited)

    store, lock = open_history(config.history_url)
    writer = Writer(
        prices.served,
        store,
        lock,
        tape_reader(prices.served),
        is_live,
        keep_seconds=config.history_keep,
        patience_seconds=config.cache_ttl,
        monotonic=runtime.clock.monotonic,
    )
    recorder = Recorder(writer, NativeThread("history writer"), look, leads, runtime)
    reading, _ = open_history(config.history_url)
    history = History(
        reading,
        NativeThread("history reader"),
        recorder,
        (lambda: None) if fleet is None else fleet.owner_elsewhere,
        runtime.clock,
        is_shared=config.history_url.file is None,
    )
    if tape is not None:
        tape.recorded, tape.record = recorder.frames, recorder.take

        def take(pair: Pair, page: Sequence[Trade], as_of: float | None) -> None:
            recorder.take(pair, page, as_of)
            tape.complete(pair, page)

        history.backfill = Backfill(
            prices.served,
            lambda pair: history.read(lambda asked: asked.coverage(pair)),
            prices.rest,
            take,
            recorder=recorder,
            is_busy=is_busy,
            runtime=runtime,
            keep_seconds=config.history_keep,
        )
    return history


def open_history(url: HistoryUrl) -> tuple[HistoryStore, WriterLock]:
    """A store with connections of its own, and its writer's lock. Nothing is opened yet. Raises ConfigError."""
    if url.file is not None:
        return SqlHistory(SqliteEngine(url.file)), FileLock(url.file)
    try:
        from ltp_service.history.postgres import PostgresEngine  # noqa: PLC0415 - loaded only where asked for
    except ImportError as error:
        problem = (
            "HISTORY_URL: PostgreSQL needs the package psycopg: pip install 'psycopg[binary]', or in a checkout"
            " pip install --requirement requirements.postgres.txt"
        )
        raise ConfigError([problem]) from error
    engine = PostgresEngine(url.get_secret_value())
    return SqlHistory(engine), engine


def equip(
    config: Config,
    url: str,
    backoff: Backoff,
    runtime: Runtime,
    depth: Callable[[str], BookSnapshot] | None = None,
    newest: Callable[[str], Newest] | None = None,
    advice: str = ADVICE_WITHOUT_A_NETWORK,
) -> Equipment:
    """The equipment of a collector of the stream at `url`."""
    dialer = Dialer(url, timeout=config.kraken_websocket_timeout)
    connect = partial(WebSocketConnection, dialer, poll_interval=LONGEST_READ_SECONDS)
    return Equipment(connect, backoff, runtime, config.kraken_idle_timeout, depth, newest, advice)


def open_keyring(
    config: Config, runtime: Runtime, database: Database | None = None, redis: "RedisClient | None" = None
) -> Keyring:
    """The keys of DATABASE_PATH or of Redis, read once. While they cannot be read, only AUTH_API_KEY is known."""
    back_end: KeyBackEnd
    if config.cache_backend == "redis":
        from ltp_service.redis.client import open_redis  # noqa: PLC0415 - loaded only with Redis
        from ltp_service.redis.keys import RedisKeys  # noqa: PLC0415

        back_end = RedisKeys(redis or open_redis(config, runtime.clock.monotonic))
    else:
        back_end = SqliteKeys(database or Database(config.database_path, runtime))
    keyring = Keyring(
        back_end,
        runtime.clock,
        environment_key=config.auth_api_key.get_secret_value() or None,
        random_bytes=secrets.token_bytes,
    )
    KeyReload(keyring).attempt(keyring.refresh)
    return keyring


def open_tickets(
    keyring: Keyring, runtime: Runtime, database: Database, redis: "RedisClient | None"
) -> Tickets:
    """The tickets of the file or of Redis."""
    back_end: TicketBackEnd = SqliteTickets(database)
    if redis is not None:
        from ltp_service.redis.keys import RedisTickets  # noqa: PLC0415 - loaded only with Redis

        back_end = RedisTickets(redis)
    return Tickets(back_end, keyring, runtime.clock, secrets.token_bytes)


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
