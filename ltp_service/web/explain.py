"""Why this number: everything that went into one pair's answer."""

from typing import Any

from flask import Blueprint, Response, request

from ltp_service.errors import InvalidParameter, UnknownPair
from ltp_service.pairs import Pair
from ltp_service.quotes.quotes import Quote
from ltp_service.services import Services, services
from ltp_service.web import params
from ltp_service.web.answers import json_response, rfc3339
from ltp_service.web.ltp import detail_of
from ltp_service.web.status import breaker_of, divergences_of

bp = Blueprint("explain", __name__)

_SETTINGS = (
    "cache_ttl stale_after kraken_idle_timeout kraken_fallback_timeout kraken_request_timeout"
    " price_divergence_limit kraken_websocket_enabled"
).split()


@bp.get("/api/v1/ltp/explain")
def explain() -> Response:
    """The served price of one pair, both sources, the subscription, the breaker and the last decisions."""
    parts = services()
    asked = params.pairs(request.args, ())
    if len(asked.pairs) != 1:
        raise InvalidParameter("explain takes exactly one pair, for example pair=BTC/USD")
    (pair,) = asked.pairs
    if pair not in parts.config.supported_pairs:
        raise UnknownPair(f"{pair}: not served here; see /api/v1/pairs")
    (quote,) = parts.prices.quotes.look([pair])
    return json_response(_explained(parts, pair, quote))


def _explained(parts: Services, pair: Pair, quote: Quote) -> dict[str, Any]:
    explainer = parts.prices.explainer
    return {
        "pair": str(pair),
        "served": detail_of(parts, quote),
        "state": quote.verdict.state,
        "servable": quote.verdict.servable,
        "market": parts.prices.store.market(),
        "sources": explainer.sources(pair, quote.price),
        "subscription": _subscription(parts, pair),
        "breaker": breaker_of(parts),
        "fallback": {
            "active": parts.prices.poll.active(),
            "last_error": parts.prices.poll.last_error,
            "unknown_to_rest": pair in parts.prices.source.unknown,
        },
        "divergence": divergences_of(parts).get(str(pair)),
        "decisions": explainer.decisions(pair),
        "settings": {name: getattr(parts.config, name) for name in _SETTINGS},
    }


def _subscription(parts: Services, pair: Pair) -> dict[str, Any] | None:
    if parts.prices.kraken is None:
        return None
    now, wall = parts.clock.monotonic(), parts.clock.wall()
    subscription = parts.prices.kraken.subscription(pair)
    delivered_at = parts.prices.kraken.delivered_at(pair)
    return {
        "state": subscription.label if subscription else "disconnected",
        "acknowledged_at": {
            channel: rfc3339(wall - (now - at))
            for channel, at in (subscription.acknowledged.items() if subscription else ())
        },
        "delivered_ago_s": round(now - delivered_at, 3) if delivered_at is not None else None,
        "generation": parts.prices.kraken.link().generation,
    }
