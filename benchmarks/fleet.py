"""What does a request cost where several workers share one feed through Redis, beside workers of their own?"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks.bench import Aim, Bench, Table
from benchmarks.cost import Cost, Question, costs
from benchmarks.load import CONNECTIONS
from benchmarks.servers import Server, service, shared_redis, simulated_exchange
from tests.redis_server import RedisServer

PATH = "/api/v1/ltp"
WORKERS = (1, 2, 4, 8)
SLACK = 0.05
"""A twentieth, by which a read through Redis may cost more than without."""


@dataclass(frozen=True)
class Case:
    """So many workers, with or without Redis."""

    workers: int
    shared: bool
    server: Server

    @property
    def name(self) -> str:
        """For the table."""
        return f"{self.workers} x {'redis' if self.shared else 'memory'}"


def measure(bench: Bench) -> Table:
    """All cases round by round, all features on, nothing coming in."""
    with ExitStack() as running:
        exchange = running.enter_context(simulated_exchange(bench))
        redis = running.enter_context(shared_redis(bench))
        cases = [
            Case(workers, shared, running.enter_context(service(bench, exchange, settings=settings)))
            for workers in WORKERS[: bench.scaled(4, 2)]
            for shared in (False, True)
            for settings in [settings_of(workers, redis if shared else None)]
        ]
        questions = [Question(case.server.port, case.server.workers, PATH) for case in cases]
        found = costs(bench, questions, bench.scaled(7, 1))
    rows = [
        (case.name, f"{cost.per_second:,.0f}", f"{cost.cpu * 1e6:.0f}", _beside(case, found))
        for case, cost in zip(cases, found, strict=True)
    ]
    title = f"A fleet on one machine: workers x back end, {CONNECTIONS} keep-alive connections, {PATH}"
    return Table(title, ("case", "requests/s", "CPU µs/request", "x memory"), rows, _aims(cases, found))


def settings_of(workers: int, redis: RedisServer | None) -> dict[str, str]:
    """So many workers, that share their prices if there is a Redis."""
    shared = {"CACHE_BACKEND": "redis", "REDIS_ADDR": redis.address} if redis else {}
    return {"WEB_CONCURRENCY": str(workers)} | shared


def _beside(case: Case, found: Sequence[Cost]) -> str:
    """The CPU of a request beside that of as many workers without Redis."""
    memory, redis = found[2 * WORKERS.index(case.workers) :][:2]
    return f"{(redis if case.shared else memory).cpu / memory.cpu:.2f}"


def _aims(cases: Sequence[Case], found: Sequence[Cost]) -> list[Aim]:
    pairs = zip(cases[::2], found[::2], found[1::2], strict=True)
    return [
        Aim(
            f"{case.workers} worker(s): a read costs the same within {SLACK:.0%}",
            redis.cpu <= memory.cpu * (1 + SLACK),
        )
        for case, memory, redis in pairs
    ]
