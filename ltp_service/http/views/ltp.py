"""Last traded prices."""

from collections.abc import Sequence
from typing import Literal

import msgspec
from flask import Blueprint, Response, request
from msgspec import UNSET, UnsetType

from ltp_service.assembly.services import Services
from ltp_service.domain.decimals import plain
from ltp_service.domain.errors import InvalidParameter
from ltp_service.domain.pairs import Pair
from ltp_service.domain.tick import Price
from ltp_service.http import pairs_body, params, shapes
from ltp_service.http.answers import RETRY_AFTER_SECONDS, json_response, number, raw_response, rfc3339
from ltp_service.http.counted import count_prices, count_substitutes
from ltp_service.http.fast_lane import PairProblem, body, etag, item, matches, pair_problems
from ltp_service.http.price_source import names_of, source_headers, substitutes_among
from ltp_service.http.problems import MESSAGES
from ltp_service.http.request_note import note_of
from ltp_service.http.services import services
from ltp_service.http.unserved import unserved
from ltp_service.http.views.books import best_of
from ltp_service.meters import REFRESHES
from ltp_service.prices.freshness import DEFAULT_BOUND, Bound
from ltp_service.prices.other_markets import Comparison
from ltp_service.prices.quotes import Quote

bp = Blueprint("ltp", __name__)

_encode = msgspec.json.Encoder().encode

_REFRESHED: Literal["Prices refreshed successfully"] = "Prices refreshed successfully"


@bp.get("/api/v1/ltp")
def ltp() -> Response:
    """The last traded price of the asked pairs, or of all."""
    parts = services()
    asked = params.pairs(request.args, parts.prices.served.pairs).pairs
    bound = params.bound(request.args, request.headers)
    detail = params.flag(request.args, "detail")
    quotes = quotes_of(parts, asked, bound)
    failed = pair_problems(asked, quotes, parts.prices.served)
    if len(failed) == len(asked):
        return _nothing(failed)
    return _prices(parts, quotes, failed, detail=detail)


@bp.get("/api/v1/ltp/cached")
def cached() -> Response:
    """The prices in memory now, without a call to an exchange."""
    parts = services()
    asked = params.pairs(request.args, parts.prices.served.pairs).pairs
    bound = params.bound(request.args, request.headers)
    # All pairs may be none: those of wildcards are not known before the exchange's list.
    supported = _supported(parts, asked) if asked else []
    quotes = parts.prices.quotes.look(supported, bound)
    _count(parts, asked, quotes)
    held = [quote for quote in quotes if quote.verdict.servable]
    note_of(request.environ).pairs = len(held)
    return _prices(parts, held, [], detail=params.flag(request.args, "detail"))


@bp.post("/api/v1/ltp/refresh")
def refresh() -> Response:
    """Asks REST for the pairs now; requests at the same time share one call."""
    parts = services()
    asked = _to_refresh()
    learnt = parts.prices.source.refresh(_supported(parts, asked))
    done = [pair for pair in asked if pair in learnt]
    failed = [
        PairProblem(pair, "PRICE_FETCH_ERROR" if pair in parts.prices.served else "UNSUPPORTED_PAIR")
        for pair in asked
        if pair not in learnt
    ]
    parts.meters.count(REFRESHES, "failure" if not done else "partial" if failed else "success")
    if not done:
        return _nothing(failed)
    told = [str(pair) for pair in done]
    if not failed:
        return json_response(shapes.Refreshed(_REFRESHED, told))
    return json_response(shapes.SomeRefreshed(_REFRESHED, told, [problem.told() for problem in failed]), 206)


def _to_refresh() -> tuple[Pair, ...]:
    """The pairs that the body names, or else the query. Raises InvalidParameter."""
    named = pairs_body.pairs(request)
    if named is not None:
        return named
    asked = params.pairs(request.args, ())
    if asked.everything:
        raise InvalidParameter("pairs is missing; for example pairs=BTC/USD,ETH/USD")
    return asked.pairs


def quotes_of(parts: Services, asked: Sequence[Pair], bound: Bound = DEFAULT_BOUND) -> list[Quote]:
    """One quote for each asked pair that is served here, after asking REST for those without a price. Reports them.

    Raises UnknownPair when none is served here."""
    supported = _supported(parts, asked)
    held = parts.prices.quotes.look(supported, bound)
    _count(parts, asked, held)
    quotes = parts.prices.quotes.complete(held, bound)
    note_of(request.environ).pairs = sum(quote.verdict.servable for quote in quotes)
    return quotes


def _supported(parts: Services, asked: Sequence[Pair]) -> list[Pair]:
    known = [pair for pair in asked if pair in parts.prices.served]
    if not known:
        raise unserved(parts.prices.served, asked)
    return known


def _count(parts: Services, asked: Sequence[Pair], held: Sequence[Quote]) -> None:
    """Reports which of the asked prices were in memory."""
    note_of(request.environ).cache_hit = sum(quote.verdict.servable for quote in held) == len(asked)
    for hit in (True, False):
        pairs = [quote.pair for quote in held if quote.verdict.servable is hit]
        if pairs:
            count_prices(parts.meters, pairs, hit=hit)


def _prices(
    parts: Services, quotes: Sequence[Quote], failed: Sequence[PairProblem], *, detail: bool
) -> Response:
    served = [quote for quote in quotes if quote.verdict.servable]
    wall, pause = parts.clock.wall(), parts.pauses()
    books = best_of(parts, [quote.pair for quote in served]) if detail else {}
    items = []
    for quote in served:
        if quote.price is not None:
            items.append(
                _encode(_compared(parts, quote, quote.price, wall, books.get(quote.pair, UNSET)))
                if detail
                else item(quote.price.tick)
            )
            pause()
    content = body(items, failed)
    substitutes = substitutes_among(quote.price.tick for quote in served if quote.price is not None)
    count_substitutes(parts.meters, {(tick.pair, tick.source): 1 for tick in substitutes})
    named = names_of(substitutes)
    headers = dict(source_headers(named)) if named else {}
    if failed:
        return raw_response(content, 206, headers)
    tag = etag(content, named)
    scope = "private" if parts.config.auth_enabled else "public"
    headers |= {"ETag": tag, "Cache-Control": f"{scope}, max-age={0 if detail else 1}"}
    if matches(request.headers.get("If-None-Match"), tag):
        return raw_response(b"", 304, headers)
    return raw_response(content, headers=headers)


def _nothing(failed: Sequence[PairProblem]) -> Response:
    code, message = "ALL_PRICES_FAILED", "No price can be served for any of the pairs asked; try again later"
    if len(failed) == 1:
        code = failed[0].code
        message = f"{failed[0].pair}: {MESSAGES[code]}"
    request_id = note_of(request.environ).request_id
    content = shapes.Error(code, message, code, request_id, [problem.told() for problem in failed])
    return json_response(content, 503, {"Retry-After": str(RETRY_AFTER_SECONDS)})


def witnesses_of(parts: Services, quote: Quote) -> list[shapes.Witness]:
    """Last prices of the pair on other exchanges: shown beside the price, never served in its place."""
    amount = quote.price.tick.amount if quote.price else None
    return [
        shapes.Witness(
            exchange=witness.exchange,
            price=number(witness.price),
            age_ms=round(witness.age * 1000),
            divergence_bps=None if amount is None else number(witness.divergence(amount)),
        )
        for witness in parts.trades.witnesses.of(quote.pair)
    ]


def detail_of(parts: Services, quote: Quote) -> shapes.DetailedPrice | None:
    """The quote in detail, without other exchanges; None when the pair has no price."""
    return None if quote.price is None else _detailed(quote, quote.price, parts.clock.wall())


def streamed(parts: Services, quote: Quote) -> bytes:
    """The quote as streams tell it: the item of `detail=true`, or one without a price."""
    price, wall = quote.price, parts.clock.wall()
    if price is not None and quote.verdict.servable:
        return _encode(_compared(parts, quote, price, wall))
    age = quote.verdict.age
    return _encode(
        shapes.NoPrice(
            pair=str(quote.pair),
            amount=None,
            price=None,
            state=quote.verdict.state,
            source=price.confirmed_by if price else None,
            traded_at=rfc3339(price.tick.traded_at) if price else None,
            confirmed_at=None if age is None else rfc3339(wall - age),
            age_ms=None if age is None else round(age * 1000),
            trade_id=price.tick.trade_id if price else None,
        )
    )


def consensus_told(comparison: Comparison) -> shapes.Consensus:
    """What the exchanges say together, as answers tell it."""
    found = comparison.consensus
    return shapes.Consensus(
        median=None if found.median is None else plain(found.median),
        sources=list(found.exchanges),
        spread_bps=None if found.spread_bps is None else number(found.spread_bps),
        deviation_bps=None if found.deviation_bps is None else number(found.deviation_bps),
        reason=found.reason or UNSET,
    )


def _compared(
    parts: Services, quote: Quote, price: Price, wall: float, book: shapes.PairBook | UnsetType = UNSET
) -> shapes.DetailedPrice:
    """The price in detail, beside Kraken's book and the prices of other exchanges. `wall` is the unix second of the quote."""
    comparison = parts.other_markets.compare(quote.pair, price)
    if comparison is None:
        return _detailed(quote, price, wall, book=book)
    return _detailed(
        quote,
        price,
        wall,
        witnesses=witnesses_of(parts, quote),
        consensus=consensus_told(comparison),
        deviating=UNSET if comparison.deviating is None else comparison.deviating,
        book=book,
    )


def _detailed(
    quote: Quote,
    price: Price,
    wall: float,
    *,
    witnesses: Sequence[shapes.Witness] = (),
    consensus: shapes.Consensus | UnsetType = UNSET,
    deviating: bool | UnsetType = UNSET,
    book: shapes.PairBook | UnsetType = UNSET,
) -> shapes.DetailedPrice:
    """`wall` is the unix second of the quote."""
    age = quote.verdict.age or 0.0
    return shapes.DetailedPrice(
        pair=str(quote.pair),
        amount=number(price.tick.amount),
        price=price.tick.price,
        state=quote.verdict.state,
        source=price.confirmed_by,
        traded_at=rfc3339(price.tick.traded_at),
        confirmed_at=rfc3339(wall - age),
        age_ms=round(age * 1000),
        trade_id=price.tick.trade_id,
        witnesses=list(witnesses) or UNSET,
        consensus=consensus,
        deviating=deviating,
        book=book,
    )
