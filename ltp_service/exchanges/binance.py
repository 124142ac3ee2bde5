"""Binance's spot streams: trades and order books.

Source: github.com/binance/binance-spot-api-docs, web-socket-streams.md and rest-api.md
"""

from collections import deque
from collections.abc import Sequence
from typing import Any

import msgspec

from ltp_service.domain.book import BookChange, BookSnapshot, read_levels
from ltp_service.domain.decimals import read_price
from ltp_service.domain.errors import BadFrame, ExchangeError
from ltp_service.feed.books import BookCollector, Repair
from ltp_service.feed.contract import Equipment, Terms
from ltp_service.feed.messages import Answered, Event, Invalid, Leaving, Parsed, Request, Traded
from ltp_service.feed.subscriptions import PROOF_WITHIN_SECONDS
from ltp_service.feed.trades import TradeCollector
from ltp_service.prices.store import BookSink

URL = "wss://stream.binance.com:9443/stream"

DEPTH_PATH = "/api/v3/depth"
"""Of https://api.binance.com; with `symbol` and `limit` (1000 costs 50 of 6,000 a minute)."""

TERMS = Terms(
    # The exchange's own pings never reach a reader of text. Its list of streams does, and costs one message.
    ping_every=20.0,
    pong_within=10.0,
    symbols_per_request=100,
    messages_per_second=4,  # five are allowed, and answers to its pings count
    lifetime=23.5 * 3600,
)

SNAPSHOTS_APART_SECONDS = 0.75
"""Seconds between two depth snapshots, of all symbols together: 80 a minute, 4,000 of the allowed weight."""

RETRY_AFTER_SECONDS, LONGEST_RETRY_SECONDS = 1.0, 60.0
"""Seconds before a snapshot is asked for again, doubling up to the cap."""

_MICROSECONDS = 10**14
"""A stamp from here on is one: as milliseconds it would be in the year 5138."""

MAX_KEPT_CHANGES = 2_000
"""Changes kept of one symbol until its snapshot comes; at ten a second, three minutes."""


class _Error(msgspec.Struct):
    code: int | None = None
    msg: str | None = None


class _Envelope(msgspec.Struct):
    # {"stream":"btcusdt@trade","data":{…}}, the bare {…} of a single stream, or an answer
    stream: str | None = None
    data: msgspec.Raw = msgspec.Raw(b"")
    result: msgspec.Raw = msgspec.Raw(b"")
    id: int | str | None = None
    code: int | None = None
    msg: str | None = None
    error: _Error | None = None


class _Kind(msgspec.Struct):
    event: str | None = msgspec.field(name="e", default=None)
    symbol: Any = msgspec.field(name="s", default=None)
    best_ask_quantity: str | None = msgspec.field(name="A", default=None)
    last_update: int | None = msgspec.field(name="lastUpdateId", default=None)


class _Trade(msgspec.Struct):
    """`{"e":"trade","E":1672515782136,"s":"BNBBTC","t":12345,"p":"0.001","q":"100","T":1672515782136,"m":true}`

    An aggregate has its id under "a", where trades of 2019 have an order's.
    """

    symbol: str = msgspec.field(name="s")
    price: str = msgspec.field(name="p")
    quantity: str = msgspec.field(name="q")
    time: int = msgspec.field(name="T")
    buyer_is_maker: bool = msgspec.field(name="m")
    trade_id: int | None = msgspec.field(name="t", default=None)
    aggregate_id: int | None = msgspec.field(name="a", default=None)


class _Depth(msgspec.Struct):
    """`{"e":"depthUpdate","E":1633998542082,"s":"NKNUSDT","U":499870179,"u":499870180,"b":[],"a":[["0.35","16"]]}`"""

    time: int = msgspec.field(name="E")
    symbol: str = msgspec.field(name="s")
    first: int = msgspec.field(name="U")
    last: int = msgspec.field(name="u")
    bids: list[tuple[str, str]] = msgspec.field(name="b")
    asks: list[tuple[str, str]] = msgspec.field(name="a")


class _Snapshot(msgspec.Struct):
    last_update: int = msgspec.field(name="lastUpdateId")
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_KIND = msgspec.json.Decoder(_Kind)
_TRADE = msgspec.json.Decoder(_Trade)
_DEPTH = msgspec.json.Decoder(_Depth)
_SNAPSHOT = msgspec.json.Decoder(_Snapshot)

_KINDS = {
    "kline": "kline",
    "24hrMiniTicker": "mini_ticker",
    "24hrTicker": "ticker",
    "avgPrice": "average_price",
    "blockTrade": "block_trade",
    "referencePrice": "reference_price",
}


class Dialect:
    """Both directions; pure."""

    def write(self, request: Request, request_id: int) -> str:
        """A stream that does not exist is accepted like any other, and stays silent."""
        # Lower case in the names of streams, upper case in what they send.
        streams = [f"{symbol.lower()}@{request.channel}" for symbol in request.symbols]
        text = {"method": request.verb.upper(), "params": streams, "id": request_id}
        return msgspec.json.encode(text).decode()

    def ping(self, request_id: int) -> str:
        """There is no text that means nothing but this: which streams are subscribed?"""
        return msgspec.json.encode({"method": "LIST_SUBSCRIPTIONS", "id": request_id}).decode()

    def parse(self, frame: str) -> Parsed:
        """What a frame means. Raises BadFrame, or what msgspec raises for text of the wrong shape."""
        message = _ENVELOPE.decode(frame)
        if message.id is not None or message.code is not None or message.error is not None:
            return _parse_answer(message)
        payload = message.data if message.stream is not None else msgspec.Raw(frame.encode())
        return _parse_payload(payload)


def _parse_answer(message: _Envelope) -> Parsed:
    request_id = message.id if isinstance(message.id, int) else None
    if message.error is not None or message.code is not None:
        # Flat today, nested in older captures.
        error = message.error or message
        return Parsed("refusal", (Answered(request_id, f"{error.msg or 'no reason given'} ({error.code})"),))
    if bytes(message.result).startswith(b"["):
        return Parsed("pong", ())
    return Parsed("acknowledgement", (Answered(request_id),))


def _parse_payload(payload: msgspec.Raw) -> Parsed:
    kind = _KIND.decode(payload)
    match kind.event:
        case "trade" | "aggTrade":
            return Parsed("trade", (_parse_trade(payload, kind.event),))
        case "depthUpdate":
            return Parsed("depth", (_parse_depth(payload, kind.symbol),))
        case "serverShutdown":
            return Parsed("shutdown", (Leaving(),))
        case None if kind.best_ask_quantity is not None:
            return Parsed("book_ticker", ())
        case None if kind.last_update is not None:
            return Parsed("partial_depth", ())
    return Parsed(_KINDS.get(kind.event or "", "unknown"), ())


def _parse_trade(payload: msgspec.Raw, event: str) -> Event:
    trade = _TRADE.decode(payload)
    trade_id = trade.aggregate_id if event == "aggTrade" else trade.trade_id
    if trade_id is None:
        raise BadFrame(f"{trade.symbol} {event} without an id", reason="shape")
    try:
        return Traded(
            trade.symbol,
            "sell" if trade.buyer_is_maker else "buy",
            read_price(trade.price),
            read_price(trade.quantity),
            _seconds(trade.time),
            str(trade_id),
            bytes(payload).decode(),
            trade_id,
        )
    except BadFrame as error:
        return Invalid(error.reason, f"{trade.symbol} {event} {trade_id}: {error}")


def _parse_depth(payload: msgspec.Raw, symbol: object) -> Event:
    named = symbol if isinstance(symbol, str) else None
    try:
        depth = _DEPTH.decode(payload)
        bids, asks = read_levels(depth.bids), read_levels(depth.asks)
    except BadFrame as error:
        return Invalid(error.reason, f"depth of {named}: {error}", named)
    except (msgspec.MsgspecError, ValueError) as error:
        return Invalid("malformed", f"depth of {named}: {error}", named)
    return BookChange(depth.symbol, depth.first, depth.last, bids, asks, _seconds(depth.time))


def _seconds(stamp: int) -> float:
    """Unix seconds, from milliseconds or, with `timeUnit=MICROSECOND` in the URL, from microseconds."""
    return stamp / (1_000 if stamp < _MICROSECONDS else 1_000_000)


def read_depth(symbol: str, body: bytes | str) -> BookSnapshot:
    """The answer of DEPTH_PATH, which names neither its symbol nor its time. Raises BadFrame."""
    try:
        snapshot = _SNAPSHOT.decode(body)
    except (msgspec.MsgspecError, ValueError) as error:
        raise BadFrame(f"{symbol}: depth snapshot not read: {error}", reason="malformed") from error
    return BookSnapshot(symbol, snapshot.last_update, read_levels(snapshot.bids), read_levels(snapshot.asks))


class BinanceTrades(TradeCollector):
    """`@trade`: every trade, nothing on subscription."""

    name, exchange, url, terms = "binance_trades", "binance", URL, TERMS
    dialect, channel = Dialect(), "trade"


class BinanceBooks(BookCollector):
    """`@depth@100ms`: only changes; the book that they change comes over REST."""

    name, exchange, url, terms = "binance_books", "binance", URL, TERMS
    dialect, channel = Dialect(), "depth@100ms"
    patience = 1.5  # a snapshot that is older than the first change would be of no use

    def __init__(self, symbols: Sequence[str], sink: BookSink, equipment: Equipment) -> None:
        super().__init__(symbols, sink, equipment)
        if equipment.depth is None:
            raise TypeError(f"{self.name} needs a way to get depth snapshots: Equipment.depth")
        self._depth = equipment.depth
        self._early: dict[str, deque[BookChange]] = {}
        self._next_snapshot_at = 0.0

    def connected(self, now: float) -> None:
        super().connected(now)
        self._early = {}

    def symbols_changed(self, added: Sequence[str], removed: Sequence[str], now: float) -> None:
        super().symbols_changed(added, removed, now)
        for symbol in removed:
            self._early.pop(symbol, None)

    def book_changed(self, change: BookChange, received_at: float) -> None:
        super().book_changed(change, received_at)
        repair = self._repairs.get(change.symbol)
        if repair is not None:
            self._keep(change, repair, received_at)

    def _keep(self, change: BookChange, repair: Repair, now: float) -> None:
        if change.symbol not in self._early:
            self._early[change.symbol] = deque(maxlen=MAX_KEPT_CHANGES)
            repair.due_at = min(repair.due_at, now)
        early = self._early[change.symbol]
        if early and change.first_id > early[-1].last_id + 1:
            early.clear()  # no snapshot can be joined across a hole
        early.append(change)

    def repair(self, symbol: str, repair: Repair, now: float) -> None:
        """Asks for a snapshot and lets the kept changes follow it, from the one that joins."""
        if now < self._next_snapshot_at:
            return
        self._next_snapshot_at = now + SNAPSHOTS_APART_SECONDS
        repair.due_at = now + min(LONGEST_RETRY_SECONDS, RETRY_AFTER_SECONDS * 2.0 ** min(repair.tries, 10))
        repair.tries += 1
        try:
            snapshot = self._depth(symbol)
        except ExchangeError as error:
            self._no_snapshot(error, now)
            return
        early = self._early.get(symbol, ())
        if repair.doubted and not early and self._is_behind(snapshot):
            self._pulses[symbol].update_id = snapshot.update_id
            self.was_deaf(symbol, now)
            self.resubscribe(symbol)
            repair.due_at = now + PROOF_WITHIN_SECONDS  # or with the first change that the stream brings
            return
        if early and early[0].first_id > snapshot.update_id + 1:
            return  # older than the stream: ask again
        self._join(snapshot, tuple(early), self._clock.monotonic())

    def _is_behind(self, snapshot: BookSnapshot) -> bool:
        """Whether the exchange has changes that the stream kept silent about."""
        return snapshot.update_id > self._pulses[snapshot.symbol].update_id

    def _no_snapshot(self, error: ExchangeError, now: float) -> None:
        self._last_error = str(error)
        self._next_snapshot_at = max(self._next_snapshot_at, now + (error.retry_after or 0.0))
        self._reject_frame(error.reason, error)

    def _join(self, snapshot: BookSnapshot, early: Sequence[BookChange], now: float) -> None:
        self._early.pop(snapshot.symbol, None)
        self.book_replaced(snapshot, now)
        for change in early:
            self.book_changed(change, now)
