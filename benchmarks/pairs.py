"""What more pairs cost: the same service with 7, 100, 500 and 1,000 pairs, each in a process of its own."""

import json
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import NamedTuple

from benchmarks.bench import Aim, Bench, Table, at_most
from benchmarks.cost import Question, least_cpu
from benchmarks.keep_alive import KeepAlive
from benchmarks.machine import cpu_seconds, resident
from benchmarks.servers import LOOK, PAIRS, Server, gunicorn, service_environment, simulated_exchange
from benchmarks.ticks import PAIR
from tests.simulator.client import Simulator

COUNTS = (PAIRS, 100, 500, 1000)
QUICK_COUNTS = (PAIRS, 100)

SETTLE_SECONDS = 4
"""Seconds after the first prices in which what belongs to the start comes to its end."""

TICKS_PER_SECOND, WALKS_PER_SECOND = 1000, 20
"""Tickers of one pair while the cost of a tick is measured, and match events of all pairs while that of a GET is."""

METRICS_APART_SECONDS = 1.1
"""Seconds between two questions for the metrics, which are made once a second at most."""

LONGEST_SECONDS = 60.0

IDLE_AIM, MEMORY_AIM, SECONDS_AIM, QUESTIONS_AIM = 0.05, 20.0, 10.0, 1.0
"""With the most pairs: of a core, KiB for each pair, seconds to all prices and back after a cut, questions to REST in a
second."""

TICK_AIM = 1.1
"""Times the processor time of a tick with the fewest pairs."""


class Figures(NamedTuple):
    """Of one number of pairs. Processor times are seconds."""

    pairs: int
    started: float
    """Seconds from the start of the process to the prices of all pairs."""
    idle: float
    """Of a core, while nothing comes but heartbeats."""
    questions: float
    """To REST in a second, meanwhile."""
    tick: float
    one: float
    """A GET of one pair."""
    byte: float
    """Each byte of a GET of all pairs."""
    metrics: float
    """Seconds of a GET of /metrics."""
    back: float
    """Seconds from a cut to new evidence of the feed for all pairs."""
    memory: float
    """KiB."""


def measure(bench: Bench) -> Table:
    """One row for each number of pairs."""
    found = [_figures(bench, count) for count in (QUICK_COUNTS if bench.quick else COUNTS)]
    least, most = found[0], found[-1]
    grown = (most.memory - least.memory) / (most.pairs - least.pairs)
    rows = [
        (
            f"{each.pairs:,}",
            f"{each.started:.1f}",
            f"{each.back:.1f}",
            f"{each.idle:.1%}",
            f"{each.questions:.2f}",
            f"{each.tick * 1e6:.0f}",
            f"{each.one * 1e6:.0f}",
            f"{each.byte * 1e9:.1f}",
            f"{each.metrics * 1e3:.0f}",
            f"{each.memory / 1024:.1f}",
        )
        for each in found
    ]
    aims = [
        Aim(
            f"{most.pairs} pairs, idle: {most.idle:.1%} of a core, at most {IDLE_AIM:.0%}",
            most.idle <= IDLE_AIM,
        ),
        at_most(TICK_AIM, f"a tick with {most.pairs} pairs", most.tick, f"with {least.pairs}", least.tick),
        Aim(f"{grown:.1f} KiB for each pair, at most {MEMORY_AIM:g}", grown <= MEMORY_AIM),
        Aim(f"{most.started:.1f} s to all prices, at most {SECONDS_AIM:g}", most.started <= SECONDS_AIM),
        Aim(f"{most.back:.1f} s back after a cut, at most {SECONDS_AIM:g}", most.back <= SECONDS_AIM),
        Aim(f"{most.questions:.2f} questions to REST in a second", most.questions <= QUESTIONS_AIM),
    ]
    columns = (
        "pairs",
        "all prices after s",
        "back after s",
        "idle CPU",
        "REST questions/s",
        "CPU µs/tick",
        "CPU µs/GET of one",
        "CPU ns/byte of all",
        "/metrics ms",
        "MiB",
    )
    return Table("Very many pairs", columns, rows, aims)


def _figures(bench: Bench, count: int) -> Figures:
    begun = time.monotonic()
    with (
        simulated_exchange(bench, "--pairs", str(count)) as exchange,
        _service(bench, exchange, count) as server,
    ):
        with KeepAlive(server.port, "/api/v1/ltp") as reader:
            _until(lambda: _has_all(reader, count))
            started = time.monotonic() - begun
        time.sleep(bench.scaled(SETTLE_SECONDS, 2))  # what a start leaves to do is not the cost of idling
        idle, questions = _idle(exchange, server, bench.scaled(12, 1))
        # Other guests of the machine only add to it.
        tick = min(_tick(exchange, server, idle, bench.scaled(2, 1)) for _ in range(bench.scaled(10, 1)))
        exchange.walk(WALKS_PER_SECOND)
        paths = f"/api/v1/ltp?pair={PAIR}", "/api/v1/ltp"
        one, every = least_cpu(
            bench, [Question(server.port, server.workers, path) for path in paths], bench.scaled(5, 1)
        )
        exchange.walk(on=False)
        memory = resident(server.worker)
        metrics = _metrics(server, bench.scaled(5, 1))
        with KeepAlive(server.port, "/api/v1/ltp") as reader:
            size = len(reader.get()[1])
        back = _back_after_cut(exchange, server, count)
    return Figures(count, started, idle, questions, tick, one, every / size, metrics, back, memory)


@contextmanager
def _service(bench: Bench, exchange: Simulator, count: int) -> Iterator[Server]:
    """Where `count` is more than the service serves by itself: all that the exchange lists."""
    wildcard = {"SUPPORTED_PAIRS": "*"} if count > PAIRS else {}
    environment = service_environment(bench, exchange) | wildcard
    with gunicorn(bench, "wsgi:app", "gunicorn.conf.py", environment) as server:
        yield server


def _has_all(reader: KeepAlive, count: int) -> bool:
    status, body = reader.get()
    return status == 200 and len(json.loads(body)["ltp"]) == count


def _idle(exchange: Simulator, server: Server, seconds: float) -> tuple[float, float]:
    calls, used, begun = _calls(exchange), cpu_seconds(server.worker), time.monotonic()
    time.sleep(seconds)  # what the service uses while nothing is asked is what is measured
    took = time.monotonic() - begun
    return (cpu_seconds(server.worker) - used) / took, (_calls(exchange) - calls) / took


def _calls(exchange: Simulator) -> int:
    return sum(exchange.counters()["rest_calls"].values())


def _tick(exchange: Simulator, server: Server, idle: float, seconds: int) -> float:
    used, begun = cpu_seconds(server.worker), time.monotonic()
    frames = exchange.flood(PAIR, TICKS_PER_SECOND, seconds) or 1
    took = time.monotonic() - begun
    return (cpu_seconds(server.worker) - used - idle * took) / frames


def _metrics(server: Server, times: int) -> float:
    took = []
    with KeepAlive(server.port, "/metrics") as reader:
        for _ in range(times):
            time.sleep(METRICS_APART_SECONDS)  # within a second the same text would be given again
            begun = time.monotonic()
            reader.get()
            took.append(time.monotonic() - begun)
    return statistics.median(took)


def _back_after_cut(exchange: Simulator, server: Server, count: int) -> float:
    begun, cut_at = time.monotonic(), datetime.now(UTC).isoformat()
    exchange.cut()

    def is_back() -> bool:
        told = json.loads(reader.get()[1])["ltp"]
        fresh = [
            item for item in told if item["source"] == "kraken:websocket" and item["confirmed_at"] > cut_at
        ]
        return len(fresh) == count

    with KeepAlive(server.port, "/api/v1/ltp?detail=true") as reader:
        _until(is_back)
    return time.monotonic() - begun


def _until(happened: Callable[[], bool]) -> None:
    """Raises TimeoutError."""
    deadline = time.monotonic() + LONGEST_SECONDS
    while not happened():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not every pair had a price within {LONGEST_SECONDS:g} s")
        time.sleep(LOOK)  # leaves the processor to the service that is waited for
