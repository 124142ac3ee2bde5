"""What do clients of the stream that never read do to the worker, and to the others?"""

import time

from benchmarks.beats import Beats
from benchmarks.bench import Aim, Bench, Table, at_least, milliseconds, percentile
from benchmarks.crowd import SETTINGS, Crowd
from benchmarks.keep_alive import KeepAlive
from benchmarks.machine import resident
from benchmarks.servers import Server, service, simulated_exchange, until
from benchmarks.streams_left import gauge
from tests.scrape import Scrape

FLAT = 0.05
"""By which the worker's memory may differ from its least."""

ARRIVED = 0.95
STEP = 1.0
"""Seconds between two looks at the memory."""


def measure(bench: Bench) -> Table:
    """A fifth of the clients never reads, not even the head of its answer."""
    clients, mute, seconds = bench.scaled(5000, 50), bench.scaled(1000, 10), bench.scaled(60, 3)
    with (
        simulated_exchange(bench) as exchange,
        service(bench, exchange, settings=SETTINGS) as server,
        Crowd(bench, server.port, clients, mute=mute) as crowd,
    ):
        until(lambda: gauge(server.port) == clients, "not every client was taken")
        beats = Beats(exchange)
        beats.run(2 * STEP)
        before = _dropped(server)
        crowd.begin()
        times, memory = 0, [resident(server.worker)]
        begun = time.monotonic()
        while time.monotonic() - begun < seconds:
            times += beats.run(STEP)
            memory.append(resident(server.worker))
        time.sleep(STEP)  # what is on its way may arrive
        seen = crowd.end()
        dropped = {reason: count - before.get(reason, 0) for reason, count in _dropped(server).items()}
        left = gauge(server.port)
    arrived = seen.events / (times * crowd.sent_per_beat)
    growth = max(memory) / min(memory) - 1
    reasons = ", ".join(f"{count:,.0f} {reason}" for reason, count in dropped.items() if count) or "none"
    rows = [
        (
            f"{clients - mute:,}",
            f"{mute:,}",
            f"{times * crowd.sent_per_beat / seconds:,.0f}",
            f"{arrived:.3f}",
            *(milliseconds(percentile(seen.delays, at)) for at in (50, 99)),
            f"{min(memory) / 1024:.1f} to {max(memory) / 1024:.1f}",
            reasons,
            f"{left:,.0f}",
        )
    ]
    aims = [
        at_least(ARRIVED, "events that arrive at those that read", arrived, "those sent", 1.0),
        Aim(f"memory differs by {growth:.1%}, at most {FLAT:.0%}", growth <= FLAT),
        Aim(f"{seen.closed} streams of those that read were ended", not seen.closed),
    ]
    if not bench.quick:  # they are given 30 s
        counted = dropped.get("slow", 0.0)
        aims.append(Aim(f"{counted:,.0f} of {mute:,} dropped and counted as slow", counted == mute))
    columns = ("read", "never read", "events/s", "arrived", "p50", "p99", "RSS MiB", "dropped", "left")
    return Table(f"Clients of the stream that never read, for {seconds} s", columns, rows, aims)


def _dropped(server: Server) -> dict[str, float]:
    """Reason → streams."""
    with KeepAlive(server.port, "/metrics") as reader:
        samples = Scrape(reader.get()[1].decode()).samples
    return {
        dict(labels)["reason"]: value
        for (name, labels), value in samples.items()
        if name == "btc_ltp_stream_dropped_total"
    }
