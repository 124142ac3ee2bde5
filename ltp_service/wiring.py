"""Builds the price half of the service: feed, store and quotes. Shared by the HTTP service and LastPrices."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ltp_service.clock import Clock
from ltp_service.collectors.backoff import Backoff
from ltp_service.collectors.base import Collector, Equipment
from ltp_service.collectors.connection import Connection, WebSocketConnection
from ltp_service.collectors.kraken import KrakenCollector
from ltp_service.collectors.manager import CollectorManager
from ltp_service.config import Config
from ltp_service.observer import Observer
from ltp_service.quotes.quotes import Quotes
from ltp_service.stores import open_store
from ltp_service.stores.base import Store
from ltp_service.stores.changes import Changes

POLL = 0.5
"""Seconds for which a read waits at most: how fast silence and the order to stop are noticed."""


@dataclass(frozen=True)
class PriceParts:
    """What is needed to know prices."""

    store: Store
    changes: Changes
    quotes: Quotes
    collectors: dict[str, Collector]
    manager: CollectorManager


def wire_prices(config: Config, clock: Clock, observer: Observer) -> PriceParts:
    """Everything built and nothing started."""
    changes = Changes()
    store = open_store(config, clock, changes)
    collectors: dict[str, Collector] = {}
    if config.kraken_websocket_enabled:
        collectors[KrakenCollector.name] = KrakenCollector(
            config.kraken_websocket_url,
            config.supported_pairs,
            store,
            _equipment(config, config.kraken_websocket_url, clock, observer),
        )
    quotes = Quotes(store, changes, clock, ttl=config.cache_ttl, fallback=None)
    return PriceParts(store, changes, quotes, collectors, CollectorManager(tuple(collectors.values())))


def _equipment(config: Config, url: str, clock: Clock, observer: Observer) -> Equipment:
    connect: Callable[[], Connection] = partial(
        WebSocketConnection, url, connect_timeout=config.kraken_websocket_timeout, poll_interval=POLL
    )
    backoff = Backoff(
        config.kraken_reconnect_delay,
        config.kraken_max_reconnect_tries,
        clock.monotonic,
        random.SystemRandom().random,
    )
    return Equipment(connect, backoff, clock, observer, time.sleep, config.kraken_idle_timeout)
