"""Kraken's WebSocket protocol v2, in both directions; pure.

Source: docs.kraken.com/api/docs/websocket-v2 (status, instrument, ticker, trade, heartbeat, ping)
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from operator import attrgetter
from typing import TypeVar

import msgspec

from ltp_service.collected.kraken_tape import EXCHANGE
from ltp_service.domain.decimals import read_price
from ltp_service.domain.errors import BadFrame
from ltp_service.domain.market import market_status
from ltp_service.domain.pairs import kraken_v2_symbol
from ltp_service.domain.trade import EARLIEST_TRADE, Side, Trade
from ltp_service.exchanges.kraken_names import may_name_a_pair
from ltp_service.feed.messages import (
    HEARTBEAT,
    Acknowledged,
    Ended,
    Invalid,
    LastTrade,
    MarketChanged,
    PairsListed,
    Parsed,
    Pong,
    Refused,
    Request,
)
from ltp_service.prices.accept import FAR_IDS

symbol_of = kraken_v2_symbol

LISTINGS = "instrument"
"""The channel that tells of each pair whether its orders are matched; it takes no symbols."""

_NOT_READ = frozenset({"book", "level3", "ohlc", "spread", "executions", "balances"})
"""Channels of which no last trade is read."""

_REQUESTS = frozenset({"subscribe", "unsubscribe"})
"""Methods whose answers are about what was asked, whatever pair they name."""


class _Result(msgspec.Struct):
    channel: str | None = None
    symbol: str | None = None


class _Frame(msgspec.Struct):
    channel: str | None = None
    type: str | None = None
    data: msgspec.Raw = msgspec.Raw()
    method: str | None = None
    success: bool | None = None
    result: _Result | None = None
    error: str | None = None
    capital_error: str | None = msgspec.field(default=None, name="Error")
    symbol: str | None = None
    time_out: datetime | None = None
    req_id: int | None = None


class _Ticker(msgspec.Struct):
    # Numbers come bare; Raw keeps the text that a float would lose. A pair without a trade for a day may have none.
    symbol: str
    last: msgspec.Raw = msgspec.Raw()
    timestamp: datetime | None = None


class _Trade(msgspec.Struct):
    symbol: str
    price: msgspec.Raw
    trade_id: int
    timestamp: datetime


class _WholeTrade(_Trade):
    qty: msgspec.Raw
    side: Side


class _Named(msgspec.Struct):
    symbol: str


class _Instruments(msgspec.Struct):
    pairs: msgspec.Raw = msgspec.Raw(b"[]")


class _Instrument(msgspec.Struct):
    symbol: str
    status: str


class _Status(msgspec.Struct):
    system: str | None = None


_LIVE = re.compile(r'"type"\s*:\s*"update"')

_FRAME = msgspec.json.Decoder(_Frame)
_TICKER = msgspec.json.Decoder(_Ticker)
_TICKERS = msgspec.json.Decoder(list[_Ticker])
_TRADE = msgspec.json.Decoder(_Trade)
_WHOLE_TRADE = msgspec.json.Decoder(_WholeTrade)
_TRADES = msgspec.json.Decoder(list[_Trade])
_ROWS = msgspec.json.Decoder(list[msgspec.Raw])
_INSTRUMENTS = msgspec.json.Decoder(_Instruments)
_INSTRUMENT = msgspec.json.Decoder(_Instrument)
_LISTED = msgspec.json.Decoder(list[_Instrument])
_NAMED = msgspec.json.Decoder(_Named)
_STATUS = msgspec.json.Decoder(list[_Status])
_NO_ROWS = msgspec.Raw(b"[]")
_TRADE_ID, _MOMENT = attrgetter("trade_id"), attrgetter("traded_at", "trade_id")

Row = TypeVar("Row")


def write(request: Request, request_id: int) -> str:
    """The text that asks for it; a new subscription is answered with each symbol's present state."""
    params: dict[str, object] = {"channel": request.channel}
    if request.symbols:
        params["symbol"] = request.symbols
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
        case "status" | "instrument":
            return _parse_state(message)
        case None:
            return _parse_answer(message, frame)
    return _parse_other(message, message.channel, frame)


def trades_of(frame: str, received_at: float) -> list[Trade]:
    """Every trade of a frame of the trade channel that arrived at that unix second; never raises.

    A row that cannot be read is left out: the ids of its neighbours tell that it is missing.
    """
    trades: list[Trade] = []
    try:
        message = _FRAME.decode(frame)
        rows = _ROWS.decode(message.data) if message.channel == "trade" else []
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return trades
    for row in rows:
        with suppress(msgspec.MsgspecError, ValueError, BadFrame):
            trades.append(_whole(row, received_at))
    return trades


def is_live(frame: str) -> bool:
    """Whether a frame tells what has just happened. False for the state at the beginning of a subscription."""
    return _LIVE.search(frame) is not None


def _whole(row: msgspec.Raw, received_at: float) -> Trade:
    told = _WHOLE_TRADE.decode(row)
    traded_at = unix(told.timestamp)
    if traded_at is None:
        raise BadFrame(f"{told.symbol}: a trade without a true time", reason="malformed")
    return Trade(
        exchange=EXCHANGE,
        symbol=told.symbol,
        side=told.side,
        price=_number(told.price),
        quantity=_number(told.qty),
        timestamp=traded_at,
        trade_id=str(told.trade_id),
        received_at=received_at,
        raw=bytes(row).decode(),
    )


def _number(text: msgspec.Raw) -> Decimal:
    return read_price(bytes(text).decode("ascii", "replace"))


def _filled(message: _Frame, events: list[LastTrade | Invalid]) -> list[LastTrade | Invalid]:
    """The events of a frame's rows. Raises BadFrame where there are none, because its news may stand somewhere else.

    An empty snapshot is no news: the exchange has no trade of a new pair.
    """
    if not events and not (message.type == "snapshot" and message.data):
        raise BadFrame(f"{message.channel} frame without a row", reason="shape")
    if message.symbol is not None and any(type(event) is Invalid for event in events):
        return [*events, Invalid("shape", "a row that may be about the pair of its frame", message.symbol)]
    return events


def _has_data(message: _Frame) -> bool:
    return bytes(message.data) not in (b"", b"[]")


def _parse_answer(message: _Frame, frame: str) -> Parsed:
    if message.method == "pong":
        told = unix(message.time_out)
        return Parsed("pong", () if told is None else (Pong(told),))
    error = message.error or message.capital_error
    channel, symbol = (
        (message.result.channel, message.result.symbol) if message.result else (None, message.symbol)
    )
    if error or message.success is False:
        return Parsed("refusal", (Refused(error or "no reason given", channel, symbol, message.req_id),))
    if message.method is None and _has_data(message):
        raise BadFrame("data of no channel", reason="shape")
    if channel == LISTINGS:
        return Parsed("acknowledgement", ())
    if channel is None or symbol is None:
        if message.method not in _REQUESTS and may_name_a_pair(frame):
            raise BadFrame("it names a pair and no channel", reason="shape")
        return Parsed("unknown", ())
    if message.method == "unsubscribe":
        return Parsed("end", (Ended(channel, symbol),))
    return Parsed("acknowledgement", (Acknowledged(channel, symbol, unix(message.time_out)),))


def _parse_other(message: _Frame, channel: str, frame: str) -> Parsed:
    """A channel without last trades. One that is not known may have the trades of a pair under another name."""
    if channel in _NOT_READ:
        return Parsed(channel, ())
    if message.symbol is not None or _has_data(message) or may_name_a_pair(frame):
        raise BadFrame("data of a channel that is not known", reason="shape")
    return Parsed("unknown", ())


def _parse_tickers(message: _Frame) -> list[LastTrade | Invalid]:
    snapshot = message.type == "snapshot"
    tickers, unusable = _rows(_TICKERS, _TICKER, message.data or _NO_ROWS)
    events = [*(_ticked(ticker, snapshot=snapshot) for ticker in tickers), *unusable]
    return events if tickers and not unusable else _filled(message, events)


def _parse_trades(message: _Frame) -> list[LastTrade | Invalid]:
    # A sweep brings several trades of one symbol, a snapshot several symbols: the newest of each counts.
    snapshot = message.type == "snapshot"
    unusable: list[Invalid] = []
    try:
        rows = _TRADES.decode(message.data or _NO_ROWS)
    except (msgspec.MsgspecError, ValueError):
        rows, unusable = _usable_rows(_TRADE, message.data)
    if len(rows) == 1 and not unusable:
        return [_traded(rows[0], snapshot=snapshot)]
    by_symbol: dict[str, list[LastTrade]] = {}
    for row in rows:
        trade = _traded(row, snapshot=snapshot)
        if isinstance(trade, LastTrade):
            by_symbol.setdefault(trade.symbol, []).append(trade)
        else:
            unusable.append(trade)
    return _filled(message, [*map(_newest, by_symbol.values()), *unusable])


def _parse_state(message: _Frame) -> Parsed:
    if message.channel == LISTINGS:
        return Parsed(LISTINGS, _parse_instruments(message))
    told = (market_status(status.system) for status in _STATUS.decode(message.data or _NO_ROWS))
    return Parsed("status", [MarketChanged(status) for status in told if status != "unknown"])


def _parse_instruments(message: _Frame) -> list[PairsListed | Invalid]:
    listed, unusable = _rows(_LISTED, _INSTRUMENT, _INSTRUMENTS.decode(message.data).pairs)
    statuses = {each.symbol: market_status(each.status) for each in listed}
    return [PairsListed(statuses, message.type == "snapshot" and not unusable), *unusable]


def _rows(
    all_of: msgspec.json.Decoder[list[Row]], one_of: msgspec.json.Decoder[Row], data: msgspec.Raw
) -> tuple[list[Row], list[Invalid]]:
    """The rows that can be read, and the others. Raises what msgspec raises when `data` is no list."""
    try:
        return all_of.decode(data), []
    except (msgspec.MsgspecError, ValueError):
        return _usable_rows(one_of, data)


def _usable_rows(one_of: msgspec.json.Decoder[Row], data: msgspec.Raw) -> tuple[list[Row], list[Invalid]]:
    """The rows of which at least one cannot be read, one by one. Raises as `_rows` does."""
    rows: list[Row] = []
    unusable: list[Invalid] = []
    for text in _ROWS.decode(data):
        try:
            rows.append(one_of.decode(text))
        except (msgspec.MsgspecError, ValueError) as error:
            unusable.append(Invalid("malformed", str(error), name_of(text)))
    return rows, unusable


def name_of(row: msgspec.Raw) -> str:
    """The symbol of a row, or its whole text where that cannot be read."""
    try:
        return _NAMED.decode(row).symbol
    except (msgspec.MsgspecError, ValueError):
        return bytes(row).decode("utf-8", "replace")


def _newest(trades: Sequence[LastTrade]) -> LastTrade:
    """The newest of one symbol's trades, with the others."""
    ids = [trade.trade_id or 0 for trade in trades]
    is_renumbered = max(ids) - min(ids) > FAR_IDS
    newest, *others = sorted(trades, key=_MOMENT if is_renumbered else _TRADE_ID, reverse=True)
    return msgspec.structs.replace(newest, others=tuple(others)) if others else newest


def _traded(trade: _Trade, *, snapshot: bool) -> LastTrade | Invalid:
    price = bytes(trade.price).decode("ascii", "replace")
    try:
        traded_at = unix(trade.timestamp)
        if traded_at is None:
            raise BadFrame("a trade of before 2010", reason="time")
        return LastTrade(trade.symbol, price, read_price(price), traded_at, trade.trade_id, snapshot)
    except BadFrame as error:
        return Invalid(error.reason, f"{trade.symbol}: {error}", trade.symbol)


def _ticked(ticker: _Ticker, *, snapshot: bool) -> LastTrade | Invalid:
    price = bytes(ticker.last).decode("ascii", "replace")
    try:
        told_at = unix(ticker.timestamp)
        return LastTrade(ticker.symbol, price, read_price(price), None, None, snapshot, told_at)
    except BadFrame as error:
        # A snapshot has no price of a pair that was not traded for a day. Everything else says that there was a trade.
        named = None if snapshot and not price else ticker.symbol
        return Invalid(error.reason, f"{ticker.symbol}: {error}", named)


def unix(moment: datetime | None) -> float | None:
    """Unix seconds; None for no moment, or one before 2010. Raises BadFrame for one without a zone."""
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise BadFrame(f"time {moment.isoformat()} without a zone", reason="time")
    seconds = moment.timestamp()
    return seconds if seconds > EARLIEST_TRADE else None
