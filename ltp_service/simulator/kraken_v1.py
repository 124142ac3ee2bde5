"""Kraken WebSocket v1: events are objects, data are arrays, numbers are strings, names are XBT/USD."""

import re
import zlib
from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from typing import Any

from ltp_service.simulator import questions
from ltp_service.simulator.dialect import KrakenDialect, Topic, Wish
from ltp_service.simulator.kraken import Client, topic_of
from ltp_service.simulator.kraken_book import DEPTHS, BookState, Levels, book_topic, size
from ltp_service.simulator.market import Pair, Ticker, Trade, plain
from ltp_service.simulator.questions import Kind
from ltp_service.simulator.wire import compact, read_object

VERSION = "1.9.1"
CHANNELS = ("ticker", "trade", "book")
_ISO_NAME = re.compile(r"[A-Z0-9]+/[A-Z0-9]+")
_CHANNEL_OFFSETS = {"ticker": 4, "trade": 1, "book": 0}


class KrakenV1(KrakenDialect):
    """Path `/`. Only the channels ticker, trade and book."""

    name = "kraken_v1"
    heartbeat = '{"event":"heartbeat"}'

    def status(self, system: str, connection_id: int | str) -> str:
        return compact(
            {"connectionID": connection_id, "event": "systemStatus", "status": system, "version": VERSION}
        )

    def ticker(self, ticker: Ticker, *, snapshot: bool) -> str:
        pair = ticker.pair
        payload = compact(_ticker_payload(ticker))
        return f'[{_channel_id(pair, "ticker")},{payload},"ticker","{pair.wsname}"]'

    def trades(self, trades: Sequence[Trade], *, snapshot: bool) -> str:
        pair = trades[0].pair
        rows = [
            [
                trade.padded_price,
                trade.volume,
                _seconds(trade.micros),
                trade.side[0],
                trade.order_type[0],
                "",
            ]
            for trade in trades
        ]
        return compact([_channel_id(pair, "trade"), rows, "trade", pair.wsname])

    def book(self, told: BookState, *, snapshot: bool) -> str:
        """Two payloads where both sides change; the checksum stands in the last one, and in no snapshot."""
        pair = told.pair
        stamp = _seconds(self._market.now())

        def rows(levels: Levels) -> list[list[str]]:
            return [
                [_price(pair, ticks), size(units), stamp, *(["r"] if ticks in told.returned else [])]
                for ticks, units in levels.items()
            ]

        sides = {"a": told.asks, "b": told.bids}
        payloads: list[dict[str, Any]] = [{name: rows(levels)} for name, levels in sides.items() if levels]
        if snapshot:
            payloads = [{"as": rows(told.asks), "bs": rows(told.bids)}]
        elif payloads:
            payloads[-1]["c"] = str(told.checksum(partial(_price, pair)))
        return compact([_channel_id(pair, "book"), *payloads, f"book-{told.depth}", pair.wsname])

    def first_trades(self, histories: Sequence[Sequence[Trade]]) -> list[list[Trade]]:
        return [list(history) for history in histories]

    def receive(self, client: Client, text: str) -> None:
        request = read_object(text)
        match request.get("event"):
            case "ping":
                client.counters.pinged()
                client.say(compact({"event": "pong"} | _request_id(request)), Kind.PONG)
            case "subscribe":
                self._subscribe(client, request)
            case "unsubscribe":
                self._unsubscribe(client, request)
            case None:
                client.say(_error("Malformed request", request), Kind.ACK)
            case _:
                client.say(_error("Event(s) not found", request), Kind.ACK)

    def _subscribe(self, client: Client, request: dict[str, Any]) -> None:
        complaint = _complaint(request) or self._exchange.refusal_of_batch(len(request["pair"]))
        if complaint:
            client.say(_error(complaint, request), Kind.ACK)
            return
        wishes = [self._wish(client, request, wsname) for wsname in request["pair"]]
        self._exchange.subscribe(client, [wish for wish in wishes if wish])

    def _wish(self, client: Client, request: dict[str, Any], wsname: object) -> Wish | None:
        channel = request["subscription"]["name"]
        pair = self._market.pair_by_wsname(str(wsname))
        if pair is None:
            client.say(_refusal(request, str(wsname), _unknown(str(wsname))), Kind.ACK)
            return None
        listed = pair
        depth = _depth(request) if channel == "book" else None
        if depth is not None and depth not in DEPTHS:
            client.say(_refusal(request, pair.wsname, "Subscription depth not supported"), Kind.ACK)
            return None
        return Wish(
            _topic(channel, pair, depth),
            pair,
            ack=lambda: _ack(request, listed, channel, "subscribed"),
            refusal=lambda error: _refusal(request, listed.wsname, error),
            snapshot=channel in ("ticker", "book")
            or self._exchange.faults.any(questions.sends_trade_snapshot, channel),
            not_supported=f"Currency pair not supported {pair.wsname}",
            depth=depth,
        )

    def _unsubscribe(self, client: Client, request: dict[str, Any]) -> None:
        for channel, wsname in self._targets(request):
            depth = _depth(request) if channel == "book" else None
            pair = self._market.pair_by_wsname(wsname)
            if pair and self._exchange.unsubscribe(client, _topic(channel, pair, depth).name):
                client.say(_ack(request, pair, channel, "unsubscribed"), Kind.ACK, pair.name)
            else:
                client.say(_refusal(request, wsname, "Subscription not found"), Kind.ACK)

    def _targets(self, request: dict[str, Any]) -> list[tuple[str, str]]:
        if "channelID" in request:
            return [
                (channel, tape.pair.wsname)
                for tape in self._market.tapes.values()
                for channel in CHANNELS
                if _channel_id(tape.pair, channel) == request["channelID"]
            ]
        subscription = request.get("subscription")
        channel = str(subscription.get("name")) if isinstance(subscription, dict) else ""
        names = request.get("pair")
        return [(channel, str(name)) for name in names] if isinstance(names, list) else []


def _request_id(request: dict[str, Any]) -> dict[str, Any]:
    return {"reqid": request["reqid"]} if isinstance(request.get("reqid"), int) else {}


def _complaint(request: dict[str, Any]) -> str | None:
    subscription = request.get("subscription")
    if not isinstance(request.get("pair"), list):
        return "Pair field must be an array"
    if not isinstance(subscription, dict):
        return "Subscription field must be an object"
    if subscription.get("name") in ("ownTrades", "openOrders"):
        return "Private data and trading are unavailable on this endpoint"
    return None if subscription.get("name") in CHANNELS else "Subscription name invalid"


def _error(message: str, request: dict[str, Any]) -> str:
    return compact({"errorMessage": message, "event": "error"} | _request_id(request))


def _unknown(wsname: str) -> str:
    if _ISO_NAME.fullmatch(wsname):
        return f"Currency pair not supported {wsname}"
    return f"Currency pair not in ISO 4217-A3 format {wsname}"


def _ack(request: dict[str, Any], pair: Pair, channel: str, status: str) -> str:
    content = {
        "channelID": _channel_id(pair, channel),
        "channelName": f"book-{_depth(request)}" if channel == "book" else channel,
        "event": "subscriptionStatus",
        "pair": pair.wsname,
        **_request_id(request),
        "status": status,
        "subscription": {"depth": _depth(request), "name": channel}
        if channel == "book"
        else {"name": channel},
    }
    return compact(content)


def _depth(request: dict[str, Any]) -> Any:
    subscription = request.get("subscription")
    return subscription.get("depth", 10) if isinstance(subscription, dict) else 10


def _topic(channel: str, pair: Pair, depth: int | None) -> Topic:
    return topic_of(channel, pair.name) if depth is None else book_topic(pair.name, depth)


def _price(pair: Pair, ticks: int) -> str:
    return f"{Decimal(pair.price(ticks)):.{pair.padded_decimals}f}"


def _seconds(micros: int) -> str:
    return f"{micros // 1_000_000}.{micros % 1_000_000:06d}"


def _refusal(request: dict[str, Any], wsname: str, error: str) -> str:
    content = {
        "errorMessage": error,
        "event": "subscriptionStatus",
        "pair": wsname,
        **_request_id(request),
        "status": "error",
        "subscription": request.get("subscription"),
    }
    return compact(content)


def _channel_id(pair: Pair, channel: str) -> int:
    return zlib.crc32(pair.wsname.encode()) % 5000 * 8 + _CHANNEL_OFFSETS[channel]


def _ticker_payload(ticker: Ticker) -> dict[str, Any]:
    decimals = ticker.pair.padded_decimals
    volumes = [f"{ticker.volume * Decimal('0.4'):.8f}", f"{ticker.volume:.8f}"]
    return {
        "a": _quote(ticker.ask, ticker.ask_volume, decimals),
        "b": _quote(ticker.bid, ticker.bid_volume, decimals),
        "c": [ticker.last.padded_price, ticker.last.volume],
        "v": volumes,
        "p": [f"{ticker.average:.{decimals}f}"] * 2,
        "t": [ticker.count * 2 // 5, ticker.count],
        "l": [plain(ticker.low, decimals)] * 2,
        "h": [plain(ticker.high, decimals)] * 2,
        "o": [plain(ticker.opening, decimals)] * 2,
    }


def _quote(price: Decimal, volume: Decimal, decimals: int) -> list[str | int]:
    return [plain(price, decimals), int(volume), f"{volume:.8f}"]
