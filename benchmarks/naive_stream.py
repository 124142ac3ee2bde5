"""The stream the way it is usually made: a queue for each client, and a generator that renders what comes out of it."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from queue import Queue
from threading import Thread
from typing import Any

import websocket
from flask import Flask, Response, request

from benchmarks.crowd import PAIRS

LAG = 100
"""Trades at most that wait for a client."""

Trade = dict[str, Any]

app = Flask(__name__)
_clients: dict[int, tuple[frozenset[str], Queue[Trade]]] = {}


@app.get("/api/v1/stream")
def stream() -> Response:
    """The newest trade of each pair asked."""
    pairs = frozenset(request.args.get("pair", ",".join(PAIRS)).split(","))
    return Response(_events(pairs), mimetype="text/event-stream")


def _events(pairs: frozenset[str]) -> Iterator[str]:
    queue: Queue[Trade] = Queue(LAG)
    _clients[id(queue)] = pairs, queue
    try:
        yield ": hello\n\n"
        while True:
            trades = [queue.get()]
            while not queue.empty():
                trades.append(queue.get())
            newest = {trade["symbol"]: trade for trade in trades}
            yield "".join(map(_event, newest.values()))
    finally:
        del _clients[id(queue)]


def _event(trade: Trade) -> str:
    data = {
        "pair": trade["symbol"],
        "amount": trade["price"],
        "price": str(trade["price"]),
        "state": "live",
        "source": "kraken:websocket",
        "traded_at": trade["timestamp"],
        "confirmed_at": datetime.now(UTC).isoformat(),
        "age_ms": 0,
        "trade_id": trade["trade_id"],
    }
    return f"id: {trade['trade_id']}\nevent: price\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"


def _follow() -> None:
    connection = websocket.create_connection(os.environ["KRAKEN_WEBSOCKET_URL"])
    parameters = {"channel": "trade", "symbol": PAIRS, "snapshot": False}
    connection.send(json.dumps({"method": "subscribe", "params": parameters}))
    while True:
        message = json.loads(connection.recv())
        if message.get("channel") != "trade":
            continue
        for trade in message["data"]:
            for pairs, queue in list(_clients.values()):
                if trade["symbol"] in pairs and not queue.full():
                    queue.put(trade)


Thread(target=_follow, name="feed", daemon=True).start()
