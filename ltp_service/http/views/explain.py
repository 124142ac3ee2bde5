"""Why a price is what it is: everything that decides one pair's answer."""

from flask import Blueprint, Response, request
from msgspec import structs

from ltp_service.assembly.services import Services
from ltp_service.domain.errors import InvalidParameter
from ltp_service.domain.market import DELISTED
from ltp_service.domain.pairs import Pair
from ltp_service.domain.tick import REST, WEBSOCKET, Price
from ltp_service.http import params, shapes
from ltp_service.http.answers import json_response, moment, number, rfc3339
from ltp_service.http.services import services
from ltp_service.http.unserved import unserved
from ltp_service.http.views.ltp import consensus_told, detail_of, witnesses_of
from ltp_service.http.views.status import breaker_of, divergences_of, label_of, settings_of
from ltp_service.prices.consensus import ExchangePrice
from ltp_service.prices.freshness import FRESH_SECONDS
from ltp_service.prices.memory import TickDecision
from ltp_service.prices.quotes import Quote

bp = Blueprint("explain", __name__)

_REASONS = {
    "newer": "taken: newer than what was held",
    "same": "confirmed what was held",
    "older": "refused: not newer than what was held",
}


@bp.get("/api/v1/ltp/explain")
def explain() -> Response:
    """The served price of one pair, both sources, the subscription, the breaker and the last decisions."""
    parts = services()
    asked = params.pairs(request.args, ())
    if len(asked.pairs) != 1:
        raise InvalidParameter("explain takes exactly one pair, for example pair=BTC/USD")
    (pair,) = asked.pairs
    if pair not in parts.prices.served:
        raise unserved(parts.prices.served, [pair])
    (quote,) = parts.prices.quotes.look([pair])
    return json_response(explained(parts, pair, quote))


def explained(parts: Services, pair: Pair, quote: Quote) -> shapes.Explanation:
    """All that decides the answer about the pair."""
    journal, poll = parts.prices.journal, parts.prices.poll
    comparison = parts.other_markets.explain(pair, quote.price)
    newest = {source: journal.newest(pair, source) for source in (WEBSOCKET, REST)}
    return shapes.Explanation(
        pair=str(pair),
        served=detail_of(parts, quote),
        state=quote.verdict.state,
        servable=quote.verdict.servable,
        market=quote.market,
        doubt=_doubt(parts, pair),
        sources={
            source: shapes.SourceDecision(
                **structs.asdict(_decision(parts, decision)), served=_is_served(quote.price, decision)
            )
            for source, decision in newest.items()
            if decision is not None
        },
        subscription=_subscription(parts, pair),
        witnesses=witnesses_of(parts, quote),
        exchanges=[_exchange(each) for each in comparison.prices],
        consensus=consensus_told(comparison),
        deviating=comparison.deviating,
        substitute=_substitute(parts, quote),
        quarantined=_held(parts, pair),
        breaker=breaker_of(parts),
        fallback=shapes.Fallback(poll.active(), poll.last_error, pair in parts.prices.source.unknown),
        divergence=divergences_of(parts).get(str(pair)),
        decisions=[_decision(parts, decision) for decision in reversed(journal.decisions(pair))],
        settings=settings_of(parts),
    )


def _exchange(seen: ExchangePrice) -> shapes.ExchangeSeen:
    counted = "confirmed" if seen.is_fresh else "not confirmed"
    reason = f"{counted} within {FRESH_SECONDS:g} s"
    return shapes.ExchangeSeen(
        seen.exchange, number(seen.price), round(seen.age * 1000), seen.is_fresh, reason
    )


def _substitute(parts: Services, quote: Quote) -> str:
    allowed, state = parts.config.substitute_sources, quote.verdict.state
    if state == "substitute" and quote.price is not None:
        return f"Kraken is silent, so {quote.price.tick.source} stands in until Kraken's first evidence"
    if not allowed:
        return "none: SUBSTITUTE_SOURCES names no exchange"
    if quote.market == DELISTED:
        return "none: Kraken does not list the pair any more"
    if state in ("stale", "unknown"):
        return f"none yet: {' and '.join(allowed)} must have a price confirmed within {FRESH_SECONDS:g} s"
    return "none: Kraken's own price is confirmed"


def _is_served(price: Price | None, decision: TickDecision) -> bool:
    """Whether a source's newest tick is the one held, or the evidence for it."""
    if price is None:
        return False
    tick = decision.tick
    confirms = decision.outcome == "same" and tick.source == price.confirmed_by
    return tick is price.tick or (confirms and tick.amount == price.tick.amount)


def _decision(parts: Services, decision: TickDecision) -> shapes.Decision:
    tick = decision.tick
    return shapes.Decision(
        source=tick.source,
        price=tick.price,
        traded_at=rfc3339(tick.traded_at),
        trade_id=tick.trade_id,
        received_at=moment(parts.clock, tick.received_at),
        outcome=decision.outcome,
        reason=_REASONS.get(decision.outcome, decision.outcome),
    )


def _doubt(parts: Services, pair: Pair) -> shapes.Doubt | None:
    """The doubt about the pair's price; None when there is none."""
    doubt = parts.prices.doubts.about(pair)
    if doubt is None:
        return None
    since, asked_at = moment(parts.clock, doubt.since), moment(parts.clock, doubt.asked_at)
    return shapes.Doubt(doubt.reason, since, asked_at)


def _held(parts: Services, pair: Pair) -> shapes.Quarantined | None:
    tick = parts.prices.kraken.held(pair) if parts.prices.kraken else None
    if tick is None:
        return None
    return shapes.Quarantined(tick.price, rfc3339(tick.traded_at), moment(parts.clock, tick.received_at))


def _subscription(parts: Services, pair: Pair) -> shapes.Subscription | None:
    kraken, fleet = parts.prices.kraken, parts.prices.fleet
    if kraken is None:
        return None
    link = parts.links()[kraken.name]
    subscription = kraken.subscription(pair)
    told_at = fleet.store.told_at(pair) if fleet else None
    acknowledged = subscription.acknowledged if subscription else {}
    return shapes.Subscription(
        state=label_of(link, pair) or "disconnected",
        acknowledged_at={channel: moment(parts.clock, at) for channel, at in acknowledged.items()},
        delivered_at=moment(parts.clock, kraken.delivered_at(pair) or told_at),
        generation=link.generation,
    )
