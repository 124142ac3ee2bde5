"""What does nginx cost in front of the service, and what does its micro-cache give?"""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from benchmarks.bench import Aim, Bench, Table, milliseconds
from benchmarks.load import CONNECTIONS, Load, start_load
from benchmarks.machine import children, cpu_seconds, on_cores
from benchmarks.servers import service, simulated_exchange
from tests.process.nginx import own_folder, running_nginx
from tests.programs import find_program

PATH = "/api/v1/ltp"
DIRECT, PROXIED, CACHED = "direct", "behind nginx, past its cache", "behind nginx"
TIMES = 10
"""As many requests/s from the cache as from the service itself."""
_TITLE = f"nginx with a micro-cache, {CONNECTIONS} keep-alive connections, as many requests as it answers"
_COLUMNS = ("way", "requests/s", "CPU µs/request", "p99", "x direct")


@dataclass(frozen=True)
class Way:
    """How the question gets to the service."""

    name: str
    port: int
    path: str
    cpu: Callable[[], float]
    """Seconds that nginx and the service have used."""


@dataclass(frozen=True)
class Cost:
    """What one round came to; `cpu` in seconds per request."""

    load: Load
    cpu: float


def measure(bench: Bench) -> Table:
    """The three ways in turns, all features of the service on, the feed at rest."""
    program = find_program("nginx")
    if program is None or find_program("wrk") is None:
        return Table(_TITLE, _COLUMNS, [], notes=["Not measured: it takes nginx and wrk (`make programs`)."])
    with (
        own_folder() as folder,
        simulated_exchange(bench) as exchange,
        service(bench, exchange, also_at=folder / "http.sock") as server,
        on_cores(bench.cores.measured),
        running_nginx(program, folder) as nginx,
    ):
        workers = [server.worker, *children(nginx.master_pid)]
        costs = _costs(bench, _ways(server.port, nginx.port, workers))
    direct = costs[DIRECT][0]
    rows = [(name, *_cells(cost, direct)) for name, cost in costs.items()]
    kept = costs[CACHED][0] >= TIMES * direct
    return Table(
        _TITLE, _COLUMNS, rows, [Aim(f"from the cache at least {TIMES} times the direct requests/s", kept)]
    )


def _ways(direct: int, behind: int, workers: list[int]) -> list[Way]:
    def cpu() -> float:
        return sum(map(cpu_seconds, workers))

    return [
        Way(DIRECT, direct, PATH, cpu),
        Way(PROXIED, behind, f"{PATH}?pair=&pairs=", cpu),
        Way(CACHED, behind, PATH, cpu),
    ]


def _costs(bench: Bench, ways: list[Way]) -> dict[str, tuple[float, float, float]]:
    """Medians: requests/s, CPU seconds per request, p99."""
    rounds = [[_cost(bench, way) for way in ways] for _ in range(bench.scaled(5, 1))]
    return {
        way.name: (
            median(cost.load.per_second for cost in costs),
            median(cost.cpu for cost in costs),
            median(cost.load.p99 for cost in costs),
        )
        for way, costs in zip(ways, zip(*rounds, strict=True), strict=True)
    }


def _cost(bench: Bench, way: Way) -> Cost:
    before = way.cpu()
    load = start_load(bench, way.port, way.path, seconds=bench.scaled(3, 1)).result()
    return Cost(load, (way.cpu() - before) / load.requests)


def _cells(cost: tuple[float, float, float], direct: float) -> tuple[str, ...]:
    per_second, cpu, p99 = cost
    return f"{per_second:,.0f}", f"{cpu * 1e6:.0f}", milliseconds(p99), f"{per_second / direct:.1f}"
