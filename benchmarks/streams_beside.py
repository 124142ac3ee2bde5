"""What do thousands of streams cost the requests beside them?"""

from collections.abc import Mapping
from statistics import median
from typing import NamedTuple

from benchmarks.beats import PER_SECOND, Beats
from benchmarks.bench import Bench, Table, at_most, milliseconds
from benchmarks.crowd import SETTINGS, Crowd
from benchmarks.load import CONNECTIONS, Load, start_load
from benchmarks.servers import Server, service, simulated_exchange

PATH = "/api/v1/ltp"
SLOWER = 2.0
"""Times the 99th percentile of the same requests and ticks without any stream."""

PACES: Mapping[str, int | None] = {"as many as it answers": None, "500 requests/s": 500}


class Beside(NamedTuple):
    """One load."""

    load: Load
    arrived: float
    """The share of the events that reached their clients meanwhile; 1 where there are none."""


def measure(bench: Bench) -> Table:
    """Without streams and with them in turns, the ticks the same."""
    clients = bench.scaled(5000, 40)
    found: dict[tuple[str, int], list[Beside]] = {}
    with (
        simulated_exchange(bench) as exchange,
        service(bench, exchange, settings=SETTINGS) as server,
    ):
        beats = Beats(exchange)
        for _ in range(bench.scaled(3, 1)):
            for pace, rate in PACES.items():
                found.setdefault((pace, 0), []).append(_load(bench, server, beats, rate, None))
            with Crowd(bench, server.port, clients) as crowd:
                for pace, rate in PACES.items():
                    found.setdefault((pace, clients), []).append(_load(bench, server, beats, rate, crowd))
    rows = [(pace, f"{streams:,}", *_cells(besides)) for (pace, streams), besides in found.items()]
    aims = [
        at_most(
            SLOWER,
            f"{pace}: p99 beside {clients:,} streams",
            _p99(found[pace, clients]),
            "the same without streams",
            _p99(found[pace, 0]),
        )
        for pace in PACES
    ]
    title = f"{PATH} beside streams, {CONNECTIONS} keep-alive connections, all pairs change {PER_SECOND} times a second"
    columns = ("asked", "streams", "requests/s", "p50", "p99", "frames arrived")
    return Table(title, columns, rows, aims)


def _load(bench: Bench, server: Server, beats: Beats, rate: int | None, crowd: Crowd | None) -> Beside:
    seconds = bench.scaled(6, 2)
    if crowd is not None:
        crowd.begin()
    load = start_load(bench, server.port, PATH, seconds=seconds, rate=rate)
    times = beats.run(seconds)
    result = load.result()
    if crowd is None:
        return Beside(result, 1.0)
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
