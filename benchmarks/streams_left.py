"""What do clients of the stream leave behind that come and go?"""

import json
import time
from typing import NamedTuple

from benchmarks.beats import Beats
from benchmarks.bench import Aim, Bench, Table
from benchmarks.crowd import SETTINGS, Crowd
from benchmarks.keep_alive import KeepAlive
from benchmarks.machine import descriptors, resident
from benchmarks.servers import Server, service, simulated_exchange, until
from tests.scrape import Scrape

AT_ONCE = 100
LOOKS = 5
PAUSE = 0.2
"""Seconds between two looks."""

GROWTH = 1.0
"""MiB by which the worker may grow: the allocator's own moods."""


class Held(NamedTuple):
    """What the worker has."""

    descriptors: int
    greenlets: int
    memory: float
    """MiB."""
    streams: float


def measure(bench: Bench) -> Table:
    """A hundred at a time; as many before, for caches and the allocator's size."""
    clients = bench.scaled(1000, 100)
    with (
        simulated_exchange(bench) as exchange,
        service(bench, exchange, application="tests.process.glass:app", settings=SETTINGS) as server,
    ):
        beats = Beats(exchange)
        _come_and_go(bench, server, beats, clients)
        before = _held(server)
        _come_and_go(bench, server, beats, clients)
        after = _held(server)
    rows = [
        (name, str(held.descriptors), str(held.greenlets), f"{held.memory:.1f}", f"{held.streams:.0f}")
        for name, held in (("before", before), ("after", after))
    ]
    grown = after.memory - before.memory
    aims = [
        Aim(
            f"{after.descriptors - before.descriptors:+} descriptors", after.descriptors <= before.descriptors
        ),
        Aim(f"{after.greenlets - before.greenlets:+} greenlets", after.greenlets <= before.greenlets),
        Aim(f"{grown:+.1f} MiB, at most {GROWTH:g}", grown <= GROWTH),
        Aim(f"stream_clients is {after.streams:.0f}", after.streams == 0),
    ]
    columns = ("the worker", "descriptors", "greenlets", "RSS MiB", "stream_clients")
    return Table(f"{clients:,} clients of the stream that come and go", columns, rows, aims)


def _come_and_go(bench: Bench, server: Server, beats: Beats, clients: int) -> None:
    for _ in range(clients // AT_ONCE):
        with Crowd(bench, server.port, AT_ONCE):
            beats.run(0.5)
    until(lambda: gauge(server.port) == 0, "streams were left")


def _held(server: Server) -> Held:
    """The least of some looks, because what asks has a connection too, that is closed a moment later."""
    looks = [_look(server) for _ in range(LOOKS)]
    return Held(*map(min, zip(*looks, strict=True)))


def _look(server: Server) -> Held:
    with KeepAlive(server.port, "/inside") as reader:
        greenlets = int(json.loads(reader.get()[1])["greenlets"])
    streams = gauge(server.port)
    time.sleep(PAUSE)  # nothing tells when the worker has noticed that these two are gone
    return Held(descriptors(server.worker), greenlets, resident(server.worker) / 1024, streams)


def gauge(port: int) -> float:
    """How many streams the worker counts."""
    with KeepAlive(port, "/metrics") as reader:
        return Scrape(reader.get()[1].decode()).value("stream_clients") or 0.0
