"""The state of the service, for people and dashboards."""

import os
from typing import Literal

from flask import Blueprint, Response

from ltp_service.assembly.services import Services
from ltp_service.domain.market import DELISTED
from ltp_service.domain.pairs import Pair, kraken_v1_symbol, kraken_v2_symbol
from ltp_service.feed.contract import Link
from ltp_service.http import shapes
from ltp_service.http.answers import json_response, moment, rfc3339
from ltp_service.http.services import services
from ltp_service.http.views.debug import shown
from ltp_service.prices.quotes import Quote
from ltp_service.prices.served import ServedPairs
from ltp_service.version import VERSION

bp = Blueprint("status", __name__)

IN_ORDER = frozenset({"live", "quiet", "halted"})
"""States of a price that are not a problem."""

SETTINGS = (
    "cache_ttl stale_after kraken_idle_timeout kraken_fallback_timeout kraken_request_timeout"
    " price_divergence_limit kraken_websocket_enabled"
).split()
"""The settings that decide how far a price is trusted."""

REST_ALONE = IN_ORDER | {"fallback"}
"""The same where the WebSocket is switched off, so that REST is the source and not a fallback."""


@bp.get("/api/v1/status")
def status() -> Response:
    """The feed, the pairs and the process."""
    parts = services()
    quotes = parts.prices.quotes.look(parts.prices.served.pairs)
    link, breaker = parts.link("kraken"), breaker_of(parts)
    wall = parts.clock.wall()
    return json_response(
        shapes.Status(
            status=_overall(parts, quotes),
            connection=_connection(parts, link, breaker),
            timestamp=int(wall),
            timestamp_iso=rfc3339(wall),
            market=parts.prices.store.market(),
            pairs=_pairs(parts, quotes, link),
            pair_list=_pair_list(parts.prices.served),
            breaker=breaker,
            divergences=divergences_of(parts),
            sources={name: _source(parts, name) for name in parts.prices.sources},
            reconnects=max(0, link.attempts - 1) if link else 0,
            uptime_s=round(parts.clock.monotonic() - parts.started_at, 3),
            version=VERSION,
            worker=shapes.Worker(os.getpid(), parts.config.web_concurrency),
            fleet=_fleet(parts),
            database=_database(parts),
            history=_history(parts),
            tasks=shown(parts, parts.tasks()),
            settings=settings_of(parts),
        )
    )


def _pair_list(served: ServedPairs) -> shapes.PairList | None:
    """What the wildcards mean; None where there is none."""
    return shapes.PairList(served.has_list, served.counts()) if served.wildcards else None


def _fleet(parts: Services) -> shapes.Fleet | None:
    """This process's role in its fleet; None with CACHE_BACKEND=memory."""
    fleet = parts.prices.fleet
    if fleet is None:
        return None
    seen = fleet.lease.last_seen
    role: Literal["owner", "follower"] = "owner" if fleet.leads() else "follower"
    return shapes.Fleet(role, fleet.follower.in_step(), seen.owner, seen.epoch)


def _database(parts: Services) -> shapes.Database | None:
    """Whether the database file can be used; None where Redis keeps API keys and symbols."""
    if parts.database is None:
        return None
    return shapes.Database(parts.database.problem is None, parts.database.problem)


def _history(parts: Services) -> shapes.HistoryStatus | None:
    """Whether trades are recorded; None where no history is kept."""
    if parts.history is None:
        return None
    state = parts.history.recorder.state()
    recording: Literal["writing", "waiting", "failing"] = "writing" if state.writes else "waiting"
    undeleted = state.undeleted and f"trades older than HISTORY_KEEP are not deleted: {state.undeleted}"
    return shapes.HistoryStatus(
        recording="failing" if state.problem else recording,
        error=state.problem or undeleted,
        waiting_trades=state.waiting,
        lag_s=round(state.lag, 3),
        lost_trades=state.lost,
        bytes=state.size,
        elsewhere=parts.history.elsewhere(),
    )


def breaker_of(parts: Services) -> shapes.Breaker:
    """The state of the circuit breaker before REST."""
    state = parts.prices.breaker.state()
    return shapes.Breaker(state.state, state.failures, round(state.retry_in, 3))


def divergences_of(parts: Services) -> dict[str, shapes.Divergence]:
    """The last divergence of the two sources, by pair."""
    return {
        str(pair): shapes.Divergence(seen.websocket, seen.rest, rfc3339(seen.at), seen.count)
        for pair, seen in parts.prices.source.divergences.items()
    }


def _source(parts: Services, name: str) -> shapes.SourceStatus:
    """What another exchange tells, and how its feed does."""
    link, held = parts.link(name), parts.prices.sources[name].all()
    now, symbol_of = parts.clock.monotonic(), parts.prices.source_collectors[name].symbol_of

    def told(pair: Pair) -> shapes.SourcePair:
        age = now - held[pair].confirmed_at if pair in held else None
        label = link.subscriptions.get(symbol_of(pair)) if link else None
        return shapes.SourcePair(None if age is None else round(1000 * max(0.0, age)), label)

    return shapes.SourceStatus(
        connected=link is not None and link.connected,
        last_error=link.last_error if link else None,
        pairs={str(pair): told(pair) for pair in parts.prices.served},
    )


def settings_of(parts: Services) -> dict[str, float | bool]:
    """The limits that decide; durations in seconds."""
    return {name: getattr(parts.config, name) for name in SETTINGS}


def _overall(parts: Services, quotes: list[Quote]) -> Literal["ok", "degraded", "down"]:
    in_order = IN_ORDER if parts.config.kraken_websocket_enabled else REST_ALONE
    if parts.prices.served.has_list and all(quote.verdict.state in in_order for quote in quotes):
        return "ok"
    return "degraded" if any(quote.verdict.servable for quote in quotes) else "down"


def _connection(parts: Services, link: Link | None, breaker: shapes.Breaker) -> shapes.Connection:
    websocket_reached, rest_reached = parts.ways
    kraken, poll = parts.prices.kraken, parts.prices.poll
    return shapes.Connection(
        websocket_enabled=parts.config.kraken_websocket_enabled,
        websocket_connected=link is not None and link.connected,
        fallback_mode=poll.active(),
        rest_available=breaker.state == "closed",
        last_ws_update=moment(parts.clock, link.last_frame_at) if link else None,
        feed_lag_ms=round(1000 * kraken.lag()) if kraken else None,
        last_error=link.last_error if link else None,
        rest_last_error=poll.last_error,
        websocket_reached=websocket_reached,
        rest_reached=rest_reached,
    )


def _pairs(parts: Services, quotes: list[Quote], link: Link | None) -> dict[str, shapes.PairStatus]:
    told, pause = {}, parts.pauses()
    for quote in quotes:
        age = quote.verdict.age
        age_ms = round(age * 1000) if age is not None else None
        told[str(quote.pair)] = shapes.PairStatus(quote.verdict.state, age_ms, _trouble(parts, quote, link))
        pause()
    return told


def label_of(link: Link | None, pair: Pair) -> str | None:
    """The state of the subscription of `pair`; None while there is none."""
    if link is None:
        return None
    labels = link.subscriptions
    return labels.get(kraken_v2_symbol(pair)) or labels.get(kraken_v1_symbol(pair))


def _trouble(parts: Services, quote: Quote, link: Link | None) -> str | None:
    if quote.market == DELISTED:
        return "not listed by the exchange any more"
    label = label_of(link, quote.pair)
    if label is not None and label.startswith(("refused", "deaf")):
        return label
    source = parts.prices.source
    if quote.pair in source.unknown:
        return "unknown to REST"
    return None if quote.verdict.state in IN_ORDER else source.errors.get(quote.pair)
