"""What does it cost the owner of the feed, each follower and Redis to share the prices?"""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from benchmarks.bench import Bench, Table
from benchmarks.fleet import settings_of
from benchmarks.machine import cpu_seconds
from benchmarks.pace import sleep_until
from benchmarks.servers import Server, service, shared_redis, simulated_exchange
from benchmarks.ticks import PAIR, prices
from tests.redis_server import RedisServer
from tests.simulator.client import Simulator

RATES = (0, 100, 1000)
"""Trades per second on one pair."""

WORKERS = (2, 4, 8)


@dataclass(frozen=True)
class Fleet:
    """One gunicorn, its Redis and its exchange."""

    server: Server
    redis: RedisServer
    exchange: Simulator


def measure(bench: Bench) -> Table:
    """No client asks for anything; CPU is of one core."""
    rows = []
    for workers in WORKERS[: bench.scaled(3, 1)]:
        with _running(bench, workers) as fleet:
            rows += [(str(workers), str(rate), *_shares(bench, fleet, rate)) for rate in RATES]
    columns = ("workers", "trades/s", "bulletins/s", "owner CPU", "follower CPU", "Redis CPU")
    return Table("Sharing prices through Redis, no requests", columns, rows)


@contextmanager
def _running(bench: Bench, workers: int) -> Iterator[Fleet]:
    with ExitStack() as running:
        exchange = running.enter_context(simulated_exchange(bench))
        redis = running.enter_context(shared_redis(bench))
        server = running.enter_context(service(bench, exchange, settings=settings_of(workers, redis)))
        yield Fleet(server, redis, exchange)


def _shares(bench: Bench, fleet: Fleet, rate: int) -> tuple[str, ...]:
    pids = (*fleet.server.workers, fleet.redis.pid)
    before, told, began = [cpu_seconds(pid) for pid in pids], _bulletins(fleet.redis), time.monotonic()
    _trade(fleet.exchange, rate, bench.scaled(8, 1))
    seconds = time.monotonic() - began
    shares = [(cpu_seconds(pid) - used) / seconds for pid, used in zip(pids, before, strict=True)]
    # The owner reads the exchange and tells the others, so it is the one that works most.
    *followers, owner = sorted(shares[:-1])
    told = _bulletins(fleet.redis) - told
    return (f"{told / seconds:.0f}", *map(_percent, ([owner], followers, shares[-1:])))


def _trade(exchange: Simulator, rate: int, seconds: int) -> None:
    """So many trades per second, or none, for so long."""
    price, began = prices(), time.monotonic()
    for number in range(rate * seconds):
        exchange.trade(PAIR, next(price))
        sleep_until(began + (number + 1) / rate)
    sleep_until(began + seconds)


def _bulletins(redis: RedisServer) -> int:
    """How many were published since Redis began."""
    commands = redis.client().run("INFO", "commandstats")
    return int(commands.get("cmdstat_publish", {"calls": 0})["calls"])


def _percent(shares: Sequence[float]) -> str:
    return f"{sum(shares) / len(shares):.1%}"
