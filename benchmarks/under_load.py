"""Do requests and ticks keep their pace while there are many of both?"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from benchmarks.bench import Aim, Bench, Table, milliseconds, percentile
from benchmarks.keep_alive import KeepAlive
from benchmarks.load import Load, start_load
from benchmarks.servers import Server, service, simulated_exchange
from benchmarks.ticks import FLOODED_PAIR, PAIR, pause, prices, time_to_visible
from tests.simulator.client import Simulator

SATURATED = 0
SETTLING = 0.5
"""Seconds until a load that was started is on."""

PAUSE = 0.015
"""Seconds between the trades that are watched: few, because whoever watches adds to the load."""

PATH = "/api/v1/ltp"


@dataclass(frozen=True)
class Stress:
    """What happens at the same time."""

    requests: int | None
    """Per second; SATURATED is as many as are answered, None is no load."""
    frames: int
    """Per second."""

    @property
    def name(self) -> str:
        """For people."""
        known = {None: "idle", SATURATED: "saturated"}
        http = known.get(self.requests) or f"{self.requests:,} requests/s"
        return f"HTTP {http}, {self.frames:,} frames/s"


@dataclass(frozen=True)
class Pace:
    """How it went; seconds."""

    load: Load | None
    frames_per_second: float
    stored_p50: float
    stored_p99: float
    visible: list[float]


STRESSES = (
    Stress(None, 20_000),
    Stress(1_000, 1_000),
    Stress(SATURATED, 1_000),
    Stress(SATURATED, 20_000),
)

HTTP_AIMS = {STRESSES[1]: 0.003, STRESSES[2]: 0.015}
"""Seconds at the 99th percentile of the requests."""

STORED_AIMS = {STRESSES[2]: 0.025}
"""Seconds at the 99th percentile from the trade to the store."""


@dataclass(frozen=True)
class Trial:
    """One exchange, one service, and all the trades between them."""

    bench: Bench
    exchange: Simulator
    server: Server
    prices: Iterator[str]

    def run(self, stress: Stress) -> Pace:
        """Begins when the load is on and ends before it goes."""
        seconds = self.bench.scaled(5, 2)
        self.exchange.flood(FLOODED_PAIR, stress.frames, seconds + SETTLING, background=True)
        load = None
        if stress.requests is not None:
            load = start_load(
                self.bench, self.server.port, PATH, seconds=seconds, rate=stress.requests or None
            )
        time.sleep(SETTLING)  # the beginning of a load is not what is measured
        visible, ticks, per_second = self._watch(until=time.monotonic() + seconds - 2 * SETTLING)
        result = load.result() if load else None
        self._drain()
        return Pace(result, per_second, ticks["p50"], ticks["p99"], visible)

    def _watch(self, until: float) -> tuple[list[float], dict[str, float], float]:
        delays = []
        self._read_stopwatch()
        started = time.monotonic()
        with self._reader() as reader:
            while time.monotonic() < until:
                delays.append(time_to_visible(self.exchange, next(self.prices), reader))
                pause(PAUSE)
        ticks = self._read_stopwatch()
        return delays, ticks, ticks["ticks"] / (time.monotonic() - started)

    def _read_stopwatch(self) -> dict[str, float]:
        """On a connection of its own: the service closes one that is idle for some seconds."""
        with KeepAlive(self.server.port, "/benchmark/ticks") as stopwatch:
            ticks: dict[str, float] = json.loads(stopwatch.get()[1])
        return ticks

    def _drain(self) -> None:
        """Frames keep their order: a trade that is visible has all earlier ones before it."""
        self.exchange.clear()
        with self._reader() as reader:
            time_to_visible(self.exchange, next(self.prices), reader)

    def _reader(self) -> KeepAlive:
        return KeepAlive(self.server.port, f"{PATH}?pair={PAIR}")


def measure(bench: Bench) -> Table:
    """Each stress in turn, on one service."""
    paces: dict[Stress, list[Pace]] = {stress: [] for stress in STRESSES}
    with (
        simulated_exchange(bench) as exchange,
        service(bench, exchange, application="benchmarks.measured_service:app") as server,
    ):
        trial = Trial(bench, exchange, server, prices())
        for _ in range(bench.scaled(5, 1)):
            for stress in STRESSES:
                paces[stress].append(trial.run(stress))
    middle = {stress: _middle(measured) for stress, measured in paces.items()}
    columns = (
        "at the same time",
        *("requests/s", "HTTP p50", "HTTP p99"),
        *("frames/s", "tick → cache p50", "p99"),
        *("tick → GET p50", "p99"),
    )
    rows = [(stress.name, *_cells(pace)) for stress, pace in middle.items()]
    note = (
        "tick → cache: every frame, from the exchange's time of the trade to its place in the store. tick → GET:"
        " trades of another pair, to the end of the first answer that shows them to a client of its own."
        " The load asks for all pairs; what the frames/s exceed the load by are those trades."
    )
    return Table("Requests and ticks under load, Kraken v2", columns, rows, _aims(middle), [note])


def _middle(paces: list[Pace]) -> Pace:
    loads = [pace.load for pace in paces if pace.load]
    load = None
    if loads:
        load = Load(
            sum(each.requests for each in loads),
            median(each.per_second for each in loads),
            median(each.p50 for each in loads),
            median(each.p99 for each in loads),
            0,
        )
    return Pace(
        load,
        median(pace.frames_per_second for pace in paces),
        median(pace.stored_p50 for pace in paces),
        median(pace.stored_p99 for pace in paces),
        [delay for pace in paces for delay in pace.visible],
    )


def _cells(pace: Pace) -> tuple[str, ...]:
    http = ("", "", "")
    if pace.load:
        http = (f"{pace.load.per_second:,.0f}", milliseconds(pace.load.p50), milliseconds(pace.load.p99))
    latencies = (
        pace.stored_p50,
        pace.stored_p99,
        percentile(pace.visible, 50),
        percentile(pace.visible, 99),
    )
    return (*http, f"{pace.frames_per_second:,.0f}", *map(milliseconds, latencies))


def _aims(paces: dict[Stress, Pace]) -> list[Aim]:
    http = [
        Aim(f"{stress.name}: HTTP p99 below {milliseconds(limit)}", load.p99 < limit)
        for stress, limit in HTTP_AIMS.items()
        if (load := paces[stress].load)
    ]
    stored = [
        Aim(f"{stress.name}: tick → cache p99 below {milliseconds(limit)}", paces[stress].stored_p99 < limit)
        for stress, limit in STORED_AIMS.items()
    ]
    return http + stored
