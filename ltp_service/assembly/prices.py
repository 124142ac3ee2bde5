"""The parts that know prices. `LastPrices` has these alone."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from ltp_service.assembly.equipment import equip, open_http
from ltp_service.assembly.sources import NO_FEEDS, SourceFeeds
from ltp_service.assembly.trades import TradeParts
from ltp_service.collected.kraken_tape import KrakenTape
from ltp_service.domain.exchange_clock import ExchangeClock
from ltp_service.domain.pairs import Pair
from ltp_service.domain.trade import Trade
from ltp_service.exchanges.kraken import KrakenCollector, is_v2, tape_reader
from ltp_service.exchanges.kraken_filler import TapeFiller
from ltp_service.exchanges.kraken_rest import KrakenRest
from ltp_service.feed.backoff import Backoff
from ltp_service.feed.contract import Equipment
from ltp_service.feed.last_trades import LastTradeCollector
from ltp_service.feed.loop import Collector
from ltp_service.prices.changes import Changes
from ltp_service.prices.doubts import Doubts
from ltp_service.prices.memory import Journal, MemoryStore
from ltp_service.prices.other_markets import Substitutes
from ltp_service.prices.quarantine import Quarantine
from ltp_service.prices.quotes import Quotes
from ltp_service.prices.served import ServedPairs
from ltp_service.prices.store import Store
from ltp_service.rest.breaker import CircuitBreaker
from ltp_service.rest.poll import Poll
from ltp_service.rest.source import RestSource
from ltp_service.runtime.clock import Clock
from ltp_service.runtime.runners import Runner
from ltp_service.runtime.runtime import Runtime
from ltp_service.settings.config import Config

if TYPE_CHECKING:
    from ltp_service.redis.fleet import FleetParts
    from ltp_service.redis.topic import FleetLine, Topic

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
    served, doubts = ServedPairs(config.supported_pairs), Doubts()
    exchange_clock, journal = ExchangeClock(), Journal()
    local, shared = MemoryStore(clock, changes, journal), None
    if line is not None:
        from ltp_service.redis.prices import RedisStore  # noqa: PLC0415 - loaded only with Redis

        shared = RedisStore(local, line, served=served)
    store: Store = shared or local
    # Without a price to serve the breaker probes REST often; with one it spares the failing exchange.
    breaker = CircuitBreaker(runtime, urgent=lambda: not quotes.hears_kraken(poll.pairs))
    rest = KrakenRest(config, open_http(clock), breaker, runtime)
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
        equipment = _equip_feed(
            config, runtime, breaker, processes=1 if line else config.web_concurrency, advice=advice
        )
        limit = config.price_divergence_limit
        quarantine = Quarantine(limit, others.witnesses.fresh_prices) if others else Quarantine(limit)
        if keep_trades and is_v2(config):
            tape = KrakenTape(tape_reader(served), clock)
        kraken = KrakenCollector(config, served, store, quarantine, equipment, doubts, exchange_clock, tape)
        kraken.on_refusal = changes.announce
    fleet = None
    if line is not None and shared is not None:
        from ltp_service.redis.fleet import wire_fleet  # noqa: PLC0415 - loaded only with Redis

        collectors, topics = _shared_in_fleet(kraken, tape, feeds, others, line)
        clocks = others.clocks() if others else {}
        fleet = wire_fleet(
            line, shared, collectors, topics, clock, config.web_concurrency, kraken=kraken, clocks=clocks
        )
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


def _equip_feed(
    config: Config, runtime: Runtime, breaker: CircuitBreaker, *, processes: int, advice: str
) -> Equipment:
    """The equipment of Kraken's feed. `processes` of this machine connect at the same time."""
    backoff = Backoff(
        config.kraken_reconnect_delay,
        config.kraken_max_reconnect_tries,
        runtime,
        # While REST fails too, there is no source of prices, so the feed reconnects fast.
        urgent=lambda: breaker.state().state != "closed",
        processes=processes,
    )
    return equip(config, config.kraken_websocket_url, backoff, runtime, advice=advice)


def _shared_in_fleet(
    kraken: KrakenCollector | None,
    tape: KrakenTape | None,
    feeds: SourceFeeds,
    others: TradeParts | None,
    line: "FleetLine",
) -> "tuple[list[Collector], list[Topic]]":
    """The collectors that one process of a fleet runs for all, and what they tell the others."""
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
    return collectors, topics


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
        kraken.on_listed = lambda statuses: served.listed(statuses, clock.monotonic(), complete=False)


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
