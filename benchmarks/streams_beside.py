"""What do thousands of streams cost the requests beside them?"""

from collections.abc import Mapping
from contextlib import ExitStack
from statistics import median
from typing import NamedTuple

from benchmarks.beats import PER_SECOND, Beats
from benchmarks.bench import Bench, Table, at_most, milliseconds
from benchmarks.crowd import SETTINGS, Crowd
from benchmarks.load import CONNECTIONS, Load, start_load
from benchmarks.pace import let_arrive
from benchmarks.servers import Server, service, simulated_exchange
from benchmarks.stream_ways import Way, bare_loop, frames_of

PATH = "/api/v1/ltp"
SLOWER = 2.0
"""Times the 99th percentile of the same requests without our streams."""

ALONE, BARE, OURS = "no stream", "those of a bare loop in another process", "ours"
SATURATED, PACED = "as many as it answers", "500 requests/s"
PACES: Mapping[str, int | None] = {SATURATED: None, PACED: 500}
CALIBRATIONS = {SATURATED: ALONE, PACED: BARE}
"""A client of 500 requests/s mostly waits for the processor that the clients of the streams take, whichever server streams to
them. One that asks without a pause has its share of it."""


class Beside(NamedTuple):
    """One load."""

    load: Load
    arrived: float
    """The share of the events that reached their clients."""


def measure(bench: Bench) -> Table:
    """The same requests and ticks in turns: without streams, with those of another process, and with ours."""
    clients = bench.scaled(5000, 40)
    found: dict[tuple[str, str], list[Beside]] = {
        (pace, kind): [] for pace in PACES for kind in (ALONE, BARE, OURS)
    }
    with ExitStack() as running:
        exchange = running.enter_context(simulated_exchange(bench))
        server = running.enter_context(service(bench, exchange, settings=SETTINGS))
        beats = Beats(exchange)
        ours = Way(OURS, server.port, server.workers, beats.run)
        bare = running.enter_context(bare_loop(bench, frames_of(server, beats)))
        for _ in range(bench.scaled(3, 1)):
            for pace in PACES:
                found[pace, ALONE].append(_load(bench, server, pace, ours, None))
            for kind, way in ((BARE, bare), (OURS, ours)):
                with Crowd(bench, way.port, clients) as crowd:
                    for pace in PACES:
                        found[pace, kind].append(_load(bench, server, pace, way, crowd))
    rows = [(pace, kind, *_cells(besides)) for (pace, kind), besides in found.items()]
    aims = [
        at_most(
            SLOWER,
            f"{pace}, p99 beside {clients:,} streams",
            _p99(found[pace, OURS]),
            f"the same beside {beside}",
            _p99(found[pace, beside]),
        )
        for pace, beside in CALIBRATIONS.items()
    ]
    title = f"{PATH} beside {clients:,} streams, {CONNECTIONS} keep-alive connections, all pairs change {PER_SECOND} times a second"
    columns = ("asked", "streams", "requests/s", "p50", "p99", "frames arrived")
    return Table(title, columns, rows, aims)


def _load(bench: Bench, server: Server, pace: str, way: Way, crowd: Crowd | None) -> Beside:
    seconds = bench.scaled(6, 2)
    if crowd is not None:
        crowd.begin()
    load = start_load(bench, server.port, PATH, seconds=seconds, rate=PACES[pace])
    times = way.beat(seconds)
    result = load.result()
    if crowd is None:
        return Beside(result, 1.0)
    let_arrive()
    return Beside(result, crowd.end().events / (times * crowd.sent_per_beat))


def _p99(besides: list[Beside]) -> float:
    return median(each.load.p99 for each in besides)


def _cells(besides: list[Beside]) -> tuple[str, ...]:
    return (
        f"{median(each.load.per_second for each in besides):,.0f}",
        milliseconds(median(each.load.p50 for each in besides)),
        milliseconds(_p99(besides)),
        f"{median(each.arrived for each in besides):.2f}",
    )
