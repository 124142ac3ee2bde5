"""python -m benchmarks.streams: what does the stream cost for each frame that a client gets, and how late is it?

Beside the least that the same sockets can be sent, and beside the way such a stream is usually made."""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks import streams_beside, streams_left, streams_stalled
from benchmarks.beats import PER_SECOND, Beats
from benchmarks.bench import (
    Aim,
    Bench,
    Scenario,
    Table,
    at_least,
    at_most,
    markdown,
    milliseconds,
    percentile,
)
from benchmarks.crowd import SETTINGS, Crowd, Seen
from benchmarks.load import load_source
from benchmarks.machine import children, describe, on_cores, resident, split_cores
from benchmarks.pace import LATE, let_arrive
from benchmarks.servers import bare_server, service, simulated_exchange
from benchmarks.stream_ways import BARE, Way, bare_loop, frames_of
from tests.process.nginx import own_folder, running_nginx
from tests.programs import find_program
from tests.simulator.client import Simulator

OURS, NGINX, NAIVE = "the stream", "the stream behind nginx", "the usual way"
OF_BARE, OF_NAIVE = 2.5, 1 / 3
"""Times the processor time of those two that a frame of ours may cost."""

ARRIVED = 0.95
"""Of the frames sent that must reach their clients."""

KIB_PER_CLIENT = 16
IDLE_P50, IDLE_P99 = 0.005, 0.015
"""Seconds from the tick to a client that is nearly alone, on a machine of its own."""


class Trial(NamedTuple):
    """One crowd on one way."""

    seen: Seen
    sent: int
    """Events."""
    alone: float
    """Seconds of the processes that stream, per second of the same ticks while there is no client."""
    cpu: float
    """Seconds of the processes that stream, without those that they take alone."""
    grown: float
    """KiB per client."""

    @property
    def arrived(self) -> float:
        """The share of what was sent."""
        return self.seen.events / self.sent

    @property
    def cpu_per_frame(self) -> float:
        """Seconds."""
        return self.cpu / max(1.0, self.seen.frames)


def measure(bench: Bench) -> Table:
    """Each number of clients on each way, in turns; the largest number first, on fresh processes, for their memory."""
    sizes = (5000, 2000, 200) if not bench.quick else (60, 20)
    with ExitStack() as running:
        exchange = running.enter_context(simulated_exchange(bench))
        ways = _ways(bench, running, exchange)
        found: dict[tuple[str, int], list[Trial]] = {}
        for _ in range(bench.scaled(2, 1)):
            # The fewest twice: what the ticks take alone is about half of their figure.
            for clients in (*sizes, sizes[-1]):
                for way in ways:
                    found.setdefault((way.name, clients), []).append(_trial(bench, way, clients))
        idle = _idle(bench, exchange, ways[0])
    rows = [_row(found, name, clients) for clients in sizes for name in (way.name for way in ways)]
    rows.append(
        (OURS, "3", *[""] * 5, *(milliseconds(percentile(idle, at)) for at in (50, 99)), ""),
    )
    columns = ("way", "clients", "frames/s", "arrived", "CPU µs/frame", "x bare", "clients' CPU", "tick → client p50", "p99", "KiB/client")  # fmt: skip
    title = f"Streams of prices, one worker, all pairs change {PER_SECOND} times a second"
    note = (
        "60 % of the clients ask for all 7 pairs, 20 % for one, 20 % for two. A frame is what one client is sent at one"
        " moment. CPU µs/frame is without what the same ticks take while there is no client"
        f" ({_alone_text(found, ways)}). KiB/client is the growth of the worker with its first clients."
    )
    missing = [] if any(way.name == NGINX for way in ways) else ["Not behind nginx: it is not installed."]
    return Table(title, columns, rows, _aims(found, sizes, idle), [note, *missing])


def _ways(bench: Bench, running: ExitStack, exchange: Simulator) -> list[Way]:
    """Ours first."""
    program = find_program("nginx")
    folder = running.enter_context(own_folder())
    ours = running.enter_context(service(bench, exchange, also_at=folder / "http.sock", settings=SETTINGS))
    beats = Beats(exchange)
    ways = [Way(OURS, ours.port, ours.workers, beats.run)]
    if program is not None:
        with on_cores(bench.cores.measured):
            nginx = running.enter_context(running_nginx(program, folder))
        ways.append(
            Way(NGINX, nginx.port, [*ours.workers, *children(nginx.master_pid)], beats.run),
        )
    ways.append(running.enter_context(bare_loop(bench, frames_of(ours, beats))))
    naive = running.enter_context(
        bare_server(
            bench,
            "benchmarks.naive_stream:app",
            {"KRAKEN_WEBSOCKET_URL": exchange.v2_url, "GUNICORN_CMD_ARGS": "--worker-connections 7000"},
        )
    )
    return [*ways, Way(NAIVE, naive.port, naive.workers, beats.run)]


def _cpu_alone(bench: Bench, way: Way) -> float:
    """Seconds per second of ticks, without any client."""
    way.beat(1.0)  # a bare loop of sends finds the clients that are gone only when it sends
    seconds = bench.scaled(4, 1)
    before, begun = way.cpu(), time.monotonic()
    way.beat(seconds)
    let_arrive()  # as a trial does, whose processor time includes the wait
    return (way.cpu() - before) / (time.monotonic() - begun)


def _trial(bench: Bench, way: Way, clients: int) -> Trial:
    # Each time anew, because the speed of a shared core changes from minute to minute.
    alone = _cpu_alone(bench, way)
    before = resident(way.workers[0])
    with Crowd(bench, way.port, clients) as crowd:
        way.beat(1.0)
        let_arrive()
        grown = resident(way.workers[0]) - before
        crowd.begin()
        used, begun = way.cpu(), time.monotonic()
        times = way.beat(bench.scaled(8, 1))
        let_arrive()
        cpu = way.cpu() - used - alone * (time.monotonic() - begun)
        seen = crowd.end()
    if seen.closed:
        raise RuntimeError(f"{way.name} ended {seen.closed} of {clients} streams")
    return Trial(seen, times * crowd.sent_per_beat, alone, cpu, grown / clients)


def _idle(bench: Bench, exchange: Simulator, way: Way) -> list[float]:
    """Seconds from ticks that come one by one to three clients."""
    with Crowd(bench, way.port, 3) as crowd:
        crowd.begin()
        Beats(exchange).scatter(bench.scaled(120, 8), 0.2)
        let_arrive()
        return crowd.end().delays


def _row(found: dict[tuple[str, int], list[Trial]], name: str, clients: int) -> tuple[str, ...]:
    trials = found[name, clients]
    cpu, bare = _cpu(found, name, clients), _cpu(found, BARE, clients)
    delays = [delay for trial in trials for delay in trial.seen.delays]
    largest = clients == max(size for _, size in found)
    return (
        name,
        f"{clients:,}",
        f"{median(trial.seen.frames / (trial.seen.seconds - LATE) for trial in trials):,.0f}",
        f"{median(trial.arrived for trial in trials):.2f}",
        f"{cpu * 1e6:.1f}",
        f"{cpu / bare:.2f}",
        f"{median(trial.seen.cpu / trial.seen.seconds for trial in trials):.0%}",
        *(milliseconds(percentile(delays, at)) for at in (50, 99)),
        f"{trials[0].grown:.1f}" if largest and name != BARE else "",
    )


def _cpu(found: dict[tuple[str, int], list[Trial]], name: str, clients: int) -> float:
    return median(trial.cpu_per_frame for trial in found[name, clients])


def _alone_text(found: dict[tuple[str, int], list[Trial]], ways: Sequence[Way]) -> str:
    shares = {
        way.name: median(
            trial.alone for (name, _), trials in found.items() if name == way.name for trial in trials
        )
        for way in ways
    }
    return ", ".join(f"{name} {share:.1%} of a core" for name, share in shares.items() if name != BARE)


def _aims(found: dict[tuple[str, int], list[Trial]], sizes: Sequence[int], idle: list[float]) -> list[Aim]:
    most = sizes[0]
    costs = [
        at_most(
            times, f"{clients:,} clients, CPU per frame", _cpu(found, OURS, clients), beside, _cpu(found, beside, clients)
        )
        for clients in sizes
        for times, beside in ((OF_BARE, BARE), (OF_NAIVE, NAIVE))
    ]  # fmt: skip
    arrived = [
        at_least(ARRIVED, f"{most:,} clients, frames of {name} that arrive", median(each), "those sent", 1.0)
        for name in (OURS, NGINX)
        if (each := [trial.arrived for trial in found.get((name, most), [])])
    ]
    memory = found[OURS, most][0].grown
    p50, p99 = percentile(idle, 50), percentile(idle, 99)
    return [
        *costs,
        *arrived,
        Aim(f"{memory:.1f} KiB per client, at most {KIB_PER_CLIENT}", memory <= KIB_PER_CLIENT),
        Aim(
            f"tick → client, 3 clients: median {milliseconds(p50)}, under {milliseconds(IDLE_P50)}",
            p50 < IDLE_P50,
        ),
        Aim(
            f"tick → client, 3 clients: p99 {milliseconds(p99)}, under {milliseconds(IDLE_P99)}",
            p99 < IDLE_P99,
        ),
    ]


SCENARIOS: dict[str, Scenario] = {
    "streams": measure,
    "streams-beside": streams_beside.measure,
    "streams-stalled": streams_stalled.measure,
    "streams-left": streams_left.measure,
}


def main() -> None:
    """Prints the tables about streams; exits with 1 when an aim is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.streams", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="show that every scenario works")
    parser.add_argument("--only", action="append", choices=SCENARIOS, help="repeatable")
    options = parser.parse_args()
    cores = split_cores()
    print("\n".join(f"- {line}" for line in describe(cores, load_source())), end="\n\n", flush=True)
    os.sched_setaffinity(0, cores.driving)
    kept = True
    with tempfile.TemporaryDirectory(prefix="ltp-bench-") as scratch:
        for name in options.only or SCENARIOS:
            table = SCENARIOS[name](Bench(cores, Path(scratch), options.quick))
            kept = kept and all(aim.kept for aim in table.aims)
            print(markdown(table), end="\n\n", flush=True)
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
