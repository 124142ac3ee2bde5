"""Coinbase Exchange: matches and a heartbeat of each product, which tells the id of its last trade."""

from collections.abc import Sequence
from typing import Any

from ltp_service.simulator.dialect import SpotDialect, Topic
from ltp_service.simulator.market import Trade
from ltp_service.simulator.questions import Kind
from ltp_service.simulator.spot import Client
from ltp_service.simulator.wire import compact, read_object, rfc3339

NAME = "coinbase"
CHANNELS = ("matches", "heartbeat")
_NO_ORDER = "00000000-0000-0000-0000-000000000000"


class Coinbase(SpotDialect):
    """Path `/coinbase`. One product that does not exist refuses a whole request."""

    has_books = False
    first_kind = Kind.TRADE

    def receive(self, client: Client, text: str) -> None:
        request = read_object(text)
        match request.get("type"):
            case "subscribe":
                client.counters.asked_to_subscribe()
                self._subscribe(client, _wanted(request))
            case "unsubscribe":
                for channel, product in _wanted(request):
                    self._exchange.unsubscribe(client, _topic(channel, product).name)
                client.say(_subscriptions(client.topics.values()))
            case kind:
                client.say(_error("Type has to be either subscribe or unsubscribe", f"not {kind}"))

    def beat(self, client: Client) -> None:
        with self._exchange.lock:  # what it tells has been sent
            for topic in list(client.topics.values()):
                tape = self._market.find(topic.pair)
                if topic.channel != "heartbeat" or tape is None:
                    continue
                last = tape.last(self._market.now())
                beat = {"type": "heartbeat", "last_trade_id": last.trade_id, "product_id": _product(last)}
                more = {"sequence": tape.sequence, "time": rfc3339(self._market.now())}
                client.say(compact(beat | more), Kind.HEARTBEAT, topic.pair)

    def first_text(self, topic: Topic) -> str | None:
        tape = self._market.find(topic.pair)
        if tape is None or topic.channel != "matches":
            return None
        (last,) = self._exchange.told([tape.last(self._market.now())])
        return _match(last, "last_match")

    def trades(self, event: Sequence[Trade]) -> tuple[Topic, list[str]]:
        return _topic("matches", _product(event[0])), [_match(trade, "match") for trade in event]

    def _subscribe(self, client: Client, wanted: Sequence[tuple[str, str]]) -> None:
        if not wanted:
            client.say(_error("Failed to subscribe", "No channels provided"))
            return
        for _, product in wanted:
            if self._exchange.find(product.replace("-", "")) is None:
                client.say(_error("Failed to subscribe", f"{product} is not a valid product"))
                return
        topics = [_topic(channel, product) for channel, product in wanted]
        self._exchange.subscribe(client, topics, _subscriptions([*client.topics.values(), *topics]))
        if any(topic.channel == "heartbeat" for topic in topics):
            client.start_heartbeats()


def _wanted(request: dict[str, Any]) -> list[tuple[str, str]]:
    """Channel and product of each subscription that a request names."""
    products, channels = request.get("product_ids"), request.get("channels")
    return [
        (str(channel), str(product))
        for channel in (channels if isinstance(channels, list) else [])
        for product in (products if isinstance(products, list) else [])
        if channel in CHANNELS
    ]


def _topic(channel: str, product: str) -> Topic:
    pair = product.replace("-", "")
    return Topic(f"{channel}.{product}", channel, pair)


def _product(trade: Trade) -> str:
    return f"{trade.pair.base}-{trade.pair.quote}"


def _subscriptions(topics: Any) -> str:
    named = [topic.name.split(".") for topic in topics]
    channels = [
        {"name": channel, "product_ids": sorted({product for name, product in named if name == channel})}
        for channel in CHANNELS
    ]
    return compact({"type": "subscriptions", "channels": [each for each in channels if each["product_ids"]]})


def _error(message: str, reason: str) -> str:
    return compact({"type": "error", "message": message, "reason": reason})


def _match(trade: Trade, kind: str) -> str:
    """`side` is the maker's."""
    told = {
        "type": kind,
        "trade_id": trade.trade_id,
        "maker_order_id": _NO_ORDER,
        "taker_order_id": _NO_ORDER,
        "side": "sell" if trade.side == "buy" else "buy",
        "size": trade.volume,
        "price": trade.price,
        "product_id": _product(trade),
        "sequence": trade.sequence,
        "time": rfc3339(trade.micros),
    }
    return compact(told)
