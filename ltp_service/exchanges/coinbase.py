"""Coinbase Exchange's public feed: last trades, and the heartbeats that prove them.

Source: docs.cdp.coinbase.com/exchange/websocket-feed/overview, …/channels (heartbeat, matches), …/errors.
A subscription that names one product that does not exist is refused as a whole (coinbase/coinbase-pro-node#174), so each
request names one.
"""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from ltp_service.domain.decimals import read_price
from ltp_service.domain.errors import BadFrame
from ltp_service.domain.pairs import Pair
from ltp_service.feed.contract import Equipment, Terms
from ltp_service.feed.last_trades import LastTradeCollector
from ltp_service.feed.messages import (
    Acknowledged,
    Event,
    Invalid,
    LastTrade,
    LastTradeId,
    Parsed,
    Refused,
    Request,
)
from ltp_service.prices.store import Store

URL = "wss://ws-feed.exchange.coinbase.com"

MATCHES, HEARTBEAT = CHANNELS = ("matches", "heartbeat")

TERMS = Terms(symbols_per_request=1, messages_per_second=20)

HEARTBEAT_WITHIN_SECONDS = 10.0
"""Seconds without a heartbeat of a product after which it is subscribed anew; one is sent each second."""

_PRODUCT = re.compile(r"[A-Z0-9]+-[A-Z0-9]+")


class _Kind(msgspec.Struct):
    type: str | None = None
    product_id: Any = None


class _Match(msgspec.Struct):
    """`{"type":"match","trade_id":280232,"side":"sell","size":"985","price":"0.00001305","product_id":"SKL-BTC",…}`

    With `last_match` the same: the newest trade before the subscription, of any age.
    """

    product_id: str
    trade_id: int
    price: str
    time: datetime


class _Heartbeat(msgspec.Struct):
    """`{"type":"heartbeat","sequence":90,"last_trade_id":20,"product_id":"BTC-USD","time":"2014-11-07T08:19:28.464459Z"}`"""

    product_id: str
    time: datetime
    last_trade_id: int | None = None


class _Channel(msgspec.Struct):
    name: str
    product_ids: list[str] = []


class _Subscriptions(msgspec.Struct):
    channels: list[_Channel]


class _Error(msgspec.Struct):
    message: str = "no reason given"
    reason: str = ""


_KIND = msgspec.json.Decoder(_Kind)
_MATCH = msgspec.json.Decoder(_Match)
_HEARTBEAT = msgspec.json.Decoder(_Heartbeat)
_SUBSCRIPTIONS = msgspec.json.Decoder(_Subscriptions)
_ERROR = msgspec.json.Decoder(_Error)


class Dialect:
    """Both directions; pure."""

    def write(self, request: Request, request_id: int) -> str:
        """The request for one product. The exchange knows no ids of requests."""
        text = {"type": request.verb, "product_ids": request.symbols, "channels": [request.channel]}
        return msgspec.json.encode(text).decode()

    def ping(self, request_id: int) -> str:
        """Is not needed: the exchange sends heartbeats. Raises NotImplementedError."""
        raise NotImplementedError

    def parse(self, frame: str) -> Parsed:
        """What a frame means. Raises what msgspec raises for text of the wrong shape."""
        kind = _KIND.decode(frame)
        match kind.type:
            case "match" | "last_match":
                return Parsed("trade", (_read(_parse_match, frame, kind),))
            case "heartbeat":
                return Parsed("heartbeat", (_read(_parse_heartbeat, frame, kind),))
            case "subscriptions":
                return Parsed("acknowledgement", _parse_subscriptions(frame))
            case "error":
                return Parsed("refusal", (_parse_error(frame),))
        return Parsed("ticker" if kind.type == "ticker" else "unknown", ())


def _read(parse: Any, frame: str, kind: _Kind) -> Event:
    product = kind.product_id if isinstance(kind.product_id, str) else None
    try:
        event: Event = parse(frame, kind.type)
    except BadFrame as error:
        return Invalid(error.reason, f"{kind.type} of {product}: {error}", product)
    except (msgspec.MsgspecError, ValueError) as error:
        return Invalid("malformed", f"{kind.type} of {product}: {error}", product)
    return event


def _parse_match(frame: str, kind: str) -> LastTrade:
    trade = _MATCH.decode(frame)
    if trade.trade_id <= 0:
        raise BadFrame(f"trade id {trade.trade_id}", reason="shape")
    return LastTrade(
        trade.product_id,
        trade.price,
        read_price(trade.price),
        _seconds(trade.time),
        trade.trade_id,
        snapshot=kind == "last_match",
    )


def _parse_heartbeat(frame: str, kind: str) -> LastTradeId:
    beat = _HEARTBEAT.decode(frame)
    # It was 0 for years (preichenberger/go-coinbasepro#89).
    return LastTradeId(beat.product_id, beat.last_trade_id or None, _seconds(beat.time))


def _parse_subscriptions(frame: str) -> tuple[Acknowledged, ...]:
    """The list of all present subscriptions. The exchange sends it after each request."""
    channels = _SUBSCRIPTIONS.decode(frame).channels
    return tuple(
        Acknowledged(channel.name, product)
        for channel in channels
        if channel.name in CHANNELS
        for product in channel.product_ids
    )


def _parse_error(frame: str) -> Refused:
    error = _ERROR.decode(frame)
    named = _PRODUCT.search(error.reason)
    message = f"{error.message}: {error.reason}" if error.reason else error.message
    return Refused(message, None, named[0] if named else None)


def _seconds(moment: datetime) -> float:
    if moment.tzinfo is None:
        raise BadFrame(f"time {moment.isoformat()} without a zone", reason="time")
    return moment.timestamp()


class CoinbaseLastTrades(LastTradeCollector):
    """`matches` and `heartbeat`: a heartbeat with the id of the held trade proves that none was missed.

    A heartbeat without an id shows that the product's stream is alive, and says nothing about its last trade.
    """

    name = exchange = "coinbase"
    url, terms = URL, TERMS
    dialect, channels, proof = Dialect(), CHANNELS, "both"
    source = "coinbase:websocket"

    def __init__(self, pairs: Iterable[Pair], store: Store, equipment: Equipment) -> None:
        super().__init__(pairs, store, equipment, {LastTradeId: self.beat})
        self._beat_at: dict[str, float] = {}

    @staticmethod
    def symbol_of(pair: Pair) -> str:
        """The symbol of a pair, for example `BTC-USD`."""
        return f"{pair.base}-{pair.quote}"

    def beat(self, told: LastTradeId, now: float) -> None:
        """A heartbeat of one product."""
        symbol = told.symbol
        pair = self.expect(symbol)
        self.heard(told.told_at, now)
        self._beat_at[symbol] = now
        held = self._store.get(pair)
        if held is None or told.trade_id is None or not self._subscriptions.states[symbol].in_step:
            return
        known = held.newest_trade_id or 0
        if told.trade_id == known:
            self._doubted.pop(symbol, None)
            self._awaited.pop(symbol, None)
            self.confirm_held((symbol,), now)
        elif told.trade_id > known and self.is_missing(symbol, told.trade_id, known):
            self.missed(symbol, told.trade_id - known, now)

    def tended(self, now: float) -> None:
        self._subscriptions.mark_silent(now)
        for symbol, state in self._subscriptions.states.items():
            accepted_at = state.acknowledged.get(HEARTBEAT)
            if accepted_at is None or not state.in_step:
                continue
            if now - max(accepted_at, self._beat_at.get(symbol, 0.0)) >= HEARTBEAT_WITHIN_SECONDS:
                self._beat_at[symbol] = now
                self.missed(symbol, 0, now)

    def connected(self, now: float) -> None:
        super().connected(now)
        self._beat_at.clear()
