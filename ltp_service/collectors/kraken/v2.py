"""Kraken's WebSocket protocol v2, in both directions; pure.

Source: docs.kraken.com/api/docs/websocket-v2 (status, ticker, trade, heartbeat, ping)
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from operator import attrgetter

import msgspec

from ltp_service.collectors.events import (
    HEARTBEAT,
    Acknowledged,
    Ended,
    Invalid,
    LastTrade,
    MarketChanged,
    Parsed,
    Refused,
    Request,
)
from ltp_service.decimals import read_price
from ltp_service.errors import BadFrame
from ltp_service.market import market_status
from ltp_service.pairs import kraken_v2_symbol

symbol_of = kraken_v2_symbol

_EARLIEST = 1262304000.0
"""2010: an empty market has been seen with timestamps of 1970."""


class _Result(msgspec.Struct):
    channel: str | None = None
    symbol: str | None = None


class _Frame(msgspec.Struct):
    channel: str | None = None
    type: str | None = None
    data: msgspec.Raw = msgspec.Raw(b"[]")
    method: str | None = None
    success: bool | None = None
    result: _Result | None = None
    error: str | None = None
    capital_error: str | None = msgspec.field(default=None, name="Error")
    symbol: str | None = None
    time_out: datetime | None = None


class _Ticker(msgspec.Struct):
    # Numbers come bare; Raw keeps the text that a float would lose. A pair without a trade for a day may have none.
    symbol: str
    last: msgspec.Raw = msgspec.Raw(b"null")
    timestamp: datetime | None = None


class _Trade(msgspec.Struct):
    symbol: str
    price: msgspec.Raw
    trade_id: int
    timestamp: datetime


class _Status(msgspec.Struct):
    system: str | None = None


_TICKER_UPDATE = '{"channel":"ticker","type":"update","data":[{"symbol":"'

_FRAME = msgspec.json.Decoder(_Frame)
_TICKERS = msgspec.json.Decoder(list[_Ticker])
_TRADES = msgspec.json.Decoder(list[_Trade])
_STATUS = msgspec.json.Decoder(list[_Status])
_TRADE_ID = attrgetter("trade_id")


def write(request: Request, request_id: int) -> str:
    """The text that asks for it; a new subscription is answered with each symbol's present state."""
    params: dict[str, object] = {"channel": request.channel, "symbol": request.symbols}
    if request.verb == "subscribe":
        params["snapshot"] = True
    return msgspec.json.encode({"method": request.verb, "params": params, "req_id": request_id}).decode()


def ping(request_id: int) -> str:
    """A question that the exchange answers even before any subscription."""
    return msgspec.json.encode({"method": "ping", "req_id": request_id}).decode()


def parse(frame: str) -> Parsed:
    """What a frame means. Raises BadFrame, or what msgspec raises for text of the wrong shape."""
    message = _FRAME.decode(frame)
    match message.channel:
        case "ticker":
            return Parsed("ticker", _parse_tickers(message))
        case "trade":
            return Parsed("trade", _parse_trades(message))
        case "heartbeat":
            return HEARTBEAT
        case "status":
            statuses = _STATUS.decode(message.data)
            return Parsed("status", [MarketChanged(market_status(status.system)) for status in statuses])
        case None:
            return _parse_answer(message)
    return Parsed(message.channel if message.channel in {"book", "ohlc", "instrument"} else "unknown", ())


def ticker_of(frame: str) -> str | None:
    """The symbol, where the frame is an update of that ticker and of nothing else; None for all others.

    It is told from the text, because a burst holds hundreds of tickers of which one is read.
    """
    if not frame.startswith(_TICKER_UPDATE) or frame.count('"symbol"') != 1:
        return None
    return frame[len(_TICKER_UPDATE) : frame.find('"', len(_TICKER_UPDATE))]


def _parse_answer(message: _Frame) -> Parsed:
    if message.method == "pong":
        return Parsed("pong", ())
    error = message.error or message.capital_error
    channel, symbol = (
        (message.result.channel, message.result.symbol) if message.result else (None, message.symbol)
    )
    if error or message.success is False:
        return Parsed("refusal", (Refused(error or "no reason given", channel, symbol),))
    if channel is None or symbol is None:
        return Parsed("unknown", ())
    if message.method == "unsubscribe":
        return Parsed("end", (Ended(channel, symbol),))
    return Parsed("acknowledgement", (Acknowledged(channel, symbol, _unix(message.time_out)),))


def _parse_tickers(message: _Frame) -> list[LastTrade | Invalid]:
    snapshot = message.type == "snapshot"
    return [
        _ticked(ticker.symbol, ticker.last, _unix(ticker.timestamp), snapshot=snapshot)
        for ticker in _TICKERS.decode(message.data)
    ]


def _parse_trades(message: _Frame) -> list[LastTrade | Invalid]:
    # A sweep brings several trades of one symbol, a snapshot several symbols: the newest of each counts.
    rows = _TRADES.decode(message.data)
    snapshot = message.type == "snapshot"
    if len(rows) == 1:
        return [_traded(rows[0], (), snapshot)]
    by_symbol: dict[str, list[_Trade]] = {}
    for row in rows:
        by_symbol.setdefault(row.symbol, []).append(row)
    return [
        _traded(max(of_one, key=_TRADE_ID), () if snapshot else of_one, snapshot)
        for of_one in by_symbol.values()
    ]


def _traded(trade: _Trade, rows: Sequence[_Trade], snapshot: bool) -> LastTrade | Invalid:
    """The event of `trade`, which stands among `rows` of its symbol."""
    price = bytes(trade.price).decode("ascii", "replace")
    try:
        amount, traded_at = read_price(price), _unix(trade.timestamp)
    except BadFrame as error:
        return Invalid(error.reason, f"{trade.symbol}: {error}")
    earlier = _amounts(row for row in rows if row.timestamp != trade.timestamp) if rows else ()
    return LastTrade(trade.symbol, price, amount, traded_at, trade.trade_id, snapshot, None, earlier)


def _amounts(rows: Iterable[_Trade]) -> tuple[Decimal, ...]:
    """Of those that can be read; the others cost the newest one nothing."""
    amounts = []
    for row in rows:
        with suppress(BadFrame):
            amounts.append(read_price(bytes(row.price).decode("ascii", "replace")))
    return tuple(amounts)


def _ticked(
    symbol: str, number: msgspec.Raw, told_at: float | None, *, snapshot: bool
) -> LastTrade | Invalid:
    price = bytes(number).decode("ascii", "replace")
    try:
        return LastTrade(symbol, price, read_price(price), None, None, snapshot, told_at)
    except BadFrame as error:
        return Invalid(error.reason, f"{symbol}: {error}")


def _unix(moment: datetime | None) -> float | None:
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise BadFrame(f"time {moment.isoformat()} without a zone", reason="time")
    seconds = moment.timestamp()
    return seconds if seconds > _EARLIEST else None
