"""python -m benchmarks.beside CHECKOUT: is this code slower than another checkout of it? Both in turn, in one run."""

import argparse
import sys
import tempfile
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from statistics import median

from benchmarks.bench import Bench, Table, at_most, markdown
from benchmarks.cost import Question, least_cpu
from benchmarks.ingest import MARK, TARGETS, flood
from benchmarks.keep_alive import KeepAlive
from benchmarks.load import load_source
from benchmarks.machine import cpu_seconds, describe, split_cores
from benchmarks.servers import service, simulated_exchange
from benchmarks.ticks import PAIR, pause, prices, time_to_visible
from tests.simulator.client import PROJECT

SLACK = 1.05
"""Times the other's figure that no row may exceed."""

HERE, THERE = "this code", "the other"

PATHS = {
    "all 7 pairs": "/api/v1/ltp",
    "one pair": f"/api/v1/ltp?pair={PAIR}",
    "detail": "/api/v1/ltp?detail=true",
    "status": "/api/v1/status",
    "health": "/health",
}

ONE_BY_ONE = 400
"""Frames per second that come so slowly that each is read alone."""

PAUSE = 0.003
"""Seconds between ticks."""

STARTS = 6
"""How often both are started for the requests: two processes of equal code differ by up to 3 % for their whole lives."""


def main() -> None:
    """Prints one table; exits with 1 when a row is slower."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.beside", description=__doc__)
    parser.add_argument("checkout", type=Path, help="folder of the other checkout")
    parser.add_argument("--quick", action="store_true", help="one short round, which shows that it works")
    options = parser.parse_args()
    cores = split_cores()
    print("\n".join(f"- {line}" for line in describe(cores, load_source())), flush=True)
    with tempfile.TemporaryDirectory(prefix="ltp-bench-") as scratch:
        bench = Bench(cores, Path(scratch), options.quick)
        table = compare(bench, {HERE: PROJECT, THERE: options.checkout.resolve()})
    print(markdown(table))
    sys.exit(0 if all(aim.kept for aim in table.aims) else 1)


def compare(bench: Bench, checkouts: dict[str, Path]) -> Table:
    """Each figure of both."""
    figures = _requests(bench, checkouts) | _ticks(bench, checkouts) | _frames(bench, checkouts)
    rows = [
        (name, f"{here * 1e6:.1f}", f"{there * 1e6:.1f}", f"{here / there:.3f}")
        for name, (here, there) in figures.items()
    ]
    aims = [at_most(SLACK, name, here, THERE, there) for name, (here, there) in figures.items()]
    return Table("Two checkouts in turn", ("µs", HERE, THERE, "ratio"), rows, aims)


Figures = dict[str, tuple[float, float]]
"""Name → seconds here and there."""


def _requests(bench: Bench, checkouts: dict[str, Path]) -> Figures:
    starts = [_one_start(bench, checkouts) for _ in range(bench.scaled(STARTS, 1))]
    # The median, because the least of several starts is that of the luckiest process.
    found = [median(each) for each in zip(*starts, strict=True)]
    return {f"{name}, CPU per request": (found[2 * n], found[2 * n + 1]) for n, name in enumerate(PATHS)}


def _one_start(bench: Bench, checkouts: dict[str, Path]) -> list[float]:
    """Seconds of CPU per request for each path, here and there."""
    with ExitStack() as running:
        exchange = running.enter_context(simulated_exchange(bench))
        servers = [
            running.enter_context(service(bench, exchange, checkout=checkout))
            for checkout in checkouts.values()
        ]
        questions = [
            Question(server.port, server.workers, path) for path in PATHS.values() for server in servers
        ]
        return least_cpu(bench, questions, bench.scaled(5, 1))


def _ticks(bench: Bench, checkouts: dict[str, Path]) -> Figures:
    delays: list[list[float]] = [[], []]
    with ExitStack() as running:
        exchange = running.enter_context(simulated_exchange(bench))
        readers = [
            running.enter_context(KeepAlive(server.port, f"/api/v1/ltp?pair={PAIR}"))
            for checkout in checkouts.values()
            for server in [running.enter_context(service(bench, exchange, checkout=checkout))]
        ]
        price = prices()
        for _ in range(bench.scaled(500, 20)):
            for taken, reader in zip(delays, readers, strict=True):
                pause(PAUSE)
                taken.append(time_to_visible(exchange, next(price), reader))
    return {"tick → GET, median": (median(delays[0]), median(delays[1]))}


def _frames(bench: Bench, checkouts: dict[str, Path]) -> Figures:
    ways = {"one by one": _one_by_one, "in bursts": _in_bursts}
    figures: Figures = {}
    for protocol, (name, measure) in product(("v1", "v2"), ways.items()):
        here, there = measure(bench, protocol, list(checkouts.values()))
        figures[f"Kraken {protocol}, CPU per frame, {name}"] = (here, there)
    return figures


def _one_by_one(bench: Bench, protocol: str, checkouts: list[Path]) -> list[float]:
    """Both read the same frames at once, because one after the other equal code differs by a third.

    A feed that mostly waits finds caches and the core's speed as its neighbours left them. At once, both find the same.
    """
    taken: list[list[float]] = [[] for _ in checkouts]
    for _ in range(bench.scaled(8, 1)):
        with ExitStack() as running:
            exchange = running.enter_context(simulated_exchange(bench))
            feeds = [
                running.enter_context(TARGETS["feed alone"](bench, exchange, protocol, checkout))
                for checkout in checkouts
            ]
            before = [cpu_seconds(pid) for pid, _ in feeds]
            frames = exchange.flood(PAIR, ONE_BY_ONE, bench.scaled(5, 1)) or 0
            exchange.trade(PAIR, MARK)
            for _, await_mark in feeds:
                await_mark()
            for cpu, earlier, (pid, _) in zip(taken, before, feeds, strict=True):
                cpu.append((cpu_seconds(pid) - earlier) / frames)
    return [median(cpu) for cpu in taken]


def _in_bursts(bench: Bench, protocol: str, checkouts: list[Path]) -> list[float]:
    taken: list[list[float]] = [[] for _ in checkouts]
    for _ in range(bench.scaled(7, 1)):
        for cpu, checkout in zip(taken, checkouts, strict=True):
            intake = flood(bench, protocol, TARGETS["feed alone"], checkout, seconds=bench.scaled(4, 1))
            cpu.append(intake.cpu_per_frame)
    return [min(cpu) for cpu in taken]


if __name__ == "__main__":
    main()
