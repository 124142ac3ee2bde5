"""Bitstamp: live trades, which begin with the next one, and its own heartbeat on request."""

from collections.abc import Sequence

from ltp_service.simulator.dialect import SpotDialect, Topic
from ltp_service.simulator.market import Trade, is_plausible
from ltp_service.simulator.questions import hides_pong
from ltp_service.simulator.spot import Client
from ltp_service.simulator.wire import compact, read_object

NAME = "bitstamp"
_CHANNEL = "live_trades"


class Bitstamp(SpotDialect):
    """Path `/bitstamp`. Only live_trades."""

    has_books = False

    def receive(self, client: Client, text: str) -> None:
        request = read_object(text)
        data = request.get("data")
        channel = str(data.get("channel")) if isinstance(data, dict) else ""
        match request.get("event"):
            case "bts:heartbeat":
                client.counters.pinged()
                if not self._exchange.faults.any(hides_pong, NAME):
                    client.say(_event("bts:heartbeat", "", {"status": "success"}))
            case "bts:subscribe":
                client.counters.asked_to_subscribe()
                self._subscribe(client, channel)
            case "bts:unsubscribe":
                self._exchange.unsubscribe(client, channel)
                client.say(_event("bts:unsubscription_succeeded", channel, {}))
            case _:
                client.say(_event("bts:error", "", {"code": None, "message": "Incorrect JSON format."}))

    def trades(self, event: Sequence[Trade]) -> tuple[Topic, list[str]]:
        topic = _topic(event[0].pair.name)
        return topic, [_event("trade", topic.name, _row(trade)) for trade in event]

    def shutdown(self) -> str | None:
        return _event("bts:request_reconnect", "", "")

    def _subscribe(self, client: Client, channel: str) -> None:
        kind, _, symbol = channel.rpartition("_")
        if kind != _CHANNEL or self._exchange.find(symbol.upper()) is None:
            client.say(_event("bts:error", "", {"code": None, "message": "Bad subscription string."}))
            return
        topic = _topic(symbol.upper())
        self._exchange.subscribe(client, [topic], _event("bts:subscription_succeeded", channel, {}))


def _topic(pair: str) -> Topic:
    return Topic(f"{_CHANNEL}_{pair.lower()}", _CHANNEL, pair)


def _event(event: str, channel: str, data: object) -> str:
    return compact({"data": data, "channel": channel, "event": event})


def _row(trade: Trade) -> dict[str, object]:
    """The numbers beside the texts are floats, as the real ones are."""
    return {
        "id": trade.trade_id,
        "timestamp": str(trade.micros // 1_000_000),
        "amount": float(trade.volume),
        "amount_str": trade.volume,
        "price": float(trade.price) if is_plausible(trade.price) else None,
        "price_str": trade.price,
        "type": 0 if trade.side == "buy" else 1,
        "microtimestamp": str(trade.micros),
        "buy_order_id": trade.sequence,
        "sell_order_id": trade.sequence + 1,
    }
