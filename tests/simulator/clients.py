"""Clients for the simulator's own tests, and what they read."""

import http.client
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.conftest import NOT_AT_HAND
from tests.deadline import DEADLINE
from tests.simulator.client import PROJECT, Simulator

RECORDED = PROJECT.parent / "shared" / "recorded"
SPOT = ("bybit", "binance")

SILENCE = 0.1
"""Seconds without a frame after which none is expected."""

needs_recordings = pytest.mark.skipif(not RECORDED.is_dir(), reason=f"{NOT_AT_HAND}: no {RECORDED}")

Frame = dict[str, Any]


class Client:
    """A client on one of the paths: frames are read in order, each once."""

    def __init__(self, exchange: str, connection: ClientConnection) -> None:
        self.exchange = exchange
        self.socket = connection
        self.pair = "BTC/USD" if exchange == "kraken" else "BTCUSDT"

    def send(self, message: object) -> None:
        self.socket.send(json.dumps(message))

    def subscribe_v1(self, *pairs: str, channel: str = "ticker") -> None:
        self.send({"event": "subscribe", "pair": list(pairs), "subscription": {"name": channel}})

    def subscribe_v2(self, *symbols: str, channel: str = "ticker", **more: Any) -> None:
        params = {"channel": channel, "symbol": list(symbols), **more}
        self.send({"method": "subscribe", "params": params, "req_id": 5})

    def subscribe(self, *topics: str, number: int = 1) -> None:
        """To topics of Bybit or Binance."""
        if self.exchange == "bybit":
            self.send({"op": "subscribe", "req_id": number, "args": list(topics)})
        else:
            self.send({"method": "SUBSCRIBE", "params": list(topics), "id": number})

    def subscribe_to_trades(self, pair: str | None = None) -> None:
        if self.exchange == "kraken":
            self.subscribe_v2(pair or self.pair, channel="trade", snapshot=False)
        else:
            self.subscribe(trades_of(self.exchange, pair or self.pair))

    def take_trades(self, pair: str | None = None) -> None:
        """Subscribes to them; the acknowledgement is read."""
        self.subscribe_to_trades(pair)
        self.find(is_ack)

    def text(self, timeout: float = DEADLINE) -> str:
        """The next frame, as it was sent."""
        text = self.socket.recv(timeout)
        assert isinstance(text, str)
        return text

    def read(self, timeout: float = DEADLINE) -> Frame:
        frame = json.loads(self.text(timeout))
        assert isinstance(frame, dict)
        return frame

    def reads(self, part: str) -> bool:
        """Whether one of the next frames contains that text."""
        end = time.monotonic() + DEADLINE
        while part not in (text := self.text(end - time.monotonic())):
            assert text
        return True

    def find(self, wanted: Callable[[Any], bool]) -> Any:
        """The next frame that is wanted; those before it are dropped."""
        end = time.monotonic() + DEADLINE
        while True:
            frame = json.loads(self.text(end - time.monotonic()))
            if wanted(frame):
                return frame

    def trade_ids(self) -> list[int]:
        """Of the next message with trades."""
        return ids(self.find(is_trade))

    def hears_nothing(self) -> bool:
        try:
            self.text(SILENCE)
        except TimeoutError:
            return True
        return False

    def close_code(self) -> int:
        """Reads to the end; 1006 when there was no close frame."""
        while True:
            try:
                self.text()
            except ConnectionClosed as ended:
                return ended.rcvd.code if ended.rcvd else 1006


@contextmanager
def joined(url: str, exchange: str = "kraken") -> Iterator[Client]:
    with connect(
        url, compression=None, ping_interval=None, open_timeout=DEADLINE, close_timeout=0.1, max_size=None
    ) as connection:
        yield Client(exchange, connection)


def url_of(simulator: Simulator, exchange: str) -> str:
    """Kraken's is that of v2."""
    urls = {
        "kraken": simulator.v2_url,
        "bybit": simulator.bybit_url,
        "binance": simulator.binance_url,
        "coinbase": simulator.coinbase_url,
        "bitstamp": simulator.bitstamp_url,
    }
    return urls[exchange]


def joined_to(simulator: Simulator, exchange: str, query: str = "") -> AbstractContextManager[Client]:
    return joined(url_of(simulator, exchange) + query, exchange)


def trades_of(exchange: str, symbol: str) -> str:
    return f"publicTrade.{symbol}" if exchange == "bybit" else f"{symbol.lower()}@trade"


def get(simulator: Simulator, path: str) -> tuple[int, bytes]:
    """Status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", simulator.port, timeout=DEADLINE)
    try:
        connection.request("GET", path)
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


def kraken_rest(simulator: Simulator, question: str) -> tuple[int, bytes]:
    return get(simulator, f"/0/public/{question}")


def result(simulator: Simulator, question: str) -> Any:
    """What Kraken's REST answers."""
    answer = json.loads(kraken_rest(simulator, question)[1], parse_float=str)
    assert answer["error"] == []
    return answer["result"]


def rest(simulator: Simulator, path: str) -> tuple[int, Any]:
    status, body = get(simulator, path)
    return status, json.loads(body)


def recorded(file: str, wanted: Callable[[Any], bool]) -> Any:
    records = map(json.loads, (RECORDED / file).read_text().splitlines())
    frames = (json.loads(record["raw"]) for record in records if record["dir"] in ("in", "http"))
    return next(frame for frame in frames if wanted(frame))


# What a frame of Kraken's is.


def is_event(name: str) -> Callable[[Any], bool]:
    return lambda frame: isinstance(frame, dict) and frame.get("event") == name


def is_data(channel: str) -> Callable[[Any], bool]:
    return lambda frame: isinstance(frame, list) and frame[-2] == channel


def is_channel(name: str, type_: str | None = None) -> Callable[[Any], bool]:
    return lambda frame: frame.get("channel") == name and frame.get("type") == type_


def is_method(name: str, channel: str | None = None, *, success: bool | None = True) -> Callable[[Any], bool]:
    return lambda frame: (
        frame.get("method") == name
        and frame.get("success") is success
        and frame.get("result", {}).get("channel") == channel
    )


# What a frame of any exchange is.


def is_ack(frame: Frame) -> bool:
    return "success" in frame or "result" in frame


def is_trade(frame: Frame) -> bool:
    """In Kraken's v2, too."""
    names = (frame.get("channel", ""), frame.get("topic", ""), frame.get("stream", ""))
    return any(re.search(r"^trade$|publicTrade|@trade", name) for name in names)


def ids(frame: Frame) -> list[int]:
    """Of the trades in it."""
    if "stream" in frame:
        return [frame["data"]["t"]]
    return [int(row["i"] if "topic" in frame else row["trade_id"]) for row in frame["data"]]


# What a frame of Bybit's or Binance's is.


def is_type(name: str) -> Callable[[Frame], bool]:
    return lambda frame: "orderbook" in frame.get("topic", "") and frame["type"] == name


def is_stream(name: str) -> Callable[[Frame], bool]:
    return lambda frame: "stream" in frame and frame["data"]["e"] == name


# Subscribing to Kraken, the acknowledgements read.


def subscribed_v2(client: Client, *symbols: str, channel: str = "trade", snapshot: bool = False) -> None:
    client.subscribe_v2(*symbols, channel=channel, snapshot=snapshot)
    for _ in symbols:
        client.find(is_method("subscribe", channel))


def subscribed_v1(client: Client, *pairs: str, channel: str = "trade") -> None:
    client.subscribe_v1(*pairs, channel=channel)
    for _ in pairs:
        client.find(is_event("subscriptionStatus"))
