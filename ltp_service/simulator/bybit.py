"""Bybit v5 public spot: one acknowledgement per request without the topics' names, ids as text, its own ping."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from ltp_service.simulator.bybit_books import DEPTHS, Windows
from ltp_service.simulator.dialect import Message, SpotDialect, Topic, Wanted
from ltp_service.simulator.market import SpotTape, Trade
from ltp_service.simulator.order_book import Level
from ltp_service.simulator.questions import hides_pong
from ltp_service.simulator.spot import Client, Spot
from ltp_service.simulator.wire import compact, read_object

NAME = "bybit"
MOST_ARGS = 10
MOST_TRADES = 1024
FIRST_ID = 2290000000000000000  # more than a double holds: an id is text
_TOPIC = re.compile(r"(publicTrade|orderbook\.(\d+))\.(\w+)")


class Bybit(SpotDialect):
    """Path `/v5/public/spot`. Only publicTrade and orderbook."""

    prints_blocks = True

    def __init__(self, exchange: Spot) -> None:
        super().__init__(exchange)
        self._windows = Windows()

    def receive(self, client: Client, text: str) -> None:
        request = read_object(text)
        match request.get("op"):
            case "ping":
                client.counters.pinged()
                if not self._exchange.faults.any(hides_pong, NAME):
                    client.say(_answer(client, {}, "ping", "pong"))
            case "subscribe":
                client.counters.asked_to_subscribe()
                self._subscribe(client, request)
            case "unsubscribe":
                self._unsubscribe(client, request)
            case _:
                client.say(
                    _answer(client, request, str(request.get("op", "")), "error:handler not found", False)
                )

    def trades(self, event: Sequence[Trade]) -> tuple[Topic, list[str]]:
        topic = Topic(f"publicTrade.{event[0].pair.name}", "publicTrade", event[0].pair.name)
        pages = [event[start : start + MOST_TRADES] for start in range(0, len(event), MOST_TRADES)]
        return topic, [_trades(topic.name, page) for page in pages]

    def first_text(self, topic: Topic) -> str | None:
        tape = self._market.find(topic.pair)
        depth = topic.channel.removeprefix("orderbook.")
        if tape is None or depth == topic.channel:
            return None
        return self._windows.open(tape, int(depth)).snapshot(self._market.millis())

    def book_update(self, tape: SpotTape, levels: Sequence[Level], wanted: Wanted) -> Iterator[Message]:
        for window in self._windows.of(tape.pair.name):
            text = window.update(self._market.millis())
            if text is not None:
                yield window.topic, text

    def restart_book(self, tape: SpotTape, wanted: Wanted) -> Iterator[Message]:
        for window in self._windows.of(tape.pair.name):
            yield window.topic, window.restart(self._market.millis())

    def _subscribe(self, client: Client, request: dict[str, Any]) -> None:
        args = request.get("args")
        names = [str(name) for name in args] if isinstance(args, list) else []
        complaint = self._complaint(client, names)
        if complaint:
            client.say(_answer(client, request, "subscribe", complaint, False))
            return
        topics = [topic for topic in map(self._topic, names) if topic]
        self._exchange.subscribe(client, topics, _answer(client, request, "subscribe", "subscribe"))

    def _complaint(self, client: Client, names: Sequence[str]) -> str | None:
        """One wrong topic rejects the whole request."""
        if len(names) > MOST_ARGS:
            return f"args size >{MOST_ARGS}"
        for name in names:
            topic = self._topic(name)
            if topic is None:
                return f"error:handler not found,topic:{name}"
            if self._exchange.find(topic.pair) is None:
                return f"Invalid symbol :[{name}]"
            if name in client.topics:
                return f"error:already subscribed,topic:{name}"
        return None if names else "error:handler not found,topic:"

    def _unsubscribe(self, client: Client, request: dict[str, Any]) -> None:
        args = request.get("args")
        for name in args if isinstance(args, list) else []:
            self._exchange.unsubscribe(client, str(name))
        client.say(_answer(client, request, "unsubscribe", "unsubscribe"))

    def _topic(self, name: str) -> Topic | None:
        parts = _TOPIC.fullmatch(name)
        if parts is None or (parts[2] and int(parts[2]) not in DEPTHS):
            return None
        return Topic(name, parts[1], parts[3])


def _answer(client: Client, request: dict[str, Any], op: str, message: str, success: bool = True) -> str:
    named = {"req_id": str(request["req_id"])} if "req_id" in request else {}
    return compact(
        {"success": success, "ret_msg": message, "conn_id": client.connection_id, **named, "op": op}
    )


def _trades(topic: str, event: Sequence[Trade]) -> str:
    rows = ",".join(
        [
            f'{{"i":"{trade.trade_id}","T":{trade.millis},"p":"{trade.price}","v":"{trade.volume}",'
            f'"S":"{trade.side.capitalize()}","seq":{trade.sequence},"s":"{trade.pair.name}",'
            f'"BT":{"true" if trade.block else "false"},"RPI":false}}'
            for trade in event
        ]
    )
    return f'{{"topic":"{topic}","ts":{event[-1].millis + 1},"type":"snapshot","data":[{rows}]}}'
