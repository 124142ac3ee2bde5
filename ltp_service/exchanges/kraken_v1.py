"""Kraken's WebSocket protocol v1, in both directions; pure.

Source: docs.kraken.com/exchange/api-reference/spot-websocket-v1
"""

from collections.abc import Sequence
from math import nan
from operator import attrgetter

import msgspec

from ltp_service.domain.decimals import read_price
from ltp_service.domain.errors import BadFrame
from ltp_service.domain.market import market_status
from ltp_service.domain.pairs import kraken_v1_symbol
from ltp_service.domain.trade import EARLIEST_TRADE
from ltp_service.exchanges.kraken_names import may_name_a_pair
from ltp_service.feed.messages import (
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

symbol_of = kraken_v1_symbol

_TIME = attrgetter("traded_at")

_LATEST = 253402300800.0
"""The year 10000."""


class _Subscription(msgspec.Struct):
    name: str


class _Event(msgspec.Struct):
    # {"channelID":993,"channelName":"trade","event":"subscriptionStatus","pair":"XMR/USD",
    #  "status":"subscribed","subscription":{"name":"trade"}}
    event: str = ""
    status: str | None = None
    pair: str | None = None
    subscription: _Subscription | None = None
    errorMessage: str | None = None  # noqa: N815 - Kraken's own name of the field
    reqid: int | None = None


class _Ticker(msgspec.Struct):
    # "c" is the last trade; "p" is the average price, which others have published by mistake.
    c: list[str]


_FRAME = msgspec.json.Decoder(list[msgspec.Raw])
_EVENT = msgspec.json.Decoder(_Event)
_TICKER = msgspec.json.Decoder(_Ticker)
_ROWS = msgspec.json.Decoder(list[msgspec.Raw])
_TRADE = msgspec.json.Decoder(list[str])
_TRADES = msgspec.json.Decoder(list[list[str]])
_TEXT = msgspec.json.Decoder(str)


def write(request: Request, request_id: int) -> str:
    """The text that asks for it."""
    text = {
        "event": request.verb,
        "reqid": request_id,
        "pair": request.symbols,
        "subscription": {"name": request.channel},
    }
    return msgspec.json.encode(text).decode()


def ping(request_id: int) -> str:
    """A question that the exchange answers even before any subscription."""
    return msgspec.json.encode({"event": "ping", "reqid": request_id}).decode()


def parse(frame: str) -> Parsed:
    """What a frame means. Raises BadFrame, or what msgspec raises for text of the wrong shape."""
    if frame.startswith("["):
        return _parse_data(frame)
    event = _EVENT.decode(frame)
    match event.event:
        case "heartbeat":
            return HEARTBEAT
        case "subscriptionStatus":
            return _parse_subscription(event)
        case "systemStatus":
            status = market_status(event.status)
            return Parsed("status", () if status == "unknown" else (MarketChanged(status),))
        case "error":
            return Parsed(
                "refusal", (Refused(event.errorMessage or "no reason given", request_id=event.reqid),)
            )
    if event.event != "pong" and may_name_a_pair(frame):
        raise BadFrame("an event that is not known names a pair", reason="shape")
    return Parsed("pong" if event.event == "pong" else "unknown", ())


def _parse_subscription(event: _Event) -> Parsed:
    channel = event.subscription.name if event.subscription else None
    if event.status == "error" or channel is None or event.pair is None:
        return Parsed("refusal", (Refused(event.errorMessage or "no reason given", channel, event.pair),))
    if event.status == "unsubscribed":
        return Parsed("end", (Ended(channel, event.pair),))
    return Parsed("acknowledgement", (Acknowledged(channel, event.pair),))


def _parse_data(frame: str) -> Parsed:
    # [channelID, payload, (more payloads, as of a two-sided book update,) channelName, pair]
    parts = _FRAME.decode(frame)
    if len(parts) < 4:
        raise BadFrame("data frame of fewer than four elements", reason="shape")
    channel = bytes(parts[-2])
    if channel == b'"ticker"':
        return _parse_ticker(parts[1:-2], _TEXT.decode(parts[-1]))
    if channel == b'"trade"':
        return _parse_trades(parts[1:-2], _TEXT.decode(parts[-1]))
    name = _TEXT.decode(channel).partition("-")[0]
    if name not in {"book", "spread", "ohlc"}:  # it may have the trades of a pair under another name
        raise BadFrame("data of a channel that is not known", reason="shape")
    return Parsed(name, ())


def _parse_ticker(payloads: Sequence[msgspec.Raw], symbol: str) -> Parsed:
    if len(payloads) > 1:  # without times, which is the last trade is not known
        raise BadFrame("a ticker of several payloads", reason="shape")
    last = _TICKER.decode(payloads[0]).c
    if not last:
        raise BadFrame("ticker without a last trade", reason="shape")
    return Parsed("ticker", (LastTrade(symbol, last[0], read_price(last[0])),))


def _parse_trades(payloads: Sequence[msgspec.Raw], symbol: str) -> Parsed:
    # [["354.04000000","0.28245396","1618678150.826417","s","m",""], …]
    try:
        trades = [_read_trade(row, symbol) for payload in payloads for row in _TRADES.decode(payload)]
    except (BadFrame, msgspec.MsgspecError, ValueError):
        return Parsed("trade", _each_trade(payloads, symbol))
    if not trades:
        raise BadFrame("trade frame without a row", reason="shape")
    return Parsed("trade", (trades[0] if len(trades) == 1 else _newest(trades),))


def _each_trade(payloads: Sequence[msgspec.Raw], symbol: str) -> list[LastTrade | Invalid]:
    """The newest of the rows that can be used, and each of the others."""
    trades: list[LastTrade] = []
    unusable: list[Invalid] = []
    for row in [row for payload in payloads for row in _ROWS.decode(payload)]:
        try:
            trades.append(_read_trade(_TRADE.decode(row), symbol))
        except BadFrame as error:
            unusable.append(Invalid(error.reason, f"{symbol}: {error}", symbol))
        except (msgspec.MsgspecError, ValueError) as error:
            unusable.append(Invalid("malformed", f"{symbol}: {error}", symbol))
    return [*([_newest(trades)] if trades else ()), *unusable]


def _read_trade(fields: list[str], symbol: str) -> LastTrade:
    if len(fields) < 3:
        raise BadFrame("a trade of fewer than three fields", reason="shape")
    return LastTrade(symbol, fields[0], read_price(fields[0]), read_time(fields[2]))


def _newest(trades: list[LastTrade]) -> LastTrade:
    """The newest trade of a frame, with the others."""
    if _TIME(trades[0]) <= _TIME(trades[-1]):
        trades.reverse()
    # Equals stay in their order. Only the direction of the frame tells trades of one moment apart.
    newest, *others = sorted(trades, key=_TIME, reverse=True)
    return msgspec.structs.replace(newest, others=tuple(others))


def read_time(text: str) -> float:
    """Unix seconds from `1618678150.826417`. Raises BadFrame for what is no moment, or one before 2010."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = nan
    if not EARLIEST_TRADE < seconds < _LATEST:  # false for "nan" too, which nothing would ever count as older
        raise BadFrame(f"trade time {text[:40]!r} is no moment", reason="time")
    return seconds
