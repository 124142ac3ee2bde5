"""Streams of prices and trades. The views refuse what cannot be; the pump of this worker does the rest."""

from collections.abc import Sequence
from functools import partial
from typing import get_args

from flask import Blueprint, Response, request

from ltp_service.assembly.services import Services
from ltp_service.collected.kraken_tape import EXCHANGE as KRAKEN
from ltp_service.domain.errors import InvalidParameter, NotFound, NotSupported
from ltp_service.feed.books import BookCollector
from ltp_service.feed.trades import TradeCollector
from ltp_service.http import params, shapes
from ltp_service.http.answers import json_response, rfc3339
from ltp_service.http.client_address import client_address, limit_key
from ltp_service.http.gunicorn_send import can_hand_over
from ltp_service.http.request_note import note_of
from ltp_service.http.services import services
from ltp_service.http.unserved import unserved
from ltp_service.keys.key import hash_of
from ltp_service.streams.question import (
    MAX_TRADES_PAIRS,
    ExchangeEvents,
    ExchangeQuestion,
    MarketEvents,
    MarketQuestion,
    Question,
)

bp = Blueprint("stream", __name__)

_MARKET_EVENTS: Sequence[MarketEvents] = get_args(MarketEvents)
_EXCHANGE_EVENTS: Sequence[ExchangeEvents] = get_args(ExchangeEvents)


@bp.get("/api/v1/stream")
def market() -> Response:
    """Prices or trades of the asked pairs, or of all, and with `books` their best bid and ask."""
    parts = services()
    asked = params.pairs(request.args, parts.prices.served.pairs)
    pairs = asked.pairs
    unknown = [pair for pair in pairs if pair not in parts.prices.served]
    if unknown or not pairs:
        raise unserved(parts.prices.served, unknown)
    events = params.word(request.args, "events", _MARKET_EVENTS)
    if events != "prices" and len(pairs) > MAX_TRADES_PAIRS:
        raise InvalidParameter(
            f"{len(pairs)} pairs asked; at most {MAX_TRADES_PAIRS} in one stream with trades, because the id of an event"
            " names a trade of each"
        )
    return _open(parts, MarketQuestion(pairs, events, params.flag(request.args, "books"), asked.everything))


@bp.post("/api/v1/stream/tickets")
def ticket() -> Response:
    """Makes a ticket, which opens one stream where no header can be set."""
    parts = services()
    key = request.headers.get("X-API-Key", "") if parts.config.auth_enabled else None
    text, expires = parts.tickets.make(None if key is None else hash_of(key))
    return json_response(shapes.Ticket(text, rfc3339(expires)), 201)


@bp.get("/collectors/stream")
def exchanges() -> Response:
    """Trades or best prices of one symbol on one other exchange, or on all."""
    parts = services()
    symbol = params.needed_symbol(request.args)
    events = params.word(request.args, "events", _EXCHANGE_EVENTS)
    kind = TradeCollector if events == "trades" else BookCollector
    collectors = parts.trades.collectors.values()
    # Kraken's are told by pair, at /api/v1/stream.
    found = [each.exchange for each in collectors if isinstance(each, kind) and each.exchange != KRAKEN]
    asked = request.args.get("exchange", "").lower()
    if asked and asked not in found:
        raise InvalidParameter(
            f"exchange must be one whose {events} are collected here: {', '.join(found) or 'none'}"
        )
    if not found:
        raise NotFound(f"no {events} are collected here; see COLLECTORS")
    if symbol not in parts.trades.symbols.all():
        raise NotFound("that symbol is not collected; see /collectors/symbols")
    return _open(parts, ExchangeQuestion(symbol, (asked,) if asked else tuple(dict.fromkeys(found)), events))


def _open(parts: Services, question: Question) -> Response:
    pump = parts.streams
    if not (pump.is_supported and can_hand_over(request.environ)):
        raise NotSupported(
            "streams need WORKER_CLASS=gevent, and a proxy where the connection has TLS; ask /api/v1/ltp instead"
        )
    pump.sources.check(question)
    forwarded_for = request.headers.get("X-Forwarded-For")
    trusted = parts.config.trusted_proxies
    address = limit_key(client_address(request.remote_addr or "", forwarded_for, trusted))
    pump.places.check(address)
    if request.method == "GET":  # HEAD takes no place
        last_event_id = request.headers.get("Last-Event-ID") or request.args.get("last_event_id", "")
        note = note_of(request.environ)
        is_allowed = None if note.key_hash is None else partial(parts.keyring.knows_as_active, note.key_hash)
        note.stream = partial(pump.join, question, address, last_event_id, is_allowed)
    response = Response(content_type="text/event-stream; charset=utf-8")
    response.automatically_set_content_length = False  # it ends where the connection ends
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"  # nginx is to pass on each event at once
    return response
