"""Binance spot, combined streams: names in lower case, payloads in upper case, every decimal with eight places."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from ltp_service.simulator.dialect import Message, SpotDialect, Topic, Wanted
from ltp_service.simulator.market import UNIT_DECIMALS, SpotTape, Trade, is_plausible
from ltp_service.simulator.order_book import Level
from ltp_service.simulator.spot import Client
from ltp_service.simulator.wire import compact

NAME = "binance"
DEPTH_STREAMS = ("depth", "depth@100ms", "depth@1000ms")
_STREAM = re.compile(r"([a-z0-9]+)@(trade|depth|depth@100ms|depth@1000ms)")
_PLACES = 8

Row = list[str]


class Binance(SpotDialect):
    """Path `/stream`. Only trade and depth; any other stream is taken in silence, as the real one does."""

    def opened(self, client: Client, query: Mapping[str, str]) -> None:
        names = [name for name in query.get("streams", "").split("/") if name]
        if names:
            self._exchange.subscribe(client, [self._topic(name) for name in names], None)

    def receive(self, client: Client, text: str) -> None:
        request = _parsed(text)
        if request is None:
            client.say(compact({"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1"}))
            return
        params = request.get("params")
        names = [str(name) for name in params] if isinstance(params, list) else []
        match request.get("method"):
            case "SUBSCRIBE":
                client.counters.asked_to_subscribe()
                new = [self._topic(name) for name in names if name not in client.topics]
                self._exchange.subscribe(client, new, _result(request, None))
            case "UNSUBSCRIBE":
                for name in names:
                    self._exchange.unsubscribe(client, name)
                client.say(_result(request, None))
            case "LIST_SUBSCRIPTIONS":
                client.say(_result(request, list(client.topics)))
            case None:
                column = len(text.encode())
                message = f"Invalid request: missing field `method` at line 1 column {column}"
                client.say(compact({"code": 2, "msg": message}))
            case method:
                client.say(compact({"code": 2, "msg": f"Invalid request: unknown variant `{method}`"}))

    def trades(self, event: Sequence[Trade]) -> tuple[Topic, list[str]]:
        name = f"{event[0].pair.name.lower()}@trade"
        texts = [f'{{"stream":"{name}","data":{_trade(trade)}}}' for trade in event]
        return Topic(name, "trade", event[0].pair.name), texts

    def book_update(self, tape: SpotTape, levels: Sequence[Level], wanted: Wanted) -> Iterator[Message]:
        """One update id per level; a level that changed twice is told once."""
        first = last_update_id(tape) + 1
        last = tape.update_id = first + len(levels) - 1
        for stream in DEPTH_STREAMS:
            name = f"{tape.pair.name.lower()}@{stream}"
            if wanted(name):
                update = {
                    "e": "depthUpdate",
                    "E": self._market.millis(),
                    "s": tape.pair.name,
                    "U": first,
                    "u": last,
                }
                sides = {"b": _rows(tape, levels, "bids"), "a": _rows(tape, levels, "asks")}
                yield Topic(name, stream, tape.pair.name), compact({"stream": name, "data": update | sides})

    def shutdown(self) -> str | None:
        event = {"e": "serverShutdown", "E": self._market.millis()}
        return compact({"stream": "!serverShutdown", "data": event})

    def _topic(self, name: str) -> Topic:
        parts = _STREAM.fullmatch(name)
        symbol = parts[1].upper() if parts else ""
        if parts is None or self._exchange.find(symbol) is None:
            return Topic(name, "unknown", name, exists=False)
        return Topic(name, parts[2], symbol)


def last_update_id(tape: SpotTape) -> int:
    if tape.update_id is None:
        tape.update_id = tape.sequence
    return tape.update_id


def eight_places(text: str) -> str:
    """A price or quantity as Binance writes it; what cannot be one stays as it is."""
    return f"{Decimal(text):.{_PLACES}f}" if is_plausible(text) else text


def price_text(tape: SpotTape, ticks: int) -> str:
    return tape.pair.price(ticks) + "0" * (_PLACES - tape.pair.decimals)


def size_text(units: int) -> str:
    whole, rest = divmod(units, 10**UNIT_DECIMALS)
    return f"{whole}.{rest:0{UNIT_DECIMALS}d}00"


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        request = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return request if isinstance(request, dict) else {}


def _result(request: dict[str, Any], result: list[str] | None) -> str:
    return compact({"result": result, "id": request.get("id")})


def _trade(trade: Trade) -> str:
    maker = "true" if trade.side == "sell" else "false"
    return (
        f'{{"e":"trade","E":{trade.millis + 1},"s":"{trade.pair.name}","t":{trade.trade_id},'
        f'"p":"{eight_places(trade.price)}","q":"{eight_places(trade.volume)}","T":{trade.millis},'
        f'"m":{maker},"M":true}}'
    )


def _rows(tape: SpotTape, levels: Sequence[Level], side: str) -> list[Row]:
    changed = {level.ticks: level.units for level in levels if level.side == side}
    return [[price_text(tape, ticks), size_text(units)] for ticks, units in changed.items()]
