"""How many frames per second does one process take in, socket and store included?"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks.bench import Bench, Table, at_most
from benchmarks.keep_alive import KeepAlive
from benchmarks.machine import cpu_seconds, on_cores
from benchmarks.servers import Server, await_prices, gunicorn, service_environment, simulated_exchange, stop
from benchmarks.ticks import DEADLINE, PAIR
from tests.simulator.client import PROJECT, Simulator

AIM = 1.5
"""Times the processor time of a loop that receives the same frames and reads none."""

MARK = "115777.7"
"""The price after the flood: where it is seen, every frame before it was taken in."""


class Intake(NamedTuple):
    """One flood."""

    frames_per_second: float
    cpu_per_frame: float
    """Seconds."""


Await = Callable[[], None]
Target = Callable[[Bench, Simulator, str, Path], AbstractContextManager[tuple[int, Await]]]


def measure(bench: Bench) -> Table:
    """Each protocol into the feed alone and into the whole service, in turn; a fresh process each time."""
    cases: dict[tuple[str, str], list[Intake]] = {
        (protocol, name): [] for name in TARGETS for protocol in ("v1", "v2")
    }
    for _ in range(bench.scaled(5, 1)):
        for (protocol, name), intakes in cases.items():
            intakes.append(flood(bench, protocol, TARGETS[name]))
    middle = {case: Intake(*map(median, zip(*intakes, strict=True))) for case, intakes in cases.items()}
    rows = [
        (
            f"Kraken {protocol}, {name}",
            f"{intake.frames_per_second:,.0f}",
            f"{intake.cpu_per_frame * 1e6:.1f}",
        )
        for (protocol, name), intake in middle.items()
    ]
    aims = [
        at_most(AIM, f"{protocol}, {name}", intake.cpu_per_frame, BARE, middle[protocol, BARE].cpu_per_frame)
        for (protocol, name), intake in middle.items()
        if name != BARE
    ]
    return Table("Ticker frames taken in by one process", ("feed", "frames/s", "CPU µs/frame"), rows, aims)


def flood(
    bench: Bench, protocol: str, target: Target, checkout: Path = PROJECT, *, seconds: int = 0
) -> Intake:
    """One flood of tickers of one pair into the code of a checkout: as many as it takes."""
    with (
        simulated_exchange(bench) as exchange,
        target(bench, exchange, protocol, checkout) as (
            pid,
            await_mark,
        ),
    ):
        cpu_before, started = cpu_seconds(pid), time.monotonic()
        frames = exchange.flood(PAIR, 0, seconds or bench.scaled(3, 1)) or 0
        exchange.trade(PAIR, MARK)
        await_mark()
        took, cpu = time.monotonic() - started, cpu_seconds(pid) - cpu_before
    return Intake(frames / took, cpu / frames)


@contextmanager
def _program(
    module: str, bench: Bench, exchange: Simulator, protocol: str, checkout: Path
) -> Iterator[tuple[int, Await]]:
    """A program that says `ready` and later `mark`."""
    command = [sys.executable, "-m", "gevent.monkey", "--module", module, PAIR, MARK]
    with on_cores(bench.cores.measured):
        process = subprocess.Popen(
            command, cwd=checkout, env=service_environment(bench, exchange, protocol), stdout=subprocess.PIPE
        )
    assert process.stdout is not None
    lines = process.stdout
    try:
        lines.readline()
        yield process.pid, lambda: _expect(lines.readline(), b"mark\n")
    finally:
        stop(process)
        lines.close()


def _expect(line: bytes, wanted: bytes) -> None:
    if line != wanted:
        raise RuntimeError(f"the feed said {line!r} instead of {wanted!r}")


@contextmanager
def _service(bench: Bench, exchange: Simulator, protocol: str, checkout: Path) -> Iterator[tuple[int, Await]]:
    environment = service_environment(bench, exchange, protocol)
    with gunicorn(bench, "wsgi:app", "gunicorn.conf.py", environment, checkout=checkout) as server:
        await_prices(server.port)
        yield server.worker, lambda: _await_over_http(server)


def _await_over_http(server: Server) -> None:
    deadline = time.monotonic() + DEADLINE
    with KeepAlive(server.port, f"/api/v1/ltp?pair={PAIR}") as reader:
        while time.monotonic() < deadline:
            if json.loads(reader.get()[1])["ltp"][0]["amount"] == float(MARK):
                return
            time.sleep(0.01)  # leaves the server to the frames
    raise TimeoutError(f"the trade after the flood was not visible within {DEADLINE:g} s")


BARE = "a bare recv loop"

TARGETS: dict[str, Target] = {
    BARE: partial(_program, "benchmarks.bare_feed"),
    "feed alone": partial(_program, "benchmarks.feed_alone"),
    "in gunicorn": _service,
}
