"""Builds the price half of the service: feed, fallback, store and quotes. LastPrices uses it, too."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING

from ltp_service.domain.book import BookSnapshot
from ltp_service.domain.exchange_clock import ExchangeClock
from ltp_service.domain.pairs import Pair
from ltp_service.exchanges.kraken import KrakenCollector
from ltp_service.exchanges.kraken_rest import KrakenRest, Patience
from ltp_service.feed.backoff import Backoff
from ltp_service.feed.connection import WebSocketConnection
from ltp_service.feed.contract import Equipment
from ltp_service.feed.dialing import Dialer
from ltp_service.feed.loop import Collector
from ltp_service.meters import Meters
from ltp_service.prices.changes import Changes
from ltp_service.prices.doubts import Doubts
from ltp_service.prices.memory import Journal, MemoryStore
from ltp_service.prices.quarantine import Quarantine
from ltp_service.prices.quotes import Quotes
from ltp_service.prices.store import Store
from ltp_service.rest.breaker import CircuitBreaker
from ltp_service.rest.http_client import HttpClient
from ltp_service.rest.poll import Feed, NoFeed, Poll, Promise
from ltp_service.rest.source import Bounds, RestSource
from ltp_service.runtime.clock import Clock
from ltp_service.runtime.runners import Runner
from ltp_service.settings.config import Config
from ltp_service.version import VERSION

if TYPE_CHECKING:
    from ltp_service.redis.fleet import FleetParts
    from ltp_service.redis.prices import RedisStore
    from ltp_service.redis.topic import FleetLine, Topic

LONGEST_READ_SECONDS = 0.2
"""Seconds that a read of the WebSocket waits at most, before silence and the order to stop are checked."""

PricesElsewhere = Callable[[Pair], Sequence[Decimal]]

GTHREAD_THREADS = 16
"""Threads of a gthread worker."""

RANDOM = random.SystemRandom().random


@dataclass(frozen=True)
class PriceParts:
    """The parts that know prices."""

    store: Store
    changes: Changes
    quotes: Quotes
    journal: Journal
    kraken: KrakenCollector | None
    source: RestSource
    breaker: CircuitBreaker
    poll: Poll
    doubts: Doubts
    fleet: "FleetParts | None" = None
    """The parts that share prices through Redis; None without it."""

    @property
    def runners(self) -> list[Runner]:
        """The runners that bring prices."""
        if self.fleet is not None:
            return [*self.fleet.runners, self.poll]
        return [self.poll] if self.kraken is None else [self.kraken, self.poll]


@dataclass(frozen=True)
class Sharing:
    """What this process shares with its fleet."""

    line: "FleetLine"
    collectors: Sequence[Collector] = ()
    """The collectors, beside Kraken's, that run in one process of the fleet only."""
    topics: "Sequence[Topic]" = ()
    """What those collectors bring."""


def no_witnesses(_: Pair) -> Sequence[Decimal]:
    """No prices of other exchanges."""
    return ()


def open_line_if_asked(config: Config, clock: Clock) -> "FleetLine | None":
    """The connection of this process with its fleet; None with CACHE_BACKEND=memory."""
    if config.cache_backend != "redis":
        return None
    from ltp_service.redis.topic import open_line  # noqa: PLC0415 - loaded only with Redis

    return open_line(config, clock.monotonic)


def wire_prices(
    config: Config,
    clock: Clock,
    meters: Meters,
    witnesses: PricesElsewhere = no_witnesses,
    sharing: Sharing | None = None,
) -> PriceParts:
    """Builds everything and starts nothing. `witnesses` gives the present prices of a pair on other exchanges."""
    # With gthread each waiting request holds a thread, so that at most half of the threads may wait.
    changes = Changes(GTHREAD_THREADS // 2) if config.worker_class == "gthread" else Changes()
    journal = Journal()
    local = MemoryStore(clock, changes, journal)
    shared = _share(sharing, local)
    store: Store = shared or local
    # Without a price to serve the breaker probes REST often; with one it spares the failing exchange.
    breaker = CircuitBreaker(
        clock.monotonic, RANDOM, urgent=lambda: not quotes.can_serve(config.supported_pairs)
    )
    doubts, exchange_clock = Doubts(), ExchangeClock()
    source = _rest_source(config, store, breaker, clock, meters, doubts, exchange_clock)
    quotes = Quotes(store, changes, clock, ttl=config.cache_ttl, fallback=source)
    kraken = None
    if config.kraken_websocket_enabled:
        equipment = _kraken_equipment(config, breaker, clock, meters)
        quarantine = Quarantine(config.price_divergence_limit, witnesses)
        kraken = KrakenCollector(
            config.kraken_websocket_url,
            config.supported_pairs,
            store,
            quarantine,
            equipment,
            doubts,
            exchange_clock,
        )
    fleet = _join(sharing, shared, kraken, clock)
    feed = kraken if fleet is None else _feed_of(fleet, kraken)
    promise = Promise(
        config.supported_pairs,
        config.kraken_fallback_timeout,
        config.stale_after,
        config.cache_ttl,
        config.kraken_websocket_enabled,
        config.web_concurrency,
    )
    poll = Poll(source, store, feed, promise, clock, meters, doubts)
    return PriceParts(store, changes, quotes, journal, kraken, source, breaker, poll, doubts, fleet)


def _share(sharing: Sharing | None, local: MemoryStore) -> "RedisStore | None":
    if sharing is None:
        return None
    from ltp_service.redis.prices import RedisStore  # noqa: PLC0415 - loaded only with Redis

    return RedisStore(local, sharing.line)


def _join(
    sharing: Sharing | None, shared: "RedisStore | None", kraken: KrakenCollector | None, clock: Clock
) -> "FleetParts | None":
    if sharing is None or shared is None:
        return None
    from ltp_service.redis.fleet import wire_fleet  # noqa: PLC0415 - loaded only with Redis

    collectors = [*([kraken] if kraken else []), *sharing.collectors]
    return wire_fleet(sharing.line, shared, collectors, sharing.topics, clock)


def _feed_of(fleet: "FleetParts", own: KrakenCollector | None) -> Feed:
    from ltp_service.redis.feed import FleetFeed  # noqa: PLC0415 - a process of its own needs none

    return FleetFeed(own or NoFeed(), fleet.store.told_at, fleet.lease.epoch, fleet.follower.in_step)


def _rest_source(
    config: Config,
    store: Store,
    breaker: CircuitBreaker,
    clock: Clock,
    meters: Meters,
    doubts: Doubts,
    exchange_clock: ExchangeClock,
) -> RestSource:
    patience = Patience(config.kraken_request_timeout, config.kraken_timeout, config.kraken_max_retries)
    http = HttpClient(clock, f"ltp_service/{VERSION}")
    return RestSource(
        KrakenRest(config.kraken_rest_url, http, breaker, clock, meters, patience),
        store,
        clock,
        meters,
        time.sleep,
        Bounds(config.kraken_request_timeout, config.price_divergence_limit),
        doubts,
        exchange_clock,
    )


def _kraken_equipment(config: Config, breaker: CircuitBreaker, clock: Clock, meters: Meters) -> Equipment:
    backoff = Backoff(
        config.kraken_reconnect_delay,
        config.kraken_max_reconnect_tries,
        clock.monotonic,
        RANDOM,
        # While REST fails too, there is no source of prices, so the feed reconnects fast.
        urgent=lambda: breaker.state().state != "closed",
        processes=1 if config.cache_backend == "redis" else config.web_concurrency,
    )
    return equip(config, config.kraken_websocket_url, backoff, clock, meters)


def equip(
    config: Config,
    url: str,
    backoff: Backoff,
    clock: Clock,
    meters: Meters,
    depth: Callable[[str], BookSnapshot] | None = None,
) -> Equipment:
    """The equipment of a collector of the stream at `url`."""
    dialer = Dialer(url, timeout=config.kraken_websocket_timeout)
    connect = partial(WebSocketConnection, dialer, poll_interval=LONGEST_READ_SECONDS)
    idle_timeout = config.kraken_idle_timeout
    return Equipment(connect, backoff, clock, meters, time.sleep, idle_timeout, RANDOM, depth)
