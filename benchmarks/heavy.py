"""Do costly pages, asked for without a pause, keep a trade from being seen?"""

import time

from benchmarks.bench import Bench, Table, at_most, milliseconds, percentile
from benchmarks.keep_alive import KeepAlive
from benchmarks.load import CONNECTIONS, Load, start_load
from benchmarks.pace import settle
from benchmarks.servers import Server, bare_server, service, simulated_exchange
from benchmarks.ticks import FLOODED_PAIR, PAIR, pause, prices, time_to_visible
from tests.simulator.client import Simulator

PATHS = ("/metrics", "/openapi.json", "/api/v1/ltp?detail=true", "/collectors/trades?limit=100")

SLOWEST = 0.250
"""Seconds from a trade to the first answer that shows it, at the 99th percentile, on a machine of its own."""

FRAMES = 300
"""Per second, of another pair."""

PAUSE = 0.015
"""Seconds between the trades that are watched."""

SETTLING = 0.5
"""Seconds until a load that was started is on."""

AIM = 25
"""Times the 99th percentile of a bare hello that as many clients ask for without a pause: a turn of the requests, a
turn of the feed, and the costly request that was under way."""


def measure(bench: Bench) -> Table:
    """One page after the other, all features on."""
    with (
        simulated_exchange(bench) as exchange,
        service(bench, exchange) as server,
        bare_server(bench, "benchmarks.plain:wsgi_hello") as hello,
    ):
        seconds = bench.scaled(10, 2)
        calibration = start_load(bench, hello.port, "/", seconds=seconds).result()
        found = {path: _watch(bench, exchange, server, path) for path in PATHS}
    rows = [
        ("a bare hello", *_http(calibration), "", "", ""),
        *(_row(path, *each) for path, each in found.items()),
    ]
    aims = [
        at_most(AIM, f"{path}: tick → GET p99", percentile(delays, 99), "a bare hello's p99", calibration.p99)
        for path, (_, delays) in found.items()
    ]
    columns = ("asked without a pause", "requests/s", "HTTP p99", "trades", "tick → GET p50", "p99")
    title = f"A trade beside {CONNECTIONS} clients of a costly page, {FRAMES} frames/s"
    note = f"The promise on a machine of its own is {milliseconds(SLOWEST)} at the 99th percentile."
    return Table(title, columns, rows, aims, [note])


def _watch(bench: Bench, exchange: Simulator, server: Server, path: str) -> tuple[Load, list[float]]:
    seconds, price, delays = bench.scaled(10, 2), prices(), []
    exchange.flood(FLOODED_PAIR, FRAMES, seconds, background=True)
    load = start_load(bench, server.port, path, seconds=seconds)
    settle(SETTLING)
    until = time.monotonic() + seconds - 2 * SETTLING
    with KeepAlive(server.port, f"/api/v1/ltp?pair={PAIR}") as reader:
        while time.monotonic() < until:
            delays.append(time_to_visible(exchange, next(price), reader))
            pause(PAUSE)
    return load.result(), delays


def _http(load: Load) -> tuple[str, str]:
    return f"{load.per_second:,.0f}", milliseconds(load.p99)


def _row(path: str, load: Load, delays: list[float]) -> tuple[str, ...]:
    latencies = (milliseconds(percentile(delays, at)) for at in (50, 99))
    return (path, *_http(load), str(len(delays)), *latencies)
