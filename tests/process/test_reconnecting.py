"""A feed that is cut comes back, and leaves nothing behind."""

from itertools import cycle, islice
from operator import le
from pathlib import Path
from typing import NamedTuple

from tests.process.service import FED, Service
from tests.simulator.client import Simulator

CUTS = 20

STRAY = 3
"""Things more than before that are no leak: a connection with REST is kept once it is asked, which a cut may need or not.
What each cut of one kind left behind would be ten."""


class Belongings(NamedTuple):
    """What a worker holds."""

    greenlets: int
    threads: int
    descriptors: int


def belongings(service: Service) -> Belongings:
    (worker,) = service.worker_pids()
    greenlets = int(service.get("/inside").json()["greenlets"])
    return Belongings(greenlets, entries(f"/proc/{worker}/task"), entries(f"/proc/{worker}/fd"))


def entries(folder: str) -> int:
    return len(list(Path(folder).iterdir()))


def test_a_feed_cut_twenty_times_always_comes_back_and_leaves_nothing_behind(simulator: Simulator) -> None:
    simulator.walk(rate=100)
    with Service.start(simulator, "tests.process.glass:app", KRAKEN_RECONNECT_DELAY="10ms") as service:
        cut_and_wait(service, simulator, "abrupt", 1)  # what the first reconnection brings in, stays
        before = belongings(service)
        most = [each + STRAY for each in before]
        for number, how in enumerate(islice(cycle(["abrupt", "clean"]), CUTS), start=2):
            cut_and_wait(service, simulator, how, number)
        service.until(
            lambda: all(map(le, belongings(service), most)),
            what=f"hardly more than {before}, as before the cuts",
        )
        assert simulator.counters()["connections_open"] == 1
        assert service.get("/api/v1/status").json()["reconnects"] == str(CUTS + 1)
        simulator.walk(on=False)
        simulator.trade("ETH/USD", "4000.01")
        service.wait_until_served("ETH/USD", "4000.01")


def cut_and_wait(service: Service, simulator: Simulator, how: str, number: int) -> None:
    """Cuts the feed for the `number`-th time; returns when prices come in again."""
    assert simulator.cut(how) == 1
    service.wait_for_line(FED, count=number + 1)
