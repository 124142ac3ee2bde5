"""Last traded prices."""

from collections.abc import Sequence
from typing import Any

from flask import Blueprint, Response, request

from ltp_service.errors import UnknownPair
from ltp_service.pairs import Pair
from ltp_service.quotes.quotes import Quote
from ltp_service.request_note import note_of
from ltp_service.services import Services, services
from ltp_service.tick import Price
from ltp_service.web import params
from ltp_service.web.answers import RETRY_AFTER, json_response, number, rfc3339
from ltp_service.web.errors import error_body

bp = Blueprint("ltp", __name__)

_MESSAGES = {
    "UNSUPPORTED_PAIR": "Unsupported trading pair",
    "PRICE_STALE": "The last known price is older than allowed; ask with allow_stale=true to get it all the same",
    "PRICE_FETCH_ERROR": "No source has given a price for this pair yet; ask again in a few seconds",
}


@bp.get("/api/v1/ltp")
def ltp() -> Response:
    """The last traded price of the asked pairs, or of all."""
    parts = services()
    supported = parts.config.supported_pairs
    asked = params.pairs(request.args, supported)
    bound = params.bound(request.args, request.headers)
    detail = params.flag(request.args, "detail")
    strangers = params.unsupported(asked.pairs, frozenset(supported))
    if len(strangers) == len(asked.pairs):
        raise UnknownPair(f"{', '.join(map(str, strangers))}: not served here; see /api/v1/pairs")
    quotes = parts.prices.quotes.get([pair for pair in asked.pairs if pair not in strangers], bound)
    return _answer(parts, asked.pairs, quotes, detail=detail)


def _answer(parts: Services, asked: Sequence[Pair], quotes: Sequence[Quote], *, detail: bool) -> Response:
    items = [
        _item(parts, quote, quote.price, detail=detail)
        for quote in quotes
        if quote.price is not None and quote.verdict.servable
    ]
    by_pair = {quote.pair: quote for quote in quotes}
    failed = [(pair, _code(by_pair.get(pair))) for pair in asked if not _served(by_pair.get(pair))]
    note = note_of(request.environ)
    note.pairs, note.cache_hit = len(items), not failed
    problems = [_problem(pair, code) for pair, code in failed]
    if not items:
        return _nothing(failed, problems, note.request_id)
    if problems:
        return json_response({"ltp": items, "errors": problems}, 206)
    return json_response({"ltp": items}, headers={"Cache-Control": f"public, max-age={0 if detail else 1}"})


def _served(quote: Quote | None) -> bool:
    return quote is not None and quote.verdict.servable


def _code(quote: Quote | None) -> str:
    if quote is None:
        return "UNSUPPORTED_PAIR"
    return "PRICE_FETCH_ERROR" if quote.verdict.state == "unknown" else "PRICE_STALE"


def _problem(pair: Pair, code: str) -> dict[str, str]:
    return {"pair": str(pair), "error": "Failed to fetch price", "code": code, "message": _MESSAGES[code]}


def _nothing(failed: Sequence[tuple[Pair, str]], problems: list[dict[str, str]], request_id: str) -> Response:
    code, message = "ALL_PRICES_FAILED", "No price can be served for any of the pairs asked; try again later"
    if len(failed) == 1:
        ((pair, code),) = failed
        message = f"{pair}: {_MESSAGES[code]}"
    body = error_body(code, message, request_id, errors=problems)
    return json_response(body, 503, {"Retry-After": str(RETRY_AFTER)})


def _item(parts: Services, quote: Quote, price: Price, *, detail: bool) -> dict[str, Any]:
    if detail:
        return _detailed(parts, quote, price)
    return {"pair": str(quote.pair), "amount": number(price.tick.amount)}


def detail_of(parts: Services, quote: Quote) -> dict[str, Any] | None:
    """All that is known of a quote; None when the pair was never seen."""
    return _detailed(parts, quote, quote.price) if quote.price is not None else None


def _detailed(parts: Services, quote: Quote, price: Price) -> dict[str, Any]:
    age = quote.verdict.age or 0.0
    return {
        "pair": str(quote.pair),
        "amount": number(price.tick.amount),
        "price": price.tick.price,
        "state": quote.verdict.state,
        "source": price.confirmed_by,
        "traded_at": rfc3339(price.tick.traded_at),
        "confirmed_at": rfc3339(parts.clock.wall() - age),
        "age_ms": round(age * 1000),
        "trade_id": price.tick.trade_id,
    }
