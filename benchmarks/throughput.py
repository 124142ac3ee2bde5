"""What does one request cost, beside the least that the same server can be asked for and beside the usual way?"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median

from benchmarks.bench import Aim, Bench, Table, milliseconds
from benchmarks.keep_alive import KeepAlive
from benchmarks.load import CONNECTIONS, Load, start_load
from benchmarks.machine import cpu_seconds
from benchmarks.servers import Server, bare_server, service, simulated_exchange
from benchmarks.ticks import PAIR

PATH = "/api/v1/ltp"
WSGI, FLASK, NAIVE, ALL = "bare WSGI hello", "bare Flask hello", "all 7 pairs, the usual way", "all 7 pairs"
SINGLE, UNCHANGED = "one pair", "all 7 pairs, If-None-Match (304)"
SHARES = {FLASK: 1.6, WSGI: 0.70}
"""Of whose requests/s `ALL` is to reach how many times as many."""


@dataclass(frozen=True)
class Case:
    """One question to one server."""

    name: str
    server: Server
    path: str = "/"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Cost:
    """What a case came to."""

    per_second: float
    cpu: float
    """Seconds per request."""
    p99: float


def measure(bench: Bench) -> Table:
    """All cases round by round, all features on, the access log in a file, nothing coming in."""
    with ExitStack() as running:
        cases = _cases(bench, running)
        costs = _costs(bench, cases)
    rows = [(name, *_cells(cost, costs)) for name, cost in costs.items()]
    columns = ("answer", "requests/s", "CPU µs/request", "p99", "x Flask hello", "x WSGI hello")
    notes = [] if UNCHANGED in costs else ["No 304: /api/v1/ltp sends no ETag."]
    title = f"One worker, {CONNECTIONS} keep-alive connections, as many requests as it answers"
    return Table(title, columns, rows, _aims(costs), notes)


def _cases(bench: Bench, running: ExitStack) -> list[Case]:
    exchange = running.enter_context(simulated_exchange(bench))
    ours = running.enter_context(service(bench, exchange))
    cases = [
        Case(WSGI, running.enter_context(bare_server(bench, "benchmarks.plain:wsgi_hello"))),
        Case(FLASK, running.enter_context(bare_server(bench, "benchmarks.plain:flask_hello"))),
        Case(ALL, ours, PATH),
        Case(SINGLE, ours, f"{PATH}?pair={PAIR}"),
        Case(NAIVE, running.enter_context(bare_server(bench, "benchmarks.naive:app")), PATH),
    ]
    with KeepAlive(ours.port, PATH) as reader:
        etag = reader.header("ETag")
    return [*cases, Case(UNCHANGED, ours, PATH, {"If-None-Match": etag})] if etag else cases


def _costs(bench: Bench, cases: Sequence[Case]) -> dict[str, Cost]:
    seconds = bench.scaled(3, 1)
    costs: dict[str, list[Cost]] = {case.name: [] for case in cases}
    for _ in range(bench.scaled(7, 1)):
        for case in cases:
            costs[case.name].append(_cost(bench, case, seconds))
    return {name: _middle(measured) for name, measured in costs.items()}


def _cost(bench: Bench, case: Case, seconds: int) -> Cost:
    before = cpu_seconds(case.server.worker)
    load: Load = start_load(
        bench, case.server.port, case.path, seconds=seconds, headers=case.headers
    ).result()
    used = cpu_seconds(case.server.worker) - before
    return Cost(load.per_second, used / load.requests, load.p99)


def _middle(costs: Sequence[Cost]) -> Cost:
    return Cost(
        median(cost.per_second for cost in costs),
        median(cost.cpu for cost in costs),
        median(cost.p99 for cost in costs),
    )


def _cells(cost: Cost, costs: dict[str, Cost]) -> tuple[str, ...]:
    ratios = (f"{cost.per_second / costs[beside].per_second:.2f}" for beside in (FLASK, WSGI))
    return (f"{cost.per_second:,.0f}", f"{cost.cpu * 1e6:.0f}", milliseconds(cost.p99), *ratios)


def _aims(costs: dict[str, Cost]) -> list[Aim]:
    ours = costs[ALL].per_second
    shares = [
        Aim(
            f"{ALL}: at least {share:.2f} times the requests/s of a {beside}",
            ours >= share * costs[beside].per_second,
        )
        for beside, share in SHARES.items()
    ]
    # A twentieth is what two rounds of the same case differ by.
    no_slower = [
        Aim(f"{name}: no slower than {ALL}", costs[name].per_second >= 0.95 * ours)
        for name in (SINGLE, UNCHANGED)
        if name in costs
    ]
    return shares + no_slower
