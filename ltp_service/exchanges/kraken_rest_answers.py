"""What Kraken's public REST API answers; pure.

Source: docs.kraken.com/api/docs/rest-api (get-ticker-information, get-tradable-asset-pairs, get-recent-trades,
get-system-status) and docs.kraken.com/api/docs/guides/spot-errors
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from decimal import Decimal
from typing import NamedTuple, TypeVar

import msgspec

from ltp_service.collected.kraken_tape import EXCHANGE
from ltp_service.domain.decimals import read_price
from ltp_service.domain.errors import BadFrame, ExchangeError, Rejected, Unreachable
from ltp_service.domain.market import MarketStatus, market_status
from ltp_service.domain.pairs import Pair, kraken_rest_symbol, read_pair_or_none
from ltp_service.domain.tick import REST, Tick
from ltp_service.domain.trade import EARLIEST_TRADE, Side, Trade
from ltp_service.rest.http_client import HttpAnswer
from ltp_service.rest.sequence import NO_DETAIL, Detail, NewestTrades, Progress, Row

UNKNOWN_PAIR = "unknown_pair"
"""Reason of the refusal that one unknown pair earns for all that were asked with it."""

INVALID_ARGUMENTS = "invalid_arguments"
"""Reason of the refusal of a question as a whole. An unknown pair among several has earned it, too."""

THROTTLED = "throttled"

NOT_ASKED = "not_asked"
"""Reason of what is told of a pair that was not asked about."""

_THROTTLE = 5.0
"""Seconds to keep away after "Too many requests" without a Retry-After; asking on lengthens the block."""

_BAN = 60.0
"""The same after 429 and 403, which come from the edge and count per address, and after a lockout."""

_THROTTLING = re.compile("too many|rate limit|limit exceeded|exceeded msg rate|throttled|lockout|locked out")
"""Words of any error class (EAPI, EGeneral, EService, EOrder) that ask to be left alone."""

_THROTTLED_UNTIL = re.compile(r"throttled:\s*(\d{9,12})\b")
"""EService names the unix second at which it will answer again."""

_FAILING = ("eservice:", "internal error")

Decoded = TypeVar("Decoded")


class Listings(NamedTuple):
    """Every pair that REST knows, from AssetPairs."""

    by_key: Mapping[str, Pair]
    """Key of a result (`XXBTZUSD`) → pair."""
    symbols: Mapping[Pair, str]
    """Pair → the altname to ask for it (`XBTUSD`)."""
    statuses: Mapping[Pair, MarketStatus] = {}
    """Whether the orders of a pair are matched."""


NO_LISTINGS = Listings({}, {})


class Unusable(NamedTuple):
    """One pair's part of an answer that could not be used; `reason` is a fixed word."""

    key: str
    reason: str


class Evidence(NamedTuple):
    """Of which moment an answer is evidence."""

    at: float
    """The newest monotonic moment before which no cache can have kept it."""
    dated: bool = False
    """The answer itself tells how old it is at most."""
    day_is_young: bool = False
    """UTC's day at the exchange has just begun: a cache may still tell how far the day before had come."""


class Told(NamedTuple):
    """One pair's part of an answer of Ticker. The tick has no exchange time."""

    tick: Tick
    detail: Detail


class _Envelope(msgspec.Struct):
    error: list[str] = []
    result: msgspec.Raw = msgspec.Raw(b"null")


class _Ticker(msgspec.Struct):
    c: list[str]
    """Last trade: price, volume."""
    t: msgspec.Raw = msgspec.Raw(b"null")
    """Number of trades: today, last 24 hours."""
    v: msgspec.Raw = msgspec.Raw(b"null")
    """Volume: today, last 24 hours."""


class _Listing(msgspec.Struct):
    altname: msgspec.Raw = msgspec.Raw()
    wsname: msgspec.Raw = msgspec.Raw()
    status: msgspec.Raw = msgspec.Raw()


class _SystemStatus(msgspec.Struct):
    status: str | None = None


_VOLUME = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")

_ENVELOPE = msgspec.json.Decoder(_Envelope)
_BY_KEY = msgspec.json.Decoder(dict[str, msgspec.Raw])
_COUNTS = msgspec.json.Decoder(list[int])
_VOLUMES = msgspec.json.Decoder(list[str])
_TICKER = msgspec.json.Decoder(_Ticker)
_LISTING = msgspec.json.Decoder(_Listing)
_UNREADABLE_LISTING = _Listing(wsname=msgspec.Raw(b"{}"))
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_TEXT = msgspec.json.Decoder(str)
_TIME: msgspec.json.Decoder[float] = msgspec.json.Decoder(float)
_SIDES: Mapping[str, Side] = {"b": "buy", "s": "sell"}
_TRADE_ID = msgspec.json.Decoder(int)
_SYSTEM_STATUS = msgspec.json.Decoder(_SystemStatus)


def read_result(answer: HttpAnswer) -> msgspec.Raw:
    """The JSON text of `result`. Warnings beside it are no matter.

    Raises Unreachable (the exchange is down or failing), Rejected (it refused; `retry_after` set where it
    is to be left alone) or BadFrame (not the API's JSON).
    """
    if answer.status != 200:
        raise _status_error(answer)
    if answer.content_type == "text/html":
        raise BadFrame("a web page in place of JSON", reason="html")
    envelope = _decoded(_ENVELOPE, answer.body)
    errors = [error for error in envelope.error if not error.upper().startswith("W")]
    if errors:
        raise _named_error("; ".join(errors)[:300], answer.date)
    if bytes(envelope.result).strip() == b"null":
        raise BadFrame("an answer without a result", reason="no_result")
    return envelope.result


def _status_error(answer: HttpAnswer) -> ExchangeError:
    text = f"HTTP status {answer.status}"
    if answer.status in {403, 429}:
        return Rejected(text, reason=THROTTLED, retry_after=answer.retry_after or _BAN)
    if answer.status >= 500:
        return Unreachable(text, reason="server_error", retry_after=answer.retry_after)
    return Rejected(text, reason="client_error")


def _named_error(text: str, date: float | None) -> ExchangeError:
    lower = text.lower()
    if _THROTTLING.search(lower):
        return Rejected(text, reason=THROTTLED, retry_after=_keep_away(lower, date))
    if "asset pair" in lower:
        return Rejected(text, reason=UNKNOWN_PAIR)
    if "invalid arguments" in lower:
        return Rejected(text, reason=INVALID_ARGUMENTS)
    if any(words in lower for words in _FAILING):
        return Unreachable(text, reason="server_error")
    return Rejected(text, reason="refused")


def _keep_away(text: str, date: float | None) -> float:
    if "lock" in text:
        return _BAN
    until = _THROTTLED_UNTIL.search(text)
    return max(_THROTTLE, int(until[1]) - date) if until and date is not None else _THROTTLE


def _decoded(decoder: msgspec.json.Decoder[Decoded], text: bytes | msgspec.Raw) -> Decoded:
    try:
        return decoder.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise BadFrame(f"not the JSON expected: {error}", reason="malformed") from error


def read_tickers(
    result: msgspec.Raw,
    asked: Iterable[Pair],
    listings: Listings | None,
    evidence: Evidence,
    *,
    of_all: bool = False,
) -> Iterator[Told | Unusable]:
    """The last trade of each pair asked for, or why there is none; `of_all`: the answer tells of others, too.

    Raises BadFrame when nothing can be read.
    """
    by_symbol = _by_symbol(asked)
    for key, ticker in _decoded(_BY_KEY, result).items():
        try:
            pair = _pair_of(key, by_symbol, listings)
            entry = _decoded(_TICKER, ticker)
            if not entry.c:
                raise BadFrame(f"{key}: no last trade", reason="missing")
            detail = _detail(entry)
            progress = None if evidence.day_is_young else detail.progress
            yield Told(
                _tick(pair, entry.c[0], evidence.at), detail._replace(dated=evidence.dated, progress=progress)
            )
        except BadFrame as error:
            if not (of_all and error.reason == NOT_ASKED):
                yield Unusable(key, error.reason)


def _detail(entry: _Ticker) -> Detail:
    """What orders an answer among others; a price is a price without it."""
    try:
        last = _volume(entry.c[1])
        return Detail(last, Progress(_COUNTS.decode(entry.t)[0], _volume(_VOLUMES.decode(entry.v)[0])))
    except (msgspec.MsgspecError, BadFrame, IndexError):
        return NO_DETAIL


def _volume(text: str) -> Decimal:
    if not _VOLUME.fullmatch(text):
        raise BadFrame(f"volume {text[:40]!r} is not a number", reason="malformed")
    return Decimal(text)


def read_trades(
    result: msgspec.Raw, pair: Pair, listings: Listings | None, as_of: float
) -> NewestTrades | None:
    """The newest trades in an answer of Trades, the very newest with its time and id; None where there are none."""
    rows: list[msgspec.Raw] = []
    by_symbol = _by_symbol([pair])
    for key, trades in _decoded(_BY_KEY, result).items():
        if key != "last" and _pair_of(key, by_symbol, listings) == pair:
            rows = _decoded(_LIST, trades)
    told: dict[int, _Trade] = {}
    for place, row in enumerate(rows):
        try:
            told[place] = _trade(_decoded(_LIST, row), pair)
        except BadFrame as error:
            if row is rows[-1] and not told:
                raise error from None
    if not told:
        return None
    places = sorted(told, key=lambda place: (told[place].traded_at, told[place].trade_id or 0))
    last = places[-1]
    newest = told[last]
    tick = _tick(pair, newest.price, as_of, newest.traded_at, newest.trade_id)
    # Rows stand in the order of time, mostly oldest first. What cannot be read beyond the newest row may be newer.
    is_at_the_end = last == len(rows) - 1 or (last == 0 and len(told) > 1)
    is_whole = is_at_the_end or len(told) == len(rows)
    return NewestTrades(tick, tuple(told[place].row for place in places), is_whole=is_whole)


def read_page(
    result: msgspec.Raw, pair: Pair, listings: Listings | None, received_at: float
) -> Iterator[Trade]:
    """Every trade in an answer of Trades that has an id and can be read; `received_at` in unix seconds. One after the other,
    because a thousand take many milliseconds."""
    rows: list[msgspec.Raw] = []
    by_symbol = _by_symbol([pair])
    for key, told in _decoded(_BY_KEY, result).items():
        if key != "last" and _pair_of(key, by_symbol, listings) == pair:
            rows = _decoded(_LIST, told)
    for row in rows:
        with suppress(BadFrame):
            yield _whole_trade(_decoded(_LIST, row), pair, received_at)


def _whole_trade(row: list[msgspec.Raw], pair: Pair, received_at: float) -> Trade:
    trade = _trade(row, pair)
    side = _SIDES.get(_decoded(_TEXT, row[3])) if len(row) > 3 else None
    if trade.trade_id is None or side is None:
        raise BadFrame(f"{pair}: a trade without its id or its side", reason="malformed")
    return Trade(
        exchange=EXCHANGE,
        symbol=str(pair),
        side=side,
        price=trade.row.price,
        quantity=read_price(_decoded(_TEXT, row[1])),
        timestamp=trade.traded_at,
        trade_id=str(trade.trade_id),
        received_at=received_at,
        raw=f"[{','.join(bytes(each).decode('utf-8', 'replace') for each in row)}]",
    )


class _Trade(NamedTuple):
    price: str
    row: Row
    traded_at: float
    trade_id: int | None


def _trade(row: list[msgspec.Raw], pair: Pair) -> _Trade:
    if len(row) < 3:
        raise BadFrame(f"{pair}: a trade of {len(row)} fields", reason="malformed")
    seconds: float = _decoded(_TIME, row[2])
    # The WebSocket tells microseconds, REST one digit more: the same trade must have the same time.
    traded_at = round(seconds, 6)
    if not traded_at > EARLIEST_TRADE:
        raise BadFrame(f"{pair}: a trade of unix time {traded_at}", reason="time")
    price = _decoded(_TEXT, row[0])
    trade_id = _decoded(_TRADE_ID, row[6]) if len(row) > 6 else None
    return _Trade(price, Row(read_price(price), _volume(_decoded(_TEXT, row[1]))), traded_at, trade_id)


def _tick(
    pair: Pair, price: str, as_of: float, traded_at: float | None = None, trade_id: int | None = None
) -> Tick:
    return Tick(pair, price, read_price(price), REST, traded_at, trade_id, as_of, None)


def _by_symbol(asked: Iterable[Pair]) -> Mapping[str, Pair]:
    return {kraken_rest_symbol(pair): pair for pair in asked}


def _pair_of(key: str, asked: Mapping[str, Pair], listings: Listings | None) -> Pair:
    # A result's key is Kraken's own name of the pair, whatever name was asked.
    listed = listings.by_key.get(key) if listings else None
    pair = listed or asked.get(key) or read_pair_or_none(key)
    if pair is None or asked.get(kraken_rest_symbol(pair)) != pair:
        raise BadFrame(f"{key[:40]!r} was not asked for", reason=NOT_ASKED)
    return pair


def read_listings(result: msgspec.Raw, before: Listings = NO_LISTINGS) -> Listings:
    """The pairs of AssetPairs; dark pools (without wsname) are left out. Raises BadFrame when there are none.

    A pair that is listed twice is the market that trades, as when its successor has taken over the name; of two that
    trade it is the one whose altname is the pair's own. What cannot be read of a row is taken from the list `before`.
    """
    listed: dict[Pair, _Listed] = {}
    for key, row in _decoded(_BY_KEY, result).items():
        if told := _listed(key, row, before):
            rival = listed.get(told.pair)
            if rival is None or told.precedence > rival.precedence:
                listed[told.pair] = told
    if not listed:
        raise BadFrame("AssetPairs names no pair", reason="no_result")
    return Listings(
        by_key={told.key: pair for pair, told in listed.items()},
        symbols={pair: told.altname for pair, told in listed.items()},
        statuses={pair: told.status for pair, told in listed.items()},
    )


class _Listed(NamedTuple):
    pair: Pair
    key: str
    altname: str
    status: MarketStatus
    precedence: tuple[bool, bool]


def _listed(key: str, row: msgspec.Raw, before: Listings) -> _Listed | None:
    """What can be read of a row: its pair is listed, whatever is wrong with the rest. None for a dark pool."""
    try:
        told = _decoded(_LISTING, row)
    except BadFrame:
        told = _UNREADABLE_LISTING
    if bytes(told.wsname) in (b"", b"null"):
        return None
    name = _text_or_none(told.wsname)
    pair = read_pair_or_none(name) if name is not None else before.by_key.get(key) or read_pair_or_none(key)
    if pair is None:
        return None
    altname = _text_or_none(told.altname) or before.symbols.get(pair) or kraken_rest_symbol(pair)
    status = market_status(_text_or_none(told.status))
    return _Listed(pair, key, altname, status, (status == "online", altname == (name or "").replace("/", "")))


def _text_or_none(text: msgspec.Raw) -> str | None:
    try:
        return _decoded(_TEXT, text)
    except BadFrame:
        return None


def read_system_status(result: msgspec.Raw) -> MarketStatus:
    """Whether the exchange matches orders."""
    return market_status(_decoded(_SYSTEM_STATUS, result).status)
