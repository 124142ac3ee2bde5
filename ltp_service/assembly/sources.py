"""The other exchanges whose last trade is told beside Kraken's: their stores and what fills them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from ltp_service.assembly.equipment import equip, open_http
from ltp_service.exchanges.registry import ASK_NEWEST, SOURCES
from ltp_service.feed.backoff import Backoff
from ltp_service.feed.contract import Newest
from ltp_service.feed.last_trades import LastTradeCollector
from ltp_service.prices.changes import Changes
from ltp_service.prices.memory import Journal, MemoryStore
from ltp_service.prices.store import Store
from ltp_service.runtime.runtime import Runtime
from ltp_service.settings.config import Config

if TYPE_CHECKING:
    from ltp_service.redis.topic import FleetLine, Topic


@dataclass(frozen=True)
class SourceFeeds:
    """What fills the stores of the other exchanges of PRICE_SOURCES."""

    collectors: Mapping[str, LastTradeCollector] = field(default_factory=dict)
    """By exchange."""
    topics: "Sequence[Topic]" = ()
    """The stores, where a fleet shares them."""
    news: Changes = field(default_factory=Changes)
    """Where the stores announce new prices."""


NO_FEEDS = SourceFeeds()
"""Of a process that knows Kraken's prices alone."""


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
            http = open_http(runtime.clock)
            address = str(getattr(config, f"{name}_rest_url"))
            newest = partial(ASK_NEWEST[name], http, address, config.kraken_request_timeout)
        equipment = equip(config, url, backoff, runtime, newest=newest)
        collectors[name] = SOURCES[name](config.plain_pairs, stores[name], equipment)
    return stores, SourceFeeds(collectors, topics, news)
