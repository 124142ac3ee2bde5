"""Builds the price half of the service: feed, fallback, store and quotes. Shared with LastPrices."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial

from ltp_service.clock import Clock
from ltp_service.collectors.backoff import Backoff
from ltp_service.collectors.connection import Connection, WebSocketConnection
from ltp_service.collectors.contract import Equipment
from ltp_service.collectors.kraken import KrakenCollector
from ltp_service.collectors.manager import Runner
from ltp_service.collectors.quarantine import Quarantine
from ltp_service.config import Config
from ltp_service.fallback.breaker import CircuitBreaker
from ltp_service.fallback.kraken import KrakenRest, Patience
from ltp_service.fallback.poll import Poll, Promise
from ltp_service.fallback.source import Bounds, RestSource
from ltp_service.http_client import HttpClient
from ltp_service.observer import Observer
from ltp_service.pairs import Pair
from ltp_service.quotes.quotes import Quotes
from ltp_service.stores import open_store
from ltp_service.stores.base import Store
from ltp_service.stores.changes import Changes
from ltp_service.stores.journal import Journal
from ltp_service.version import VERSION

POLL = 0.2
"""Seconds for which a read waits at most: how fast silence and the order to stop are noticed."""

PricesElsewhere = Callable[[Pair], Sequence[Decimal]]

THREADS = 16
"""Of a gthread worker."""

_random = random.SystemRandom().random


@dataclass(frozen=True)
class PriceParts:
    """What is needed to know prices."""

    store: Store
    changes: Changes
    quotes: Quotes
    journal: Journal
    kraken: KrakenCollector | None
    source: RestSource
    breaker: CircuitBreaker
    poll: Poll

    @property
    def runners(self) -> list[Runner]:
        """What has to run for prices to come in."""
        return [self.poll] if self.kraken is None else [self.kraken, self.poll]


def nobody(_: Pair) -> Sequence[Decimal]:
    """No other exchange is asked."""
    return ()


def wire_prices(
    config: Config, clock: Clock, observer: Observer, witnesses: PricesElsewhere = nobody
) -> PriceParts:
    """Everything built and nothing started. `witnesses` tells what other exchanges trade a pair at."""
    # Whoever waits for a change holds a thread where there are threads, and half of them stay free.
    changes = Changes(THREADS // 2) if config.worker_class == "gthread" else Changes()
    journal = Journal()
    store = open_store(config, clock, changes, journal)
    # Without any price to serve the first sign of life counts; with one, an ailing exchange is spared.
    breaker = CircuitBreaker(
        clock.monotonic, _random, urgent=lambda: not quotes.can_serve(config.supported_pairs)
    )
    source = _rest_source(config, store, breaker, clock, observer)
    quotes = Quotes(store, changes, clock, ttl=config.cache_ttl, fallback=source)
    kraken = None
    if config.kraken_websocket_enabled:
        equipment = _equipment(config, breaker, clock, observer)
        quarantine = Quarantine(config.price_divergence_limit, witnesses)
        kraken = KrakenCollector(
            config.kraken_websocket_url, config.supported_pairs, store, quarantine, equipment
        )
    promise = Promise(
        config.supported_pairs, config.kraken_fallback_timeout, config.stale_after, config.cache_ttl
    )
    return PriceParts(
        store,
        changes,
        quotes,
        journal,
        kraken,
        source,
        breaker,
        Poll(source, store, kraken, promise, clock, observer),
    )


def _rest_source(
    config: Config, store: Store, breaker: CircuitBreaker, clock: Clock, observer: Observer
) -> RestSource:
    patience = Patience(config.kraken_request_timeout, config.kraken_timeout, config.kraken_max_retries)
    http = HttpClient(clock, f"ltp_service/{VERSION}")
    return RestSource(
        KrakenRest(config.kraken_rest_url, http, breaker, clock, observer, patience),
        store,
        clock,
        observer,
        time.sleep,
        Bounds(config.kraken_request_timeout, config.price_divergence_limit),
    )


def _equipment(config: Config, breaker: CircuitBreaker, clock: Clock, observer: Observer) -> Equipment:
    connect: Callable[[], Connection] = partial(
        WebSocketConnection,
        config.kraken_websocket_url,
        connect_timeout=config.kraken_websocket_timeout,
        poll_interval=POLL,
    )
    backoff = Backoff(
        config.kraken_reconnect_delay,
        config.kraken_max_reconnect_tries,
        clock.monotonic,
        _random,
        # While REST fails too there is no price at all, and every second counts.
        urgent=lambda: breaker.state().state != "closed",
        processes=config.web_concurrency,
    )
    return Equipment(connect, backoff, clock, observer, time.sleep, config.kraken_idle_timeout)
