"""Bybit's public v5 spot stream: trades and order books.

Source: bybit-exchange.github.io/docs/v5/ws/connect, …/websocket/public/trade, …/websocket/public/orderbook
"""

from typing import Any, Literal

import msgspec

from ltp_service.domain.book import BookChange, BookSnapshot, read_levels
from ltp_service.domain.decimals import read_price
from ltp_service.domain.errors import BadFrame
from ltp_service.domain.trade import Side
from ltp_service.feed.books import BookCollector
from ltp_service.feed.contract import Terms
from ltp_service.feed.messages import Answered, Event, Invalid, Parsed, Request, Skipped, Traded
from ltp_service.feed.trades import TradeCollector

URL = "wss://stream.bybit.com/v5/public/spot"

TERMS = Terms(ping_every=20.0, pong_within=10.0, symbols_per_request=10)

_SIDES: dict[str, Side] = {"Buy": "buy", "Sell": "sell"}


class _Frame(msgspec.Struct):
    topic: str | None = None
    type: str | None = None
    data: msgspec.Raw = msgspec.Raw(b"[]")
    ts: Any = None
    cts: Any = None
    op: str | None = None
    success: bool | None = None
    ret_msg: str | None = None
    req_id: str | int | None = None


class _Trade(msgspec.Struct):
    # {"i":"2290000001190010749","T":1786538700967,"p":"64103.9","v":"0.001683","S":"Sell",
    #  "seq":112571834997,"s":"BTCUSDT","BT":false,"RPI":false}
    identity: str = msgspec.field(name="i")
    time: int = msgspec.field(name="T")
    price: str = msgspec.field(name="p")
    volume: str = msgspec.field(name="v")
    side: Literal["Buy", "Sell"] = msgspec.field(name="S")
    symbol: str = msgspec.field(name="s")
    block: bool = msgspec.field(name="BT", default=False)


class _Book(msgspec.Struct):
    symbol: str = msgspec.field(name="s")
    bids: list[tuple[str, str]] = msgspec.field(name="b")
    asks: list[tuple[str, str]] = msgspec.field(name="a")
    update: int = msgspec.field(name="u")


_FRAME = msgspec.json.Decoder(_Frame)
_ROWS = msgspec.json.Decoder(list[msgspec.Raw])
_TRADE = msgspec.json.Decoder(_Trade)
_BOOK = msgspec.json.Decoder(_Book)

_KINDS = {"tickers": "ticker", "kline": "kline"}


class Dialect:
    """Both directions; pure."""

    def write(self, request: Request, request_id: int) -> str:
        """For at most ten symbols."""
        topics = [f"{request.channel}.{symbol}" for symbol in request.symbols]
        return msgspec.json.encode({"req_id": str(request_id), "op": request.verb, "args": topics}).decode()

    def ping(self, request_id: int) -> str:
        """Without it the exchange hangs up after ten quiet minutes, and sends nothing else on a quiet market."""
        return msgspec.json.encode({"req_id": str(request_id), "op": "ping"}).decode()

    def parse(self, frame: str) -> Parsed:
        """What a frame means. Raises BadFrame, or what msgspec raises for text of the wrong shape."""
        message = _FRAME.decode(frame)
        if message.topic is None:
            return _parse_answer(message)
        channel = message.topic.partition(".")[0]
        if channel == "publicTrade":
            return Parsed("trade", [_parse_trade(row) for row in _ROWS.decode(message.data)])
        if channel == "orderbook":
            return Parsed("book", [_parse_book(message, message.topic.rpartition(".")[2])])
        return Parsed(_KINDS.get(channel, "unknown"), ())


def _parse_answer(message: _Frame) -> Parsed:
    # One per request; spot answers a ping with op "ping", other markets with op "pong".
    if message.op in {"ping", "pong"} or message.ret_msg == "pong":
        return Parsed("pong", ())
    if message.success is None:
        return Parsed("unknown", ())
    # Echoed as text, absent in some refusals.
    text = str(message.req_id or "")
    request_id = int(text) if text.isdecimal() else None
    if not message.success:
        return Parsed("refusal", (Answered(request_id, message.ret_msg or "no reason given"),))
    return Parsed("acknowledgement", (Answered(request_id),))


def _parse_trade(row: msgspec.Raw) -> Event:
    try:
        trade = _TRADE.decode(row)
    except (msgspec.MsgspecError, ValueError) as error:  # the rows beside it are as good as ever
        return Invalid("malformed", f"a trade that cannot be read: {error}")
    if trade.block:
        return Skipped("block_trade")  # agreed off the book: no price of this market
    try:
        return Traded(
            trade.symbol,
            _SIDES[trade.side],
            read_price(trade.price),
            read_price(trade.volume),
            trade.time / 1000,
            trade.identity,
            bytes(row).decode(),
        )
    except BadFrame as error:
        return Invalid(error.reason, f"{trade.symbol} trade {trade.identity}: {error}")


def _parse_book(message: _Frame, symbol: str) -> Event:
    try:
        book = _BOOK.decode(message.data)
        bids, asks = read_levels(book.bids), read_levels(book.asks)
    except BadFrame as error:
        return Invalid(error.reason, f"book of {symbol}: {error}", symbol)
    except (msgspec.MsgspecError, ValueError) as error:
        return Invalid("malformed", f"book of {symbol}: {error}", symbol)
    # 2023 captures have no time of the matching engine.
    changed_at = _seconds(message.cts) or _seconds(message.ts)
    # Update id 1 is a restart of the service: whatever it is called, it is a whole book.
    if message.type == "snapshot" or book.update == 1:
        return BookSnapshot(book.symbol, book.update, bids, asks, changed_at)
    return BookChange(book.symbol, book.update, book.update, bids, asks, changed_at)


def _seconds(milliseconds: Any) -> float | None:
    return milliseconds / 1000 if type(milliseconds) is int else None


class BybitTrades(TradeCollector):
    """`publicTrade`: every trade, nothing on subscription."""

    name, exchange, url, terms = "bybit_trades", "bybit", URL, TERMS
    dialect, channel = Dialect(), "publicTrade"


class BybitBooks(BookCollector):
    """`orderbook.50`: a snapshot on subscription, then changes every 20 ms."""

    name, exchange, url, terms = "bybit_books", "bybit", URL, TERMS
    dialect, channel = Dialect(), "orderbook.50"
