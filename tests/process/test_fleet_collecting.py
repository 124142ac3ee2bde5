"""Trades and books in a fleet of real gunicorns: collected once, shown everywhere, with what is missing."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.process.service import Service
from tests.redis_server import RedisServer
from tests.simulator.client import Simulator

COLLECTORS = ("bybit_trades", "binance_trades", "bybit_books", "kraken_books")
TAKEN_OVER = "this process feeds the fleet from now on"


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer.start(tmp_path) as running:
        yield running


def start(simulator: Simulator, redis: RedisServer) -> Service:
    return Service.start(
        simulator,
        fed=False,
        CACHE_BACKEND="redis",
        REDIS_ADDR=redis.address,
        COLLECTORS=",".join(COLLECTORS),
        BYBIT_WEBSOCKET_URL=simulator.bybit_url,
        BINANCE_WEBSOCKET_URL=simulator.binance_url,
    )


def collectors(service: Service) -> dict[str, dict[str, Any]]:
    told: dict[str, dict[str, Any]] = service.get("/collectors/status").json()["collectors"]
    return told


def all_active(service: Service) -> bool:
    return all(each["state"] == "active" for each in collectors(service).values())


def trades(service: Service) -> list[str]:
    return [
        each["raw"] for each in service.get("/collectors/trades?symbol=BTCUSDT&limit=100").json()["trades"]
    ]


def book(service: Service) -> dict[str, Any] | None:
    """The book in sync, without its age, which is another one in each process."""
    books = service.get("/collectors/books?symbol=BTCUSDT&depth=50").json()["books"]
    return next(({"bids": each["bids"], "asks": each["asks"]} for each in books if each["in_sync"]), None)


def bid_and_ask(service: Service) -> dict[str, Any]:
    """Kraken's, as `detail=true` has them, without the age."""
    book: dict[str, Any] = service.get("/api/v1/ltp?pair=BTC/USD&detail=true").json()["ltp"][0]["book"]
    return {**book, "age_ms": None}


def test_what_one_collects_all_show_and_its_death_is_a_gap(simulator: Simulator, redis: RedisServer) -> None:
    with start(simulator, redis) as first:
        first.until(lambda: all_active(first), what="the first process collects")
        with start(simulator, redis) as second:
            second.until(lambda: all_active(second), what="the second one knows that the first collects")
            assert second.get("/api/v1/status").json()["fleet"]["role"] == "follower"

            for number in range(5):
                simulator.exchange_trade("bybit", "BTCUSDT", str(100 + number))
                simulator.exchange_trade("binance", "BTCUSDT", str(200 + number))
            simulator.change_book("bybit", "BTCUSDT", 10)
            second.until(lambda: len(trades(second)) == 10, what="the trades on the other process")
            assert trades(second) == trades(first)
            second.until(
                lambda: book(second) is not None and book(second) == book(first), what="the same book"
            )

            simulator.change_book("kraken", "BTC/USD", 10)
            second.until(
                lambda: bid_and_ask(second)["bid"] is not None and bid_and_ask(second) == bid_and_ask(first),
                what="the same bid and ask",
            )

            _kill(first)
            second.until(lambda: book(second) is None, what="a book without a collector is out of sync")
            second.until(lambda: bid_and_ask(second)["problem"], what="bid and ask are not known any more")
            second.wait_for_line(TAKEN_OVER)
            second.until(lambda: all_active(second), what="the second process collects")
            for name in ("bybit_trades", "binance_trades"):
                gaps = collectors(second)[name]["gaps"]  # more than one where Redis was slow for a moment
                assert gaps
                assert all(gap["since"] < gap["until"] for gap in gaps)


def _kill(service: Service) -> None:
    for pid in (*service.worker_pids(), service.master_pid):
        os.kill(pid, signal.SIGKILL)
