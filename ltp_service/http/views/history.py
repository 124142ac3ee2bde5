"""What the history tells: the price at a moment, candles, trades. Nothing of it is read on the hub, and no page written."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Literal, TypeVar, get_args
from urllib.parse import urlencode

from flask import Blueprint, Response, request
from msgspec import UNSET
from msgspec.json import encode

from ltp_service.assembly.services import Services
from ltp_service.domain.errors import (
    HistoryElsewhere,
    HistoryUnavailable,
    InvalidParameter,
    NotSupported,
    StoreUnavailable,
)
from ltp_service.domain.pairs import Pair
from ltp_service.history.answers import (
    MINUTES,
    Hole,
    Interval,
    PriceThen,
    Series,
    Told,
    Unknown,
    Window,
    vwap,
)
from ltp_service.history.contract import HistoryStore
from ltp_service.history.export import digits, told
from ltp_service.history.questions import Page, Pending, ask_candles, ask_price, ask_trades
from ltp_service.history.rows import RecordedTrade
from ltp_service.http import csv_answers, params, shapes
from ltp_service.http.answers import json_response, number, raw_response
from ltp_service.http.fast_lane import etag, matches
from ltp_service.http.problems import MESSAGES, NOT_KNOWN_YET
from ltp_service.http.request_note import note_of
from ltp_service.http.services import services
from ltp_service.http.unserved import unserved
from ltp_service.runtime.moments import rfc3339_exact

bp = Blueprint("history", __name__)

T = TypeVar("T")
Found = PriceThen | Hole | Pending | Unknown
Now = Callable[[], int]
"""The exchange's time in unix microseconds. It may raise StoreUnavailable."""
Form = Literal["json", "csv"]

MICROSECONDS = 1_000_000

MOST_ROWS = 1000
"""Most candles or trades in one answer."""

LAST_CANDLES = 60
"""Candles up to `end` where neither `start` nor `limit` is given."""

SETTLED_SECONDS = 3600
"""Seconds for which an answer may be kept that ids prove. It cannot change any more; but should the proof ever have been wrong, the
mended answer is seen within the hour."""

NEARLY_NOW = 1_000_000
"""Microseconds by which the clock of a client may be ahead of the exchange's."""

PENDING_RETRY_SECONDS = 1
"""Retry-After of what is not known yet."""

_ENDLESS = 1 << 62
"""A moment after every trade."""

_INTERVALS: Sequence[Interval] = get_args(Interval)
_FORMS: Sequence[Form] = get_args(Form)
_TYPES: dict[str, Form] = {"application/json": "json", "text/csv": "csv"}


@bp.get("/api/v1/ltp/at")
def at() -> Response:
    """The last traded price of the asked pairs, or of all, at a moment."""
    parts = services()
    asked = params.pairs(request.args, parts.prices.served.pairs).pairs
    moment, form = params.needed_moment(request.args, "time"), _form()
    decided = prices_then(parts, _supported(parts, asked), moment)
    known = [(pair, found) for pair, found in decided.items() if isinstance(found, PriceThen)]
    failed = [
        _failure(pair, found) for pair in asked if not isinstance(found := decided.get(pair), PriceThen)
    ]
    note_of(request.environ).pairs = len(known)
    if not known:
        return _nothing(failed)
    time, items, pause = rfc3339_exact(moment), [], parts.pauses()
    for pair, found in known:
        items.append(_past_price(pair, found))
        pause()
    if failed:
        body: shapes.PastPrices = shapes.SomePastPrices(time, items, failed)
    else:
        body = shapes.PastPrices(time, items)
    content = csv_answers.past_prices(body, failed).encode() if form == "csv" else encode(body)
    if failed:
        return _give(form, content, {}, 206)
    is_settled = all(found.next_trade_id is not None for _, found in known)
    return _give(form, content, _caching(parts, is_settled=is_settled))


def prices_then(parts: Services, served: Sequence[Pair], moment: int) -> dict[Pair, Found]:
    """What is known of the last price of each pair at a moment. Raises InvalidParameter for a moment in the future, and as
    `_ask`."""
    patience = _patience(parts)

    def look(store: HistoryStore, now: Now) -> dict[Pair, Found]:
        decided = {pair: ask_price(store, pair, moment, patience, now) for pair in served}
        is_proven = any(isinstance(found, PriceThen) and found.proof == "exact" for found in decided.values())
        if not is_proven and moment > now() + NEARLY_NOW:
            raise InvalidParameter(f"time lies in the future; for the exchange it is {rfc3339_exact(now())}")
        return decided

    return _ask(parts, served, look)


@bp.get("/api/v1/candles")
def candles() -> Response:
    """Candles of one pair, with what is known of each."""
    parts, pair = services(), _one_pair()
    interval = params.word(request.args, "interval", _INTERVALS)
    start, end, form = _start(), params.moment(request.args, "end"), _form()
    limit = params.whole(request.args, "limit", LAST_CANDLES if start is None else MOST_ROWS, (1, MOST_ROWS))
    minutes = MINUTES[interval]

    def look(store: HistoryStore, now: Now) -> tuple[Series, bytes]:
        found = ask_candles(store, pair, minutes, start, end, limit, now())
        body = shapes.Candles(str(pair), interval, [_candle(each) for each in found.candles])
        return found, csv_answers.candles(body).encode() if form == "csv" else encode(body)

    found, content = _ask(parts, [pair], look)
    # Without `start` the same question means others a minute later.
    is_settled = start is not None and bool(found.candles) and found.settled
    headers = _caching(parts, is_settled=is_settled)
    if found.more:
        headers |= _next(pair, start=rfc3339_exact(found.candles[-1].start + minutes * 60 * MICROSECONDS))
    return _give(form, content, headers)


@bp.get("/api/v1/trades")
def trades() -> Response:
    """Trades of one pair, with the gaps between them."""
    parts, pair = services(), _one_pair()
    start, end, form = _start(), params.moment(request.args, "end"), _form()
    after = None
    if "after_trade_id" in request.args:
        after = params.whole(request.args, "after_trade_id", 0, (0, params.LARGEST_ID))
    limit = params.whole(request.args, "limit", MOST_ROWS, (1, MOST_ROWS))
    patience = _patience(parts)

    def look(store: HistoryStore, now: Now) -> tuple[Page, bytes]:
        # The newest trades may still be under way; the same time makes a price stale.
        expected = end if end is not None and end <= now() else now() - patience
        page = ask_trades(
            store, pair, Window(start, after, _ENDLESS if end is None else end, expected), limit
        )
        if form == "csv":
            return page, csv_answers.trades(pair, page).encode()
        until = _moment(page.evidence_until)
        body = shapes.PastTrades(str(pair), [told(row) for row in page.rows], until)
        return page, encode(body)

    page, content = _ask(parts, [pair], look)
    headers = _caching(parts, is_settled=page.settled)
    if page.last:
        headers |= _next(
            pair, start=rfc3339_exact(page.last.traded_at), after_trade_id=str(page.last.trade_id)
        )
    return _give(form, content, headers)


# Questions.


def _form() -> Form:
    """`format`, else what Accept prefers. Raises InvalidParameter."""
    if request.args.get("format"):
        return params.word(request.args, "format", _FORMS)
    preferred = request.accept_mimetypes.best_match(_TYPES) if "HTTP_ACCEPT" in request.environ else None
    return _TYPES[preferred] if preferred else "json"


def _start() -> int | None:
    """`start`, which is before `end`. Raises InvalidParameter."""
    start, end = params.moment(request.args, "start"), params.moment(request.args, "end")
    if start is not None and end is not None and end <= start:
        raise InvalidParameter("end is not after start; what begins at start and ends before end is told")
    return start


def _one_pair() -> Pair:
    pair = params.one_pair(request.args)
    _supported(services(), (pair,))
    return pair


def _supported(parts: Services, asked: Sequence[Pair]) -> list[Pair]:
    served = [pair for pair in asked if pair in parts.prices.served]
    if not served:
        raise unserved(parts.prices.served, asked)
    return served


def _patience(parts: Services) -> int:
    """Microseconds for which what was last known still counts."""
    return round(parts.config.cache_ttl * MICROSECONDS)


def _ask(parts: Services, pairs: Sequence[Pair], question: Callable[[HistoryStore, Now], T]) -> T:
    """The answer of the store about these pairs. Raises NotSupported, HistoryElsewhere, HistoryUnavailable, and what the
    question raises."""
    history = parts.history
    if history is None:
        raise NotSupported(
            "no history is kept here, because HISTORY_URL is empty; set it, for example to sqlite:data/history.sqlite3"
        )
    if elsewhere := history.elsewhere():
        raise HistoryElsewhere(elsewhere)
    try:
        return history.read(lambda store: question(store, cache(lambda: history.now(store, pairs))))
    except StoreUnavailable as error:
        raise HistoryUnavailable(
            f"the history cannot be read: {error}. Prices do not need it. Look at HISTORY_URL, and ask again"
        ) from error


# Answers.


def _give(form: Form, content: bytes, headers: dict[str, str], status: int = 200) -> Response:
    """304 where the client has it already."""
    headers = {"Vary": "Accept", **headers}
    if form == "csv":
        headers["Content-Type"] = "text/csv; charset=utf-8"
    if status == 200:
        headers["ETag"] = etag(content)
        if matches(request.headers.get("If-None-Match"), headers["ETag"]):
            return raw_response(b"", 304, headers)
    return raw_response(content, status, headers)


def _caching(parts: Services, *, is_settled: bool) -> dict[str, str]:
    scope = "private" if parts.config.auth_enabled else "public"
    return {"Cache-Control": f"{scope}, max-age={SETTLED_SECONDS if is_settled else 0}"}


def _next(pair: Pair, **more: str) -> dict[str, str]:
    """The link to the next page of the same question."""
    kept = {name: text for name in ("interval", "end", "limit", "format") if (text := request.args.get(name))}
    return {"Link": f'<{request.path}?{urlencode({"pair": str(pair), **kept, **more})}>; rel="next"'}


def _nothing(failed: Sequence[shapes.PastError]) -> Response:
    """409 where trades are missing, 404 where nothing is known."""
    is_gap = any(each.code == "HISTORY_GAP" for each in failed)
    code = "HISTORY_GAP" if is_gap else "HISTORY_UNKNOWN"
    message = "None of the pairs asked has a known price at that moment; errors says why"
    if len(failed) == 1:
        message = f"{failed[0].pair}: {failed[0].message}"
    request_id = note_of(request.environ).request_id
    content = shapes.Error(code, message, code, request_id, list(failed))
    headers = {"Vary": "Accept"}
    if any(each.message == NOT_KNOWN_YET for each in failed):
        headers["Retry-After"] = str(PENDING_RETRY_SECONDS)
    return json_response(content, 409 if is_gap else 404, headers)


def _failure(pair: Pair, found: Hole | Pending | Unknown | None) -> shapes.PastError:
    failed: Literal["Failed to fetch price"] = "Failed to fetch price"
    if isinstance(found, Pending):
        return shapes.PastError(str(pair), failed, "HISTORY_GAP", NOT_KNOWN_YET, _edge(found.before), None)
    if isinstance(found, Hole):
        before, after = _edge(found.before), _edge(found.after) if found.after else None
        return shapes.PastError(str(pair), failed, "HISTORY_GAP", MESSAGES["HISTORY_GAP"], before, after)
    code = "UNSUPPORTED_PAIR" if found is None else "HISTORY_UNKNOWN"
    message = MESSAGES[code]
    if found and found.kept_from is not None:
        message = f"Trades before {rfc3339_exact(found.kept_from)} were deleted (HISTORY_KEEP); ask for a later moment"
    return shapes.PastError(str(pair), failed, code, message)


def _edge(trade: RecordedTrade) -> shapes.Edge:
    return shapes.Edge(trade.trade_id, rfc3339_exact(trade.traded_at), digits(trade.price))


def _past_price(pair: Pair, found: PriceThen) -> shapes.PastPrice:
    return shapes.PastPrice(
        pair=str(pair),
        amount=number(found.price),
        price=digits(found.price),
        traded_at=_moment(found.traded_at),
        trade_id=found.trade_id,
        proof=found.proof,
        next_trade_id=found.next_trade_id,
        evidence_until=rfc3339_exact(found.evidence_until),
    )


def _candle(found: Told) -> shapes.Candle:
    candle = found.candle
    return shapes.Candle(
        start=rfc3339_exact(found.start),
        open=digits(candle.open) if candle else None,
        high=digits(candle.high) if candle else None,
        low=digits(candle.low) if candle else None,
        close=digits(candle.close) if candle else None,
        volume=digits(candle.volume) if candle else "0",
        vwap=digits(vwap(candle)) if candle else None,
        trades=candle.trades if candle else 0,
        first_trade_id=candle.first_trade_id if candle else None,
        last_trade_id=candle.last_trade_id if candle else None,
        coverage=found.covered,
        open_ended=found.open_ended or UNSET,
    )


def _moment(at: int | None) -> str | None:
    return None if at is None else rfc3339_exact(at)
