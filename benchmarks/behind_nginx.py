"""What does nginx cost in front of the service, and what does its micro-cache give?"""

from benchmarks.bench import Aim, Bench, Table, milliseconds
from benchmarks.cost import Cost, Question, costs
from benchmarks.load import CONNECTIONS
from benchmarks.machine import children, on_cores
from benchmarks.servers import service, simulated_exchange
from tests.process.nginx import own_folder, running_nginx
from tests.programs import find_program

PATH = "/api/v1/ltp"
DIRECT, PROXIED, CACHED = "direct", "behind nginx, past its cache", "behind nginx"
TIMES = 10
"""As many requests/s from the cache as from the service itself."""
_TITLE = f"nginx with a micro-cache, {CONNECTIONS} keep-alive connections, as many requests as it answers"
_COLUMNS = ("way", "requests/s", "CPU µs/request", "p99", "x direct")


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
        ways = {
            DIRECT: Question(server.port, workers, PATH),
            PROXIED: Question(nginx.port, workers, f"{PATH}?pair=&pairs="),
            CACHED: Question(nginx.port, workers, PATH),
        }
        found = dict(zip(ways, costs(bench, list(ways.values()), bench.scaled(5, 1)), strict=True))
    direct = found[DIRECT].per_second
    rows = [(name, *_cells(cost, direct)) for name, cost in found.items()]
    kept = found[CACHED].per_second >= TIMES * direct
    return Table(
        _TITLE, _COLUMNS, rows, [Aim(f"from the cache at least {TIMES} times the direct requests/s", kept)]
    )


def _cells(cost: Cost, direct: float) -> tuple[str, ...]:
    times = f"{cost.per_second / direct:.1f}"
    return f"{cost.per_second:,.0f}", f"{cost.cpu * 1e6:.0f}", milliseconds(cost.p99), times
