"""What does nginx cost in front of the service, and what does its micro-cache give?"""

from benchmarks.bench import Bench, Table, at_least, milliseconds
from benchmarks.cost import Cost, Question, costs
from benchmarks.load import CONNECTIONS
from benchmarks.machine import children, on_cores
from benchmarks.servers import service, simulated_exchange
from benchmarks.static_nginx import static_nginx
from tests.process.nginx import own_folder, running_nginx
from tests.programs import find_program

PATH = "/api/v1/ltp"
DIRECT, PROXIED, CACHED = "direct", "behind nginx, past its cache", "behind nginx"
STATIC = "a file of nginx's own"
SHARE = 0.7
"""Of the requests/s of a static file that an answer from the cache is to reach."""
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
        static_nginx(program, bench.scratch) as static,
    ):
        workers = [server.worker, *children(nginx.master_pid)]
        ways = {
            DIRECT: Question(server.port, workers, PATH),
            PROXIED: Question(nginx.port, workers, f"{PATH}?pair=&pairs="),
            CACHED: Question(nginx.port, workers, PATH),
            STATIC: Question(static.port, children(static.master), "/hello.txt"),
        }
        found = dict(zip(ways, costs(bench, list(ways.values()), bench.scaled(5, 1)), strict=True))
    direct = found[DIRECT].per_second
    rows = [(name, *_cells(cost, direct)) for name, cost in found.items()]
    aim = at_least(SHARE, "from the cache", found[CACHED].per_second, STATIC, found[STATIC].per_second)
    return Table(_TITLE, _COLUMNS, rows, [aim])


def _cells(cost: Cost, direct: float) -> tuple[str, ...]:
    times = f"{cost.per_second / direct:.1f}"
    return f"{cost.per_second:,.0f}", f"{cost.cpu * 1e6:.0f}", milliseconds(cost.p99), times
