"""Kraken WebSocket v2: always objects, bare numbers, names are BTC/USD, acknowledgements per symbol."""

import re
from collections.abc import Sequence
from typing import Any

from ltp_service.simulator.dialect import KrakenDialect, Wish
from ltp_service.simulator.kraken import Client, topic_of
from ltp_service.simulator.kraken_book import DEPTHS, BookState, Levels, book_topic, size
from ltp_service.simulator.market import Pair, Ticker, Trade, plain
from ltp_service.simulator.questions import Kind
from ltp_service.simulator.wire import compact, read_object, rfc3339

VERSION = "2.0.10"
CHANNELS = ("ticker", "trade", "book")
PRIVATE_CHANNELS = ("executions", "balances", "level3")
_PRIVATE = "Private data and trading are unavailable on this endpoint. Try ws-auth.kraken.com"

Stamps = dict[str, str]


class KrakenV2(KrakenDialect):
    """Path `/v2`. Only the channels ticker, trade, book and instrument."""

    name = "kraken_v2"
    heartbeat = '{"channel":"heartbeat"}'

    def status(self, system: str, connection_id: int | str) -> str:
        entry: dict[str, Any] = {
            "version": VERSION,
            "system": system,
            "api_version": "v2",
            "connection_id": connection_id,
            "upcoming_maintenance": [],
            "emergency": [],
        }
        return compact({"channel": "status", "type": "update", "data": [entry]})

    def ticker(self, ticker: Ticker, *, snapshot: bool) -> str:
        return f'{{"channel":"ticker","type":"{_type(snapshot)}","data":[{_ticker_entry(ticker)}]}}'

    def trades(self, trades: Sequence[Trade], *, snapshot: bool) -> str:
        entries = ",".join(map(_trade_entry, trades))
        return f'{{"channel":"trade","type":"{_type(snapshot)}","data":[{entries}]}}'

    def book(self, told: BookState, *, snapshot: bool) -> str:
        pair = told.pair

        def rows(levels: Levels) -> str:
            each = (f'{{"price":{pair.price(ticks)},"qty":{size(units)}}}' for ticks, units in levels.items())
            return ",".join(each)

        return (
            f'{{"channel":"book","type":"{_type(snapshot)}","data":[{{"symbol":"{pair.name}","bids":[{rows(told.bids)}],'
            f'"asks":[{rows(told.asks)}],"checksum":{told.checksum(pair.price)},"timestamp":"{self._now()}"}}]}}'
        )

    def instruments(self, statuses: Sequence[tuple[Pair, str]], *, snapshot: bool) -> str | None:
        entries = ",".join(_instrument_entry(pair, status) for pair, status in statuses)
        return f'{{"channel":"instrument","type":"{_type(snapshot)}","data":{{"assets":[],"pairs":[{entries}]}}}}'

    def first_trades(self, histories: Sequence[Sequence[Trade]]) -> list[list[Trade]]:
        """One frame with the rows of all pairs (a capture of 2026-05-14 shows two symbols in one)."""
        rows = [trade for history in histories for trade in history]
        return [rows] if rows else []

    def receive(self, client: Client, text: str) -> None:
        stamps = {"time_in": self._now()}
        request = read_object(text)
        match request.get("method"):
            case "ping":
                client.counters.pinged()
                client.say(
                    compact({"method": "pong"} | _request_id(request) | self._stamped(stamps)), Kind.PONG
                )
            case "subscribe" | "unsubscribe":
                self._subscription(client, request, stamps)
            case _:
                refusal = {"error": "Malformed request", "success": False}
                client.say(compact(refusal | _request_id(request) | self._stamped(stamps)), Kind.ACK)

    def _subscription(self, client: Client, request: dict[str, Any], stamps: Stamps) -> None:
        parameters = request.get("params")
        if isinstance(parameters, dict) and parameters.get("channel") == "instrument":
            snapshot = bool(parameters.get("snapshot", True))
            result = {"channel": "instrument", "snapshot": snapshot}
            self._exchange.follow_instruments(client, self._ack(request, result, stamps), snapshot)
            return
        complaint = _complaint(parameters)
        if isinstance(parameters, dict) and not complaint:
            complaint = self._exchange.refusal_of_batch(len(parameters["symbol"]))
        if complaint or not isinstance(parameters, dict):
            client.say(self._refusal(request, None, complaint or "Malformed request", stamps), Kind.ACK)
            return
        if request["method"] == "unsubscribe":
            self._unsubscribe(client, request, parameters, stamps)
            return
        wishes = [self._wish(client, request, parameters, symbol, stamps) for symbol in parameters["symbol"]]
        self._exchange.subscribe(client, [wish for wish in wishes if wish])

    def _wish(
        self,
        client: Client,
        request: dict[str, Any],
        parameters: dict[str, Any],
        symbol: object,
        stamps: Stamps,
    ) -> Wish | None:
        pair = self._market.pair(str(symbol))
        if pair is None:
            client.say(self._refusal(request, str(symbol), _unknown(str(symbol)), stamps), Kind.ACK)
            return None
        listed = pair
        channel = parameters["channel"]
        snapshot = parameters.get("snapshot", channel != "trade")
        own: dict[str, Any] = {}
        depth = _depth(parameters)
        if channel == "ticker":
            own = {"event_trigger": parameters.get("event_trigger", "trades")}
        elif depth is not None:
            own = {"depth": depth}
        result = {"channel": channel, **own, "snapshot": snapshot, "symbol": pair.name}
        return Wish(
            topic_of(channel, pair.name) if depth is None else book_topic(pair.name, depth),
            pair,
            ack=lambda: self._ack(request, result, stamps),
            refusal=lambda error: self._refusal(request, listed.name, error, stamps),
            snapshot=snapshot,
            not_supported=f"Currency pair not supported {pair.name}",
            depth=depth,
        )

    def _unsubscribe(
        self, client: Client, request: dict[str, Any], parameters: dict[str, Any], stamps: Stamps
    ) -> None:
        for symbol in parameters["symbol"]:
            pair = self._market.pair(str(symbol))
            channel, depth = parameters["channel"], _depth(parameters)
            topic = topic_of(channel, str(symbol)) if depth is None else book_topic(str(symbol), depth)
            if pair and self._exchange.unsubscribe(client, topic.name):
                own = {} if depth is None else {"depth": depth}
                result = {"channel": channel, **own, "symbol": pair.name}
                client.say(self._ack(request, result, stamps), Kind.ACK, pair.name)
            else:
                client.say(self._refusal(request, str(symbol), "Subscription not found", stamps), Kind.ACK)

    def _ack(self, request: dict[str, Any], result: dict[str, Any], stamps: Stamps) -> str:
        content = {"method": request["method"], **_request_id(request), "result": result, "success": True}
        return compact(content | self._stamped(stamps))

    def _refusal(self, request: dict[str, Any], symbol: str | None, error: str, stamps: Stamps) -> str:
        content: dict[str, Any] = {
            "error": error,
            "method": request["method"],
            **_request_id(request),
            "success": False,
        }
        if symbol is not None:
            content["symbol"] = symbol
        return compact(content | self._stamped(stamps))

    def _stamped(self, stamps: Stamps) -> Stamps:
        return {**stamps, "time_out": self._now()}

    def _now(self) -> str:
        return rfc3339(self._market.now())


def _type(snapshot: bool) -> str:
    return "snapshot" if snapshot else "update"


def _request_id(request: dict[str, Any]) -> dict[str, Any]:
    return {"req_id": request["req_id"]} if isinstance(request.get("req_id"), int) else {}


def _complaint(parameters: object) -> str | None:
    if not isinstance(parameters, dict) or not isinstance(parameters.get("symbol"), list):
        return "Malformed request"
    channel = parameters.get("channel")
    if channel in PRIVATE_CHANNELS:
        return _PRIVATE
    if _depth(parameters) not in (None, *DEPTHS):
        return "Subscription depth not supported"
    return None if channel in CHANNELS else "Subscription name invalid"


def _depth(parameters: dict[str, Any]) -> Any:
    """Of an order book; None for another channel."""
    return parameters.get("depth", 10) if parameters.get("channel") == "book" else None


def _unknown(symbol: str) -> str:
    if re.fullmatch(r"[^/]+/[^/]+", symbol):
        return f"Currency pair not supported {symbol}"
    return f"Currency pair not in ISO 4217-A3 format {symbol}"


def _ticker_entry(ticker: Ticker) -> str:
    pair = ticker.pair
    places = pair.decimals
    change = ticker.ask - ticker.opening
    percent = change / ticker.opening * 100
    return (
        f'{{"symbol":"{pair.name}","bid":{plain(ticker.bid, places)},"bid_qty":{ticker.bid_volume:.8f},'
        f'"ask":{plain(ticker.ask, places)},"ask_qty":{ticker.ask_volume:.8f},"last":{ticker.last.price},'
        f'"volume":{ticker.volume:.8f},"vwap":{ticker.average:.{places}f},"low":{plain(ticker.low, places)},'
        f'"high":{plain(ticker.high, places)},"change":{change:.{places}f},"change_pct":{percent:.2f},'
        f'"trades":{ticker.count},"timestamp":"{rfc3339(ticker.last.micros)}"}}'
    )


def _instrument_entry(pair: Pair, status: str) -> str:
    step = f"1e-{pair.decimals:02d}"
    return (
        f'{{"symbol":"{pair.name}","base":"{pair.base}","quote":"{pair.quote}","status":"{status}",'
        f'"qty_precision":8,"qty_increment":1e-08,"price_precision":{pair.decimals},"cost_precision":5,'
        f'"marginable":false,"has_index":true,"cost_min":0.50,"tick_size":{step},"price_increment":{step},'
        f'"qty_min":0.00010000}}'
    )


def _trade_entry(trade: Trade) -> str:
    return (
        f'{{"symbol":"{trade.pair.name}","side":"{trade.side}","price":{trade.price},"qty":{trade.volume},'
        f'"ord_type":"{trade.order_type}","trade_id":{trade.trade_id},"timestamp":"{rfc3339(trade.micros)}"}}'
    )
