"""Ten minutes or more of cuts: nothing may grow."""

import tempfile
import time
from pathlib import Path
from statistics import linear_regression
from threading import Event
from typing import NamedTuple

from tests.drill.clients import Clients
from tests.drill.machine import holdings
from tests.drill.row import FULL, PAIRS
from tests.drill.truth import Truth
from tests.process.service import Service
from tests.simulator.client import Simulator

RATE = 100.0
CUT_EVERY = 30.0
SAMPLE_EVERY = 5.0
WARM_UP, WARM_UP_CUT_EVERY = 120.0, 0.8
"""Seconds before anything is measured: caches fill, and the allocator finds its size. That takes some hundred cuts."""

RSS_SLOPE = 1.0
"""MiB per hour."""


class Sample(NamedTuple):
    moment: float
    rss: float
    descriptors: int
    greenlets: int


def soak(minutes: float) -> int:
    """Prints the figures; 0 when nothing grew, nothing failed and nothing was wrong."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Simulator.start("--walk", "80") as simulator,
        Service.start(
            simulator, "tests.process.glass:app", fed=False, KRAKEN_RECONNECT_DELAY="500ms"
        ) as service,
    ):
        service.until(lambda: service.get("/ready").status == 200)
        truth = Truth(simulator, PAIRS)
        clients = Clients.start(service.port, RATE, Path(folder) / "readings")
        _watch(service, simulator, truth, WARM_UP, WARM_UP_CUT_EVERY)
        samples = _watch(service, simulator, truth, minutes * 60, CUT_EVERY)
        readings = clients.stop()
        truth.catch_up()
        failed = sum(1 for reading in readings if reading.failure)
        wrong = truth.wrong(readings, FULL.ttl)
    print(*(one.why for one in wrong[:10]), sep="\n")
    return _report(samples, failed, len(wrong), len(readings))


def _watch(
    service: Service, simulator: Simulator, truth: Truth, seconds: float, cut_every: float
) -> list[Sample]:
    pace, samples = Event(), list[Sample]()
    start = time.monotonic()
    cut_at = start + cut_every
    while (now := time.monotonic()) - start < seconds:
        if now >= cut_at:
            simulator.cut("abrupt")
            cut_at += cut_every
        else:
            samples.append(_sample(service, now - start))
        truth.catch_up()
        pace.wait(min(SAMPLE_EVERY, cut_every))
    return samples


def _sample(service: Service, moment: float) -> Sample:
    held = holdings(service.worker_pids())
    return Sample(moment, *held, int(service.get("/inside").json()["greenlets"]))


def _report(samples: list[Sample], failed: int, wrong: int, requests: int) -> int:
    moments = [sample.moment / 3600 for sample in samples]
    rss, descriptors, greenlets = (
        linear_regression(moments, [float(value) for value in values]).slope
        for values in list(zip(*samples, strict=True))[1:]
    )
    print(f"{requests:,} requests, {failed} failed, {wrong} wrong prices")
    for name, slope, at in (
        ("RSS MiB", rss, 1),
        ("descriptors", descriptors, 2),
        ("greenlets", greenlets, 3),
    ):
        values = [sample[at] for sample in samples]
        print(
            f"{name}: {values[0]:.1f} → {values[-1]:.1f} (from {min(values):.1f} to {max(values):.1f}), {slope:+.2f} per hour"
        )
    return 0 if rss < RSS_SLOPE and not failed and not wrong else 1
