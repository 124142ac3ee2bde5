"""ltp_service.assembly.trades: from a registry line to trades over HTTP."""

import importlib.util
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from ltp_service.app import create_app
from ltp_service.domain.pairs import read_pair
from ltp_service.exchanges.registry import COLLECTORS, unknown_collectors
from ltp_service.http.services import services_of
from ltp_service.runtime.runtime import Runtime
from ltp_service.settings.config import Config
from tests.deadline import DEADLINE
from tests.fakes import eventually
from tests.service import NOWHERE
from tests.websocket_peer import Peer, frame

COINVILLE = '''
"""Coinville's public stream: {"trade": 7, "symbol": "BTCUSDT", "price": "64103.90", "size": "0.5", "at": 1.5}"""

import msgspec

from ltp_service.feed.messages import Parsed, Request, Traded
from ltp_service.feed.trades import TradeCollector
from ltp_service.domain.decimals import read_price


class _Trade(msgspec.Struct):
    trade: int
    symbol: str
    price: str
    size: str
    at: float


class Dialect:
    def write(self, request: Request, request_id: int) -> str:
        return f"{request.verb} {' '.join(request.symbols)}"

    def ping(self, request_id: int) -> str:
        return "ping"

    def parse(self, frame: str) -> Parsed:
        row = msgspec.json.decode(frame, type=_Trade)
        price, size = read_price(row.price), read_price(row.size)
        return Parsed("trade", [Traded(row.symbol, "buy", price, size, row.at, str(row.trade), frame)])


class CoinvilleTrades(TradeCollector):
    name, exchange, url = "coinville_trades", "coinville", "URL"
    dialect, channel = Dialect(), "trades"
'''
"""All that an exchange needs beside its registry line."""

TRADED = 1_790_000_000
"""Unix seconds."""


def module(folder: Path, url: str) -> ModuleType:
    """The new file, imported."""
    path = folder / "coinville.py"
    path.write_text(COINVILLE.replace('"URL"', repr(url)))
    spec = importlib.util.spec_from_file_location("coinville", path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def sells_bitcoin(until: threading.Event) -> Callable[[socket.socket], None]:
    def conversation(client: socket.socket) -> None:
        client.recv(4096)
        for number in (1, 2):
            text = '{"trade":%d,"symbol":"BTCUSDT","price":"64103.90","size":"0.50","at":%d}'
            client.sendall(frame((text % (number, TRADED + number)).encode()))
        until.wait(DEADLINE)

    return conversation


def test_another_exchange_is_one_module_and_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    end, stop = threading.Event(), threading.Event()
    with Peer(sells_bitcoin(end)) as peer:
        monkeypatch.setitem(COLLECTORS, "coinville_trades", module(tmp_path, peer.url).CoinvilleTrades)
        app = create_app(
            Config(
                collectors=("coinville_trades",),
                supported_pairs=(read_pair("BTC/USDT"),),
                kraken_websocket_url=f"ws://{NOWHERE}/v2",
                kraken_rest_url=f"http://{NOWHERE}/0/public",
                database_path=tmp_path / "ltp.sqlite3",
            ),
            Runtime(SoonAfter()),
        )
        collector = services_of(app).collectors["coinville_trades"]
        feed = threading.Thread(target=collector.run, args=(stop,))
        feed.start()
        try:
            get = app.test_client().get
            eventually(lambda: len(get("/collectors/trades?exchange=coinville").get_json()["trades"]) == 2)
            told = get("/collectors/trades?limit=1").get_data(as_text=True)
            witnesses = get("/api/v1/ltp/explain?pair=BTC/USDT").get_json()["witnesses"]
            status = get("/collectors/status/coinville_trades").get_json()
        finally:
            stop.set()
            end.set()
            feed.join(DEADLINE)

    assert '"trade_id":"2"' in told
    assert '"price":64103.9,"quantity":0.5' in told
    assert [witness["exchange"] for witness in witnesses] == ["coinville"]
    assert (status["state"], status["connected"]) == ("active", True)
    assert "coinville" not in sys.modules


class SoonAfter:
    """The machine's own seconds, on the day of the trades."""

    def __init__(self) -> None:
        self._ahead = TRADED + 3 - time.monotonic()

    def monotonic(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.monotonic() + self._ahead


def test_a_collector_that_is_not_in_the_registry_is_refused_with_those_that_are() -> None:
    (problem,) = unknown_collectors(Config(collectors=("bybit_trades", "nyse_trades")))

    assert problem.startswith("COLLECTORS: 'nyse_trades' refused: must be among bybit_trades, binance_trades")
