"""Do requests and ticks keep their pace while there are many of both?"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from benchmarks.bench import Aim, Bench, Table, at_most, milliseconds, percentile
from benchmarks.keep_alive import KeepAlive
from benchmarks.load import Load, start_load
from benchmarks.pace import settle
from benchmarks.servers import Server, bare_server, service, simulated_exchange
from benchmarks.ticks import FLOODED_PAIR, PAIR, pause, prices, time_to_visible
from tests.simulator.client import Simulator

SATURATED = 0
SETTLING = 0.5
"""Seconds until a load that was started is on."""

PAUSE = 0.015
"""Seconds between the trades that are watched: few, because watching adds to the load."""

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

HTTP_AIMS = {STRESSES[1]: 3, STRESSES[2]: 2}
"""Times the 99th percentile of a bare hello under the same load and without any frame."""

STORED_AIMS = {STRESSES[2]: 3}
"""The same for the way from the trade to the store: a frame waits for the requests that came before it."""


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
        settle(SETTLING)
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
    bare: dict[int, list[Load]] = {stress.requests: [] for stress in STRESSES if stress.requests is not None}
    with (
        simulated_exchange(bench) as exchange,
        bare_server(bench, "benchmarks.plain:wsgi_hello") as hello,
        service(bench, exchange, application="benchmarks.measured_service:app") as server,
    ):
        trial = Trial(bench, exchange, server, prices())
        for _ in range(bench.scaled(5, 1)):
            for rate, loads in bare.items():
                loads.append(
                    start_load(bench, hello.port, "/", seconds=bench.scaled(5, 2), rate=rate or None).result()
                )
            for stress in STRESSES:
                paces[stress].append(trial.run(stress))
    hellos = {rate: _middle_load(loads) for rate, loads in bare.items()}
    middle = {stress: _middle(measured) for stress, measured in paces.items()}
    columns = (
        "at the same time",
        *("requests/s", "HTTP p50", "HTTP p99"),
        *("stored/s", "tick → cache p50", "p99"),
        *("tick → GET p50", "p99"),
    )
    rows = [
        (f"{Stress(rate, 0).name}, a bare hello", *_http_cells(load), *[""] * 5)
        for rate, load in hellos.items()
    ]
    rows += [(stress.name, *_cells(pace)) for stress, pace in middle.items()]
    note = (
        "tick → cache: every tick that is stored, from the exchange's time to its place in the store. Of tickers that"
        " arrive together only the newest of a pair is read. tick → GET:"
        " trades of another pair, to the end of the first answer that shows them to a client of its own."
        " The load asks for all pairs."
    )
    return Table("Requests and ticks under load, Kraken v2", columns, rows, _aims(middle, hellos), [note])


def _middle(paces: list[Pace]) -> Pace:
    loads = [pace.load for pace in paces if pace.load]
    return Pace(
        _middle_load(loads) if loads else None,
        median(pace.frames_per_second for pace in paces),
        median(pace.stored_p50 for pace in paces),
        median(pace.stored_p99 for pace in paces),
        [delay for pace in paces for delay in pace.visible],
    )


def _middle_load(loads: list[Load]) -> Load:
    return Load(
        sum(each.requests for each in loads),
        median(each.per_second for each in loads),
        median(each.p50 for each in loads),
        median(each.p99 for each in loads),
        0,
    )


def _http_cells(load: Load) -> tuple[str, str, str]:
    return f"{load.per_second:,.0f}", milliseconds(load.p50), milliseconds(load.p99)


def _cells(pace: Pace) -> tuple[str, ...]:
    http = _http_cells(pace.load) if pace.load else ("", "", "")
    latencies = (
        pace.stored_p50,
        pace.stored_p99,
        percentile(pace.visible, 50),
        percentile(pace.visible, 99),
    )
    return (*http, f"{pace.frames_per_second:,.0f}", *map(milliseconds, latencies))


def _aims(paces: dict[Stress, Pace], hellos: dict[int, Load]) -> list[Aim]:
    beside = "a bare hello's"
    http = [
        at_most(times, f"{stress.name}: HTTP p99", load.p99, beside, hellos[stress.requests].p99)
        for stress, times in HTTP_AIMS.items()
        if (load := paces[stress].load) and stress.requests is not None
    ]
    stored = [
        at_most(
            times, f"{stress.name}: tick → cache p99", paces[stress].stored_p99, beside, hellos[SATURATED].p99
        )
        for stress, times in STORED_AIMS.items()
    ]
    return http + stored
