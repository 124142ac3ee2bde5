"""Does a flood of collected trades disturb those who ask for prices, and does the storage keep its bounds?"""

import json
import time
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.bench import Aim, Bench, Table, at_least, at_most, milliseconds
from benchmarks.keep_alive import KeepAlive
from benchmarks.load import Load, start_load
from benchmarks.machine import resident
from benchmarks.servers import Server, await_prices, gunicorn, service_environment, simulated_exchange
from ltp_service.collected.trades import MAX_BYTES, TRADES_IN_ALL
from tests.simulator.client import Simulator

EXCHANGES = ("bybit", "binance")
SYMBOLS = tuple(f"{base}USDT" for base in ("BTC", "ETH", "SOL", "XRP", "LTC", "ADA"))
RATE = 20_000
"""Trades per second, both exchanges together."""

REQUESTS = 500
"""Per second, meanwhile."""

SLOWER = 10
"""Times the 99th percentile of the same requests before the flood."""

GROWTH = 64.0
"""MiB by which the worker may grow while its empty storage fills: four times the storage's own bound."""

SHARE = 0.95
"""Of the trades sent that must have arrived within the time: the rest is on its way."""


@dataclass(frozen=True)
class Flood:
    """One round."""

    before: Load
    """The same requests without any trade."""
    load: Load
    received: float
    """Trades per second."""
    stored: int
    discarded: int
    held: int
    held_bytes: int
    grown: float
    """MiB."""


def measure(bench: Bench) -> Table:
    """A fresh service each round: all its memory comes from the flood."""
    floods = [_flood(bench) for _ in range(bench.scaled(3, 1))]
    slowest = median(flood.load.p99 for flood in floods)
    quiet = median(flood.before.p99 for flood in floods)
    received = median(flood.received for flood in floods)
    columns = (
        *("round", "trades/s", "stored", "discarded", "held", "storage MiB", "grown MiB"),
        *("requests/s", "HTTP p50", "HTTP p99", "p99 before"),
    )
    rows = [(str(number), *_cells(flood)) for number, flood in enumerate(floods, 1)]
    aims = [
        at_most(SLOWER, "HTTP p99", slowest, "the same before the flood", quiet),
        at_least(SHARE, "trades/s that arrive", received, "those sent", RATE),
        Aim("no trade is discarded", not any(flood.discarded for flood in floods)),
        Aim(
            f"at most {TRADES_IN_ALL:,} trades and {MAX_BYTES / 2**20:.0f} MiB held",
            all(flood.held <= TRADES_IN_ALL and flood.held_bytes <= MAX_BYTES for flood in floods),
        ),
        Aim(f"the worker grows by less than {GROWTH:.0f} MiB", all(flood.grown < GROWTH for flood in floods)),
    ]
    title = f"{RATE:,} trades/s of Bybit and Binance into storage, {REQUESTS} requests/s"
    return Table(title, columns, rows, aims)


def _flood(bench: Bench) -> Flood:
    seconds = bench.scaled(10, 2)
    with simulated_exchange(bench) as exchange, ExitStack() as stack:
        server = stack.enter_context(
            gunicorn(bench, "wsgi:app", "gunicorn.conf.py", _environment(bench, exchange))
        )
        await_prices(server.port)
        for name in EXCHANGES:
            exchange.wait(exchange=name, subscriptions=len(SYMBOLS), timeout=20)
        before, held = _statistics(server), resident(server.worker)
        quiet = start_load(
            bench, server.port, "/api/v1/ltp", seconds=bench.scaled(5, 2), rate=REQUESTS
        ).result()
        load = start_load(bench, server.port, "/api/v1/ltp", seconds=seconds, rate=REQUESTS)
        started = time.monotonic()
        for name in EXCHANGES:
            exchange.exchange_flood(
                name, *SYMBOLS, rate=RATE / len(EXCHANGES), seconds=seconds, background=True
            )
        result = load.result()
        after, passed = _statistics(server), time.monotonic() - started
        grown = (resident(server.worker) - held) / 1024
    received = after["total_trades_received"] - before["total_trades_received"]
    return Flood(
        quiet,
        result,
        received / passed,
        after["total_trades_stored"],
        after["trades_discarded"],
        after["current_trades_stored"],
        after["memory_usage"],
        grown,
    )


def _environment(bench: Bench, exchange: Simulator) -> dict[str, str]:
    return service_environment(bench, exchange) | {
        "COLLECTORS": ",".join(f"{name}_trades" for name in EXCHANGES),
        "SYMBOLS": ",".join(SYMBOLS),
        "BYBIT_WEBSOCKET_URL": exchange.bybit_url,
        "BINANCE_WEBSOCKET_URL": exchange.binance_url,
    }


def _statistics(server: Server) -> dict[str, Any]:
    with KeepAlive(server.port, "/collectors/storage/stats") as reader:
        told: dict[str, Any] = json.loads(reader.get()[1])
    return told


def _cells(flood: Flood) -> tuple[str, ...]:
    return (
        f"{flood.received:,.0f}",
        f"{flood.stored:,}",
        f"{flood.discarded:,}",
        f"{flood.held:,}",
        f"{flood.held_bytes / 2**20:.1f}",
        f"{flood.grown:.1f}",
        f"{flood.load.per_second:,.0f}",
        milliseconds(flood.load.p50),
        milliseconds(flood.load.p99),
        milliseconds(flood.before.p99),
    )
