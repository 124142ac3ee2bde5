"""How long after a trade does the last worker of a fleet show it?"""

import json
from collections.abc import Sequence
from contextlib import ExitStack

from benchmarks.bench import Aim, Bench, Table, at_most, milliseconds, percentile
from benchmarks.fleet import settings_of
from benchmarks.keep_alive import KeepAlive
from benchmarks.servers import Server, bare_server, service, shared_redis, simulated_exchange
from benchmarks.ticks import PAIR, pause, prices, time_beside, time_to_visible
from benchmarks.visible import BARE
from tests.simulator.client import Simulator

AIM = 10
"""Times, at the median, what it takes to make a trade known to the exchange and to ask a bare server for something
else: the way through Redis and four workers that are asked in turn."""

PAUSE = 0.010
"""Seconds between ticks."""

MOST_ATTEMPTS = 200
"""Connections after which every worker has answered one."""


def measure(bench: Bench) -> Table:
    """Two gunicorns with two workers each, one Redis; the four are asked in turn until all show the trade."""
    with ExitStack() as running:
        exchange = running.enter_context(simulated_exchange(bench))
        redis = running.enter_context(shared_redis(bench))
        servers = [
            running.enter_context(service(bench, exchange, settings=settings_of(2, redis))) for _ in range(2)
        ]
        readers = [
            running.enter_context(_reader_of(server, worker))
            for server in servers
            for worker in server.workers
        ]
        hello = running.enter_context(bare_server(bench, "benchmarks.plain:wsgi_hello"))
        bare = running.enter_context(KeepAlive(hello.port, "/"))
        delays, beside = _delays(bench, exchange, readers, bare)
        connections = exchange.counters()["connections_total"]
    rows = [
        (name, str(len(values)), *(milliseconds(percentile(values, at)) for at in (50, 99, 100)))
        for name, values in ((BARE, beside), ("2 gunicorns x 2", delays))
    ]
    aims = [
        at_most(AIM, "median", percentile(delays, 50), BARE, percentile(beside, 50)),
        Aim("one connection to the exchange", connections == 1),
    ]
    columns = ("fleet", "ticks", "median", "p99", "max")
    return Table("Tick to visible on the farthest of four workers", columns, rows, aims)


def _delays(
    bench: Bench, exchange: Simulator, readers: Sequence[KeepAlive], bare: KeepAlive
) -> tuple[list[float], list[float]]:
    delays, beside, price = [], [], prices()
    for _ in range(bench.scaled(500, 20)):
        pause(PAUSE)
        beside.append(time_beside(exchange, next(price), bare))
        pause(PAUSE)
        delays.append(time_to_visible(exchange, next(price), *readers))
    return delays, beside


def _reader_of(server: Server, worker: int) -> KeepAlive:
    """A connection that a certain worker accepted. Raises TimeoutError."""
    for _ in range(MOST_ATTEMPTS):
        reader = KeepAlive(server.port, f"/api/v1/ltp?pair={PAIR}")
        if json.loads(reader.get("/api/v1/status")[1])["worker"]["pid"] == worker:
            return reader
        reader.close()
    raise TimeoutError(f"worker {worker} accepted none of {MOST_ATTEMPTS} connections")
